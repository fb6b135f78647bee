"""Copies parts of the checkout for a test, while other tests use the checkout."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from tests.support.fleets import CONFIGURATION, PROJECT


def copy(source: Path, to: Path) -> None:
    """Copy a file or a directory, without the bytecode that Python may write there at any time."""
    if source.is_dir():
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, to)


def checkout(to: Path) -> None:
    """Copy all that a program needs for a preview."""
    shutil.copytree(PROJECT, to, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests", "lab", "toolchain"))


def tracked(to: Path) -> None:
    """Copy the whole checkout as git would commit it, with uncommitted changes; a lab's files in `to` stay."""
    for path in set(to.glob("*")) - set(to.glob(".*")):
        (shutil.rmtree if path.is_dir() and not path.is_symlink() else Path.unlink)(path)
    listed = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, to / name)


def last_commit(to: Path) -> None:
    """Make `to` a git repository with the checkout's commit alone, without its history."""
    shutil.rmtree(to / ".git", ignore_errors=True)
    with TemporaryDirectory() as tmpfs:
        clone = Path(tmpfs) / "clone"
        command = ["git", "clone", "--quiet", "--no-checkout", "--depth", "1", PROJECT.as_uri(), str(clone)]
        subprocess.run(command, check=True)
        shutil.move(clone / ".git", to / ".git")
    subprocess.run(["git", "reset", "--quiet"], cwd=to, check=True)


def unset(project: Path) -> None:
    """Reset a copy to the time before an operator has set or looked up anything."""
    for file in CONFIGURATION.glob("Pulumi.*.yaml"):
        copy(file, project / file.name)
    lock = project / "images.lock.yaml"
    lock.write_text("".join(f"{image}: null\n" for image in yaml.safe_load(lock.read_text())))
    for name in ("hosts", "images.verified.yaml"):
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
