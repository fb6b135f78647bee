"""`python -m operations.pages.decisions`: writes docs/adr/README.md, every decision with its date and status."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from operations.table import markdown

DIRECTORY = Path(__file__).parents[2] / "docs/adr"
INDEX = DIRECTORY / "README.md"
_HEAD = """# Decisions

Written by `make docs` from the pages themselves; do not edit. A test fails when it is stale. A title says what was decided; the
page says why, and what was rejected. A decision that no longer holds stays, with a status that names its successor.

"""


class Malformed(Exception):
    """A decision's page lacks a title or a status."""


def main() -> int:
    """Write the index."""
    INDEX.write_text(index())
    return 0


def index(directory: Path = DIRECTORY) -> str:
    """The index in Markdown. Raises `Malformed` with every page that lacks a title or a status."""
    return _HEAD + markdown(("", "decision", "date", "status"), list(_rows(directory))) + "\n"


def _rows(directory: Path) -> Iterator[tuple[str, str, str, str]]:
    wrong = []
    for path in sorted(directory.glob("[0-9]*.md")):
        page = path.read_text()
        title = re.match(r"# (\d+)\. (.+)\n", page)
        state = re.search(r"^Date: (\d{4}-\d\d-\d\d)\. Status: ((?:accepted|superseded)\b[^\n]*)", page, re.MULTILINE)
        if not title or not state or int(title[1]) != int(path.name[:4]):
            wrong.append(path.name)
            continue
        yield title[1], f"[{title[2]}]({path.name})", state[1], state[2].partition(".")[0]
    if wrong:
        raise Malformed(
            f"{', '.join(wrong)}: the index cannot tell what was decided and whether it stands. Begin with the lines "
            "`# 90. What was decided` (the number of the file's name) and `Date: 2026-11-30. Status: accepted.`"
        )


if __name__ == "__main__":
    sys.exit(main())
