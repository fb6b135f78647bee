"""The tests of our own programs, written in Go: docker-proxy, the webhook gate, the auto-fix worker, the command provider."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.fleets import PROJECT
from toolchain.build import TAGS
from toolchain.golang import find_go
from toolchain.provision import cache_directory

PROGRAMS = sorted(path.parent.name for path in PROJECT.glob("images/*/go.mod"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_passes_its_own_tests(program: str) -> None:
    _go_test(PROJECT / "images" / program, GOWORK="off")


def test_the_command_provider_passes_its_own_tests() -> None:
    # The toolchain's workspace and flags, so that what it compiled is not compiled again.
    _go_test(PROJECT / "toolchain/command", "-trimpath", "-tags", TAGS)


def test_no_program_is_forgotten() -> None:
    assert PROGRAMS == ["auto-fix", "docker-proxy", "webhook-gate"]


def _go_test(directory: Path, *flags: str, **environment: str) -> None:
    done = subprocess.run(
        [find_go(cache_directory()), "test", *flags, "./..."],
        cwd=directory,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
