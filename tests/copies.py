"""Parts of the checkout, copied for a test while other tests run out of it."""

import shutil
from pathlib import Path

from tests.fleets import PROJECT


def copy(source: Path, to: Path) -> None:
    """A file or a directory, without what Python compiles there at any moment."""
    if source.is_dir():
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, to)


def checkout(to: Path) -> None:
    """All that a program needs to be previewed somewhere else."""
    shutil.copytree(PROJECT, to, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests", "lab", "toolchain"))
