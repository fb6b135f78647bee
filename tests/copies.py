"""Parts of the checkout, copied for a test while other tests run out of it."""

import shutil
from pathlib import Path


def copy(source: Path, to: Path) -> None:
    """A file or a directory, without what Python compiles there at any moment."""
    if source.is_dir():
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, to)
