"""Results of live checks as JUnit XML, which every CI system reads."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from operations.checks.smoke import Check


def junit(name: str, checks: Sequence[Check]) -> str:
    """One test suite called `name`, one test case a check, times in seconds."""
    failures, skipped = sum(not check.ok for check in checks), sum(not check.asked for check in checks)
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(checks)),
        failures=str(failures),
        errors="0",
        skipped=str(skipped),
        time=_seconds(sum(check.milliseconds for check in checks)),
    )
    for check in checks:
        case = ElementTree.SubElement(
            suite, "testcase", classname=name, name=_printable(check.subject), time=_seconds(check.milliseconds)
        )
        if not check.asked:
            ElementTree.SubElement(case, "skipped", message=_printable(check.found))
        elif not check.ok:
            failure = ElementTree.SubElement(case, "failure", message=_printable(check.found))
            failure.text = _printable(f"expected: {check.expected}\nfound: {check.found}")
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}"


def _printable(text: str) -> str:
    """`text` without the characters that XML forbids even as escapes."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
