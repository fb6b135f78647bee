"""The real configuration.sh: the last three versions stay, and whatever a container mounts."""

import os
from pathlib import Path

import pytest

from components import archive
from tests.support.shell import run, stub

VERSIONS = [f"{number}" * 8 for number in range(1, 7)]


def applied(tmp_path: Path, docker: str) -> list[str]:
    """The versions that are left after six were applied, one after the other."""
    stub(tmp_path / "bin", "docker", docker)
    directory = tmp_path / "config"
    for number, version in enumerate(VERSIONS):
        payload = archive.packed({"a": {"content": version, "mode": "0400"}}, f"{Path.home().stat().st_uid}:0")
        done = run("configuration.sh", "apply", str(directory), version, payload=payload, programs=tmp_path / "bin")
        assert done.returncode == 0, done.stderr
        # The order is that of their times, in whole seconds on some file systems.

        os.utime(directory / version, (number, number))
    run("configuration.sh", "apply", str(directory), VERSIONS[-1], payload=payload, programs=tmp_path / "bin")
    return sorted(path.name for path in directory.iterdir())


def test_three_versions_stay(tmp_path: Path) -> None:
    assert applied(tmp_path, "") == VERSIONS[-3:]


def test_what_still_serves_after_failed_ups_stays(tmp_path: Path) -> None:
    mounted = f"case $1 in ps) echo id ;; inspect) echo {tmp_path}/config/{VERSIONS[0]}; echo /opt/javisi/data/x ;; esac"
    assert applied(tmp_path, mounted) == [VERSIONS[0], *VERSIONS[-3:]]


@pytest.mark.parametrize("docker", ["exit 1", "[[ $1 == ps ]] && echo id"])
def test_where_docker_does_not_answer_nothing_is_taken_away(tmp_path: Path, docker: str) -> None:
    assert applied(tmp_path, docker) == VERSIONS
