"""The tests of our own programs, written in Go: docker-proxy, the webhook gate, the auto-fix worker."""

import os
import subprocess

import pytest

from tests.fleets import PROJECT
from toolchain.golang import find_go
from toolchain.provision import cache_directory

PROGRAMS = sorted(path.parent.name for path in PROJECT.glob("images/*/go.mod"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_passes_its_own_tests(program: str) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    done = subprocess.run(
        [find_go(cache_directory()), "test", "./..."],
        cwd=PROJECT / "images" / program,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_program_is_forgotten() -> None:
    assert PROGRAMS == ["auto-fix", "docker-proxy", "webhook-gate"]
