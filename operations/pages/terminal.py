"""`python -m operations.pages.terminal [LOG]`: draws README's picture of a terminal from the output of a real `make lab`.

With LOG (`make lab 2>&1 | tee lab.log`) it first copies the run's ending to docs/proofs/lab-run.txt: the steps with their
seconds, the phases of the deployment, some of the checks and how many passed, the backups. Only the dots for lines left out are
added. The picture is drawn from the copied text, so that a test can compare the two.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from operations.pages.svg import MONO, box, document

KEPT = Path(__file__).parents[2] / "docs/proofs/lab-run.txt"
PICTURE = KEPT.with_suffix(".svg")
_COLUMNS = 106
"""Characters in a line of the picture; further columns of a table are cut."""
_EACH = 14
"""One check in this many is shown."""
_LEFT_OUT = "..."
_STEP = re.compile(r"^\S.{0,60}\s+\d+\.\d s  done$")
_CHECK = re.compile(r"^(?:ok|FAILED|left out)\s{2,}\S")
_WHOLE = re.compile(
    r"^\d+ of \d+ checks passed|^from nothing to checked|^\w+: complete in|^pulumi up -s|^make \w+ STACK"
    r"|^Resources:$|^    \S \d+ created$|^    \d+ unchanged$"
)
_TABLE = re.compile(r"^phase\s{2,}")
_BACKGROUND, _TEXT, _GREEN, _RED, _DIM = "#0f172a", "#e2e8f0", "#4ade80", "#f87171", "#94a3b8"
_SIZE, _LINE, _ADVANCE = 13, 18, 7.85


class NotARun(Exception):
    """The log is not of a `make lab` that ended."""


def main(words: Sequence[str]) -> int:
    """Copy the ending of the log, if one is given, and draw the picture."""
    if any(words):
        try:
            KEPT.write_text(ending(Path(words[0]).read_text(errors="replace")))
        except (NotARun, OSError) as error:
            print(f"{words[0]}: {error}", file=sys.stderr)
            return 1
    PICTURE.write_text(picture(KEPT.read_text()))
    return 0


def ending(log: str) -> str:
    """The lines of a run that matter to a reader, in order. Raises `NotARun` for a log without the run's last words."""
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*[A-Za-z]|[^\n]*\r", "", log).splitlines()]
    if not any(line.startswith("from nothing to checked") for line in lines):
        raise NotARun(
            "no `from nothing to checked` in it, so it is not what a whole `make lab` wrote: make lab 2>&1 | tee lab.log"
        )
    kept, checks, in_table, left_out = ["$ make lab"], 0, False, False
    for line in lines:
        is_check = bool(_CHECK.match(line))
        checks += is_check
        in_table = bool(line) and (in_table or bool(_TABLE.match(line)))
        if (is_check and checks % _EACH == 1) or in_table or _STEP.match(line) or _WHOLE.match(line):
            # No dots between two checks: the dots after the last one stand for all that are left out.
            if left_out and not (is_check and _CHECK.match(kept[-1])):
                kept.append(_LEFT_OUT)
            kept.append(line[:_COLUMNS].rstrip())
            left_out = False
        elif line:
            left_out = True
        elif kept[-1]:
            kept.append("")
    return "\n".join(kept).rstrip() + "\n"


def picture(text: str) -> str:
    """The terminal as SVG."""
    lines = text.splitlines()
    width, height = int(_COLUMNS * _ADVANCE) + 40, len(lines) * _LINE + 70
    shapes = [box(0, 0, width, height, _BACKGROUND, radius=10)]
    shapes += (
        f'<circle cx="{22 + 20 * number}" cy="20" r="6" fill="{color}"/>'
        for number, color in enumerate(("#f87171", "#fbbf24", "#4ade80"))
    )
    for number, line in enumerate(lines):
        if line:
            shapes.append(
                f'<text x="20" y="{56 + number * _LINE}" font-family="{MONO}" font-size="{_SIZE}" fill="{_TEXT}" '
                f'xml:space="preserve">{"".join(_coloured(line))}</text>'
            )
    return document(width, height, "What `make lab` writes: steps, phases, checks, backups", shapes)


def _coloured(line: str) -> Iterator[str]:
    color, ends = _TEXT, 0
    if line == _LEFT_OUT:
        color, ends = _DIM, len(line)
    elif found := re.match(r"ok(?=\s)|\d+ of \d+ checks passed|from nothing to checked: \d+ s|\$ .*", line):
        color, ends = _GREEN, found.end()
    elif line.startswith("FAILED"):
        color, ends = _RED, len(line)
    if ends:
        yield f'<tspan fill="{color}">{escape(line[:ends])}</tspan>'
    rest, done, _ = line[ends:].rpartition("done")
    if done and line.endswith("done"):
        yield f'{escape(rest)}<tspan fill="{_GREEN}">done</tspan>'
    else:
        yield escape(line[ends:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
