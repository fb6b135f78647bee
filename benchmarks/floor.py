"""The floor of engine and SDK: a flat program of as many resources as the lab's stack has, each of which costs nothing."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.meter import Failed
from lab.lab import Lab

STACK = "floor"
_PROGRAM = """import pulumi_random

for number in range({count}):
    pulumi_random.RandomString(f"each-{{number}}", length=24)
"""


@contextmanager
def deployed(lab: Lab) -> Iterator[Path]:
    """The stack `floor` in the lab's operator, up; the directory from which it is driven. Gone afterwards, its state too."""
    directory = lab.layout.directory / STACK
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    exported = json.loads(_run(lab, lab.layout.checkout, "pulumi", "stack", "export", "--stack", "lab"))
    count = len(exported["deployment"]["resources"])
    (directory / "Pulumi.yaml").write_text(f"name: {STACK}\nruntime: python\n")
    (directory / "__main__.py").write_text(_PROGRAM.format(count=count))
    _run(lab, directory, "pulumi", "stack", "select", "--create", STACK)
    try:
        _run(lab, directory, "pulumi", "up", "--yes", "--skip-preview", "--stack", STACK)
        yield directory
    finally:
        _run(lab, directory, "pulumi", "destroy", "--yes", "--skip-preview", "--remove", "--stack", STACK)
        shutil.rmtree(directory)


def _run(lab: Lab, directory: Path, *command: str) -> str:
    done = lab.operator.run(command, directory=str(directory), check=False, timeout=600)
    if done.returncode:
        raise Failed(f"`{' '.join(command)}` failed in {directory}; it said last:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout
