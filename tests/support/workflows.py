"""`python -m tests.support.workflows [DIRECTORY]`: checks the workflows with actionlint and zizmor; downloads nothing."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.fleets import PROJECT

DIRECTORY = PROJECT / ".github/workflows"


def main() -> int:
    """Print their findings; 1 when there are any."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY
    reported = judged(directory)
    print(reported, end="", file=sys.stderr)
    return int(bool(reported))


def judged(directory: Path) -> str:
    """The findings of both on the workflows in `directory`; empty when there are none."""
    programs, files = PROJECT / ".venv/bin", sorted(directory.glob("*.yml"))
    actions = sorted(directory.parent.glob("actions/*/action.yml"))
    commands: tuple[list[str | Path], ...] = (
        [programs / "actionlint", "-no-color", *files],
        [programs / "zizmor", "--offline", "--no-progress", "--quiet", "--color", "never", *files, *actions],
    )
    done = [subprocess.run(command, capture_output=True, text=True, cwd=PROJECT) for command in commands]
    return "".join(process.stdout + process.stderr for process in done if process.returncode)


def read(path: Path) -> dict[str, Any]:
    """A workflow, with its key `on`, which YAML 1.1 reads as a boolean."""
    found: dict[Any, Any] = yaml.safe_load(path.read_text())
    return {"on" if key is True else key: value for key, value in found.items()}


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every step of every job, in order."""
    for job in workflow["jobs"].values():
        yield from job["steps"]


if __name__ == "__main__":
    sys.exit(main())
