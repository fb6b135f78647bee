"""Parts of the checkout, copied for a test while other tests run out of it."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from tests.support.fleets import CONFIGURATION, PROJECT


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


def last_commit(to: Path) -> None:
    """Make `to` a repository at the commit at which the checkout is, without what came before it."""
    shutil.rmtree(to / ".git", ignore_errors=True)
    with TemporaryDirectory() as tmpfs:
        clone = Path(tmpfs) / "clone"
        command = ["git", "clone", "--quiet", "--no-checkout", "--depth", "1", PROJECT.as_uri(), str(clone)]
        subprocess.run(command, check=True)
        shutil.move(clone / ".git", to / ".git")
    subprocess.run(["git", "reset", "--quiet"], cwd=to, check=True)


def unset(project: Path) -> None:
    """Make a copy as it is before an operator has set or looked up anything."""
    for file in CONFIGURATION.glob("Pulumi.*.yaml"):
        copy(file, project / file.name)
    lock = project / "images.lock.yaml"
    lock.write_text("".join(f"{image}: null\n" for image in yaml.safe_load(lock.read_text())))
    for name in ("hosts", "images.verified.yaml"):
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
