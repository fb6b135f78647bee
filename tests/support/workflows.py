"""`python -m tests.support.workflows [DIRECTORY]`: the workflows as actionlint and zizmor judge them; nothing is fetched."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.fleets import PROJECT

DIRECTORY = PROJECT / ".github/workflows"


def main() -> int:
    """Print what they find; 1 when it is anything."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY
    reported = judged(directory)
    print(reported, end="", file=sys.stderr)
    return int(bool(reported))


def judged(directory: Path) -> str:
    """What both say of the workflows in `directory`; empty when they find nothing."""
    programs, files = PROJECT / ".venv/bin", sorted(directory.glob("*.yml"))
    actions = sorted(directory.parent.glob("actions/*/action.yml"))
    commands: tuple[list[str | Path], ...] = (
        [programs / "actionlint", "-no-color", *files],
        [programs / "zizmor", "--offline", "--no-progress", "--quiet", "--color", "never", *files, *actions],
    )
    done = [subprocess.run(command, capture_output=True, text=True, cwd=PROJECT) for command in commands]
    return "".join(each.stdout + each.stderr for each in done if each.returncode)


def read(path: Path) -> dict[str, Any]:
    """A workflow; its `on` under that name, which YAML 1.1 takes for a truth value."""
    found: dict[Any, Any] = yaml.safe_load(path.read_text())
    return {"on" if key is True else key: value for key, value in found.items()}


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every step of every job, in order."""
    for job in workflow["jobs"].values():
        yield from job["steps"]


if __name__ == "__main__":
    sys.exit(main())
