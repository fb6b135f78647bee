"""Mutation testing: functions are changed one place at a time, and a test has to turn red.

`python -m tests.mutants [room ...]`. mutmut makes the mutants, in a copy below .vpai/, and runs the tests that call what it
changed. The scores go to docs/proofs/mutants.json and mutants.md; what survived is printed.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.rooms import PROSE, ROOMS, Part, Room
from tests.mutants.score import Mutant, Score, page, survivors_in
from tests.support.copies import tracked
from tests.support.fleets import PROJECT

RESULTS, PAGE = PROJECT / "docs/proofs/mutants.json", PROJECT / "docs/proofs/mutants.md"
BINARIES = Path(sys.executable).parent

_MINUTES = 20
"""For each part of a room; what was not asked by then is said and not counted."""

_SETTINGS = """
[tool.mutmut]
source_paths = {paths}
only_mutate = {files}
also_copy = {copied}
do_not_mutate_patterns = {prose}
pytest_add_cli_args_test_selection = {tests}
use_git_change_detection = false
"""


def main(names: Sequence[str]) -> None:
    """Measure the rooms of these names, or all."""
    if unknown := sorted(set(names) - set(ROOMS)):
        raise SystemExit(f"no room {', '.join(unknown)}; there are {', '.join(ROOMS)}, e.g. `make mutants ROOM=model`")
    for name in names or ROOMS:
        room, started = ROOMS[name], time.monotonic()
        mutants = [mutant for number, part in enumerate(room.parts) for mutant in measured(room, part, f"{name}-{number}")]
        score = Score.of(mutants, room.accepted)
        for mutant in survivors_in(mutants, room.accepted):
            print(f"\n{mutant.name}: {mutant.status}\n{mutant.change}")
        print(f"\n{name}: {score}, {(time.monotonic() - started) / 60:.1f} min", flush=True)
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        known[name] = {"first": known.get(name, {}).get("first", score.as_row()), "now": score.as_row()}
        RESULTS.write_text(json.dumps(known, indent=2) + "\n")
        PAGE.write_text(page(known, ROOMS))


def measured(room: Room, part: Part, name: str) -> tuple[Mutant, ...]:
    """Every mutant of a part, after its tests."""
    copy = PROJECT / ".vpai/mutants" / name
    shutil.rmtree(copy, ignore_errors=True)
    tracked(copy)
    settings = _SETTINGS.format(
        paths=json.dumps([room.path]),
        files=json.dumps(part.files),
        copied=json.dumps(sorted(path.name for path in copy.iterdir())),
        prose=json.dumps(PROSE),
        tests=json.dumps(part.tests),
    )
    with (copy / "pyproject.toml").open("a") as file:
        file.write(settings)
    # One at a time and last in line: the machine has other work.
    command = ["timeout", "-s", "INT", f"{_MINUTES}m", "nice", str(BINARIES / "mutmut"), "run", "--max-children", "1"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    reported = subprocess.run(
        [sys.executable, Path(__file__).parent / "told.py"], cwd=copy, capture_output=True, text=True, check=True
    )
    mutants = tuple(Mutant(**each) for each in json.loads(reported.stdout))
    if not mutants or all(mutant.status == "not checked" for mutant in mutants):
        raise SystemExit(f"{name}: mutmut asked nothing:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
    print(f"{name}: {Score.of(mutants, room.accepted)}", flush=True)
    return mutants


main([room for room in sys.argv[1:] if room])  # make hands an empty one on
