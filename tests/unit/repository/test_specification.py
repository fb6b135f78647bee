"""docs/specification.md names code and tests that exist, and leaves no row without an answer."""

import re

import pytest

from tests.support.fleets import PROJECT
from tests.support.named import why_not

ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (PROJECT / "docs/specification.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| The specification says"))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_what_exists(row: list[str]) -> None:
    _, code, shown = row
    paths = re.findall(r"`([^`]+)`", code)
    assert paths
    assert [path for path in paths if not (PROJECT / path).exists()] == []
    tests = re.findall(r"`(tests/[^`]+)::([^`]+)`", shown)
    assert [reason for path, name in tests if (reason := why_not(path, name))] == []
    assert tests or re.match(r"The specification is wrong, because .|not yet", shown), "neither a test nor a reason"


def test_every_part_of_the_specification_is_there() -> None:
    text = (PROJECT / "docs/specification.md").read_text()
    parts = ("AI providers", "Data", "Who gets in", "Monitoring", "Hosts and delivery", "Webhooks", "Networks")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(parts)
    assert len(ROWS) >= 60
