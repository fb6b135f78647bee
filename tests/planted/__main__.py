"""`python -m tests.planted`: each fault is planted alone in a copy of the checkout, and its test has to turn red there.

Each test is first seen green without the fault. Red is a failed test: one that could not be collected or built shows nothing.
The table goes to docs/proofs/planted.md too; exit code 1 when a fault stays unseen.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.copies import tracked
from tests.fleets import PROJECT
from tests.planted.faults import FAULTS, Fault

PAGE = PROJECT / "docs/proofs/planted.md"
_FAILED = 1
"""pytest's exit code when it ran tests and some failed."""


@dataclass(frozen=True)
class Run:
    """What a test came to: `red` is a test that ran and failed, `green` one that passed; neither is one that never ran."""

    red: bool
    green: bool
    seconds: float
    text: str


@dataclass(frozen=True)
class Row:
    """A fault and what its test said of it."""

    fault: Fault
    seen: bool
    seconds: float
    why: str


def main() -> int:
    """Plant all of them, in turn."""
    with tempfile.TemporaryDirectory(prefix="planted-") as directory:
        copy = Path(directory)
        tracked(copy)
        for tool in ("actionlint", "promtool"):
            if (path := PROJECT / ".venv/bin" / tool).exists():
                (copy / ".venv/bin").mkdir(parents=True, exist_ok=True)
                (copy / ".venv/bin" / tool).symlink_to(path)
        rows = list(_rows(copy))
    unseen = [row for row in rows if not row.seen]
    PAGE.write_text(page(rows))
    print(f"{len(rows) - len(unseen)} of {len(rows)} faults were seen, {sum(row.seconds for row in rows):.0f} s; {PAGE.relative_to(PROJECT)}")
    return 1 if unseen else 0


def _rows(copy: Path) -> Iterator[Row]:
    sound: dict[str, Run] = {}
    for fault in FAULTS:
        if fault.test not in sound:
            sound[fault.test] = run(copy, fault.test)
        if not sound[fault.test].green:
            row = Row(fault, False, 0.0, f"not green without the fault:\n{sound[fault.test].text}")
        else:
            with planted(copy, fault):
                found = run(copy, fault.test)
            row = Row(fault, found.red, found.seconds, "" if found.red else f"not red:\n{found.text}")
        print(f"{'seen  ' if row.seen else 'UNSEEN'} {row.seconds:5.1f} s  {fault.what}  ({fault.file}; {fault.test})", flush=True)
        if row.why:
            print(row.why)
        yield row


@contextmanager
def planted(copy: Path, fault: Fault) -> Iterator[None]:
    """The fault in the copy, for as long as the context lasts."""
    file = copy / fault.file
    text = file.read_text()
    if text.count(fault.old) != 1:
        raise SystemExit(f"{fault.file} has {text.count(fault.old)} times what the fault {fault.what!r} replaces: {fault.old!r}")
    file.write_text(text.replace(fault.old, fault.new))
    try:
        yield
    finally:
        file.write_text(text)


def run(copy: Path, test: str) -> Run:
    """The one test, in the copy."""
    start = time.monotonic()
    folder, _, name = test.partition(":")
    if folder.startswith("images/"):
        go = os.environ.get("GO", "go")
        command = [go, "test", "-count=1", f"-run=^{name}$", "-v", "."]
        done = _run(command, copy / folder, {"GOWORK": "off", "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"})
        red, green = f"--- FAIL: {name}" in done.stdout, f"--- PASS: {name}" in done.stdout and not done.returncode
    else:
        # Without bytecode: a file that changes twice in a second within the same size would be taken for its older self.
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", test]
        done = _run(command, copy, {"PYTHONDONTWRITEBYTECODE": "1"})
        passed = re.search(r"^\d+ passed", done.stdout, re.MULTILINE) is not None
        red, green = done.returncode == _FAILED and " failed" in done.stdout, not done.returncode and passed
    return Run(red, green, time.monotonic() - start, (done.stdout + done.stderr)[-3000:])


def _run(command: list[str], directory: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=directory, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600)


def page(rows: Iterable[Row]) -> str:
    """The table as Markdown."""
    rows = list(rows)
    lines = [
        "# Planted faults",
        "",
        f"`make planted`, {datetime.now(UTC):%Y-%m-%d}: each fault alone in a copy of the checkout, the named test green without it.",
        f"{sum(row.seen for row in rows)} of {len(rows)} turned their test red.",
        "",
        "| Fault | File | Test | Red | Seconds |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {row.fault.what} | `{row.fault.file}` | `{row.fault.test}` | {'yes' if row.seen else '**no**'} | {row.seconds:.1f} |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
