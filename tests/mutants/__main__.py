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

from tests.mutants.rooms import PROSE, ROOMS, Room
from tests.mutants.score import Mutant, Score, page, survivors_in

PROJECT = Path(__file__).parent.parent.parent
RESULTS, PAGE = PROJECT / "docs/proofs/mutants.json", PROJECT / "docs/proofs/mutants.md"
BINARIES = Path(sys.executable).parent

_SETTINGS = """
[tool.mutmut]
source_paths = {paths}
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
        mutants = measured(room, PROJECT / ".vpai/mutants" / name)
        score = Score.of(mutants, room.accepted)
        for mutant in survivors_in(mutants, room.accepted):
            print(f"\n{mutant.name}: {mutant.status}\n{mutant.change}")
        print(f"\n{name}: {score}, {(time.monotonic() - started) / 60:.1f} min", flush=True)
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        known[name] = {"first": score.as_row(), **known.get(name, {}), "now": score.as_row()}
        RESULTS.write_text(json.dumps(known, indent=2) + "\n")
        PAGE.write_text(page(known, ROOMS))


def measured(room: Room, copy: Path) -> tuple[Mutant, ...]:
    """Every mutant of the room, after its tests."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=PROJECT, capture_output=True, text=True, check=True)
    for file in listed.stdout.split("\n")[:-1]:
        if (PROJECT / file).is_file():
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / file, copy / file)
    whole = sorted(path.name for path in copy.iterdir())
    settings = _SETTINGS.format(
        paths=json.dumps(room.paths), copied=json.dumps(whole), prose=json.dumps(PROSE), tests=json.dumps(room.tests)
    )
    with (copy / "pyproject.toml").open("a") as file:
        file.write(settings)
    # One at a time and last in line: the machine has other work.
    subprocess.run(["nice", BINARIES / "mutmut", "run", "--max-children", "1"], cwd=copy, check=True)
    told = subprocess.run([sys.executable, Path(__file__).parent / "told.py"], cwd=copy, capture_output=True, text=True, check=True)
    return tuple(Mutant(**each) for each in json.loads(told.stdout))


main(sys.argv[1:])
