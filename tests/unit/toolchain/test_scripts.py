"""Every shell script of the repository is strict and clean."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleets import PROJECT

HEADERS = {"bash": "set -euo pipefail", "sh": "set -eu"}
"""The first command by shell; POSIX knows no pipefail."""

GOES_ON = {"components/scripts/installed/vpai-revert.sh": "set -uo pipefail"}
"""What stops at no error: of a change that locked somebody out, all that can go back does."""

SOURCED = ("toolchain/env.sh",)
"""Read into a shell that has options of its own."""


def scripts() -> Iterator[Path]:
    """By name or by first line, in every folder but what is made there."""
    folders = (folder for folder in PROJECT.iterdir() if folder.is_dir() and (folder.name == ".ci" or folder.name[0] != "."))
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and (path.suffix == ".sh" or (not path.suffix and shell(path))):
                yield path.relative_to(PROJECT)


def shell(script: Path) -> str:
    """`bash` or `sh` by its first line; empty where that names none."""
    with script.open("rb") as file:
        first = file.readline(80)
    found = re.match(rb"#!(?:/usr)?/bin/(?:env )?(bash|sh)\b", first)
    return found[1].decode() if found else ""


ALL = sorted(scripts())


def test_no_folder_is_overlooked() -> None:
    seen = {str(path.parent) for path in ALL}
    assert seen >= {
        *(".ci", "components/scripts", "components/scripts/installed", "images/auto-fix", "lab", "lab/images/operator"),
        *("operations/deploy", "tests", "toolchain", "toolchain/python"),
    }
    assert Path("lab/images/operator/vpai-python") in ALL, "a script without .sh"
    assert len(ALL) >= 45


@pytest.mark.parametrize("script", ALL, ids=str)
def test_shellcheck_finds_nothing(script: Path) -> None:
    assert shutil.which("shellcheck"), "make installs it: apt-get install shellcheck"
    kind = shell(PROJECT / script) or "bash"
    done = subprocess.run(["shellcheck", "-s", kind, str(PROJECT / script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", ALL, ids=str)
def test_scripts_stop_at_the_first_error(script: Path) -> None:
    lines = (PROJECT / script).read_text().splitlines()
    first = next(line for line in lines if line and not line.startswith("#"))
    if str(script) in SOURCED:
        assert lines[0].startswith("# Source this")
        assert not [line for line in lines if line.startswith("set ")], "the shell that reads it would change"
    else:
        assert first == GOES_ON.get(str(script), HEADERS[shell(PROJECT / script) or "bash"])
