"""Parts of the checkout, copied for a test while other tests run out of it."""

import shutil
import subprocess
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


def tracked(to: Path) -> None:
    """The whole checkout as git would commit it, uncommitted changes included; what a lab keeps there stays."""
    for path in set(to.glob("*")) - set(to.glob(".*")):
        (shutil.rmtree if path.is_dir() and not path.is_symlink() else Path.unlink)(path)
    listed = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, to / name)
