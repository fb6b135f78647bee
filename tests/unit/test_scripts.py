"""Shell that runs on hosts, and in images of ours, is strict and clean."""

import shutil
import subprocess

import pytest

from components.host_script import SCRIPTS
from tests.fleets import PROJECT

ALL = sorted((*SCRIPTS.glob("*.sh"), *PROJECT.glob("images/*/*.sh")))


@pytest.mark.parametrize("script", ALL, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: object) -> None:
    assert shutil.which("shellcheck"), "make installs it: apt-get install shellcheck"
    subprocess.run(["shellcheck", "-s", "bash", str(script)], check=True)


@pytest.mark.parametrize("script", ALL, ids=lambda path: path.name)
def test_scripts_stop_at_the_first_error(script: object) -> None:
    assert "set -euo pipefail" in open(str(script)).read()  # noqa: PTH123, SIM115
