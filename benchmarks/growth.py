"""Deploys `benchmarks.grown` on the lab's hosts, from a copy of the project whose stack `lab` is the grown fleet."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.driving import operate
from lab.lab import Lab

_COPIED = ("__main__.py", "Pulumi.yaml", "Pulumi.lab.yaml", "images.lock.yaml", "prices.yaml")
_PACKAGES = ("model", "services", "components", "stacks", "operations")
_UP = ("pulumi", "up", "--yes", "--skip-preview", "--stack", "lab", "--non-interactive")

_GROWN = """

_once = fleet


def fleet(settings, around):
    from benchmarks.grown import grown

    return grown(_once(settings, around), {times})
"""


@contextmanager
def deployed(lab: Lab, checkout: Path, times: int) -> Iterator[Path]:
    """The grown fleet; the directory from which it is deployed. `undo` takes the copies away again."""
    directory = lab.layout.directory / "growth"
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "benchmarks").mkdir(parents=True)
    for name in _COPIED:
        shutil.copy(checkout / name, directory)
    for name in _PACKAGES:
        shutil.copytree(checkout / name, directory / name)
    for name in ("__init__.py", "grown.py", "meter.py"):
        shutil.copy(checkout / "benchmarks" / name, directory / "benchmarks")
    (directory / ".lab").symlink_to(lab.layout.directory)
    with (directory / "stacks/fleets.py").open("a") as program:
        program.write(_GROWN.format(times=times))
    try:
        operate(lab, directory, "vpai-python", "-m", "operations", "ssh-config", "--stack", "lab")
        operate(lab, directory, *_UP)
        yield directory
    finally:
        shutil.rmtree(directory)


def undo(lab: Lab, checkout: Path) -> None:
    """The stack as it is committed."""
    operate(lab, checkout, *_UP)
