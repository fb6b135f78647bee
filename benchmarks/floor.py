"""The floor of engine and SDK: a flat program of as many resources as the lab's stack has, each of which costs nothing."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.driving import operate
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
    exported = json.loads(operate(lab, lab.layout.checkout, "pulumi", "stack", "export", "--stack", "lab"))
    count = len(exported["deployment"]["resources"])
    (directory / "Pulumi.yaml").write_text(f"name: {STACK}\nruntime: python\n")
    (directory / "__main__.py").write_text(_PROGRAM.format(count=count))
    operate(lab, directory, "pulumi", "stack", "select", "--create", STACK)
    try:
        operate(lab, directory, "pulumi", "up", "--yes", "--skip-preview", "--stack", STACK)
        yield directory
    finally:
        operate(lab, directory, "pulumi", "destroy", "--yes", "--skip-preview", "--remove", "--stack", STACK)
        shutil.rmtree(directory)
