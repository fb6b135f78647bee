"""Before any change the real Caddy checks the new Caddyfile; local shells stand in for the hosts."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.ssh.host_script import NO_ANSWER, SshHost, text
from model.fleet import Fleet
from model.placement import Placement
from model.service import File
from services import redis
from stacks import preflight
from tests.support.fleets import EMPTY_LOCK, inputs, placement

# The engine's `docker run ... --entrypoint COMMAND IMAGE ARGUMENT...`, without a container.
_DOCKER = """#!/bin/bash
[[ $1 == version ]] && exit
[[ $1 == manifest ]] && { sleep "${REGISTRY_TAKES:-0}"; exit; }
[[ $1 == image ]] && exit "${IMAGE_MISSING:-0}"
[[ $1 == ps ]] && { echo "${RUNNING:-}"; exit; }
while [[ $1 != --entrypoint ]]; do shift; done
command=$2; shift 3
exec "$command" "$@"
"""


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, toolchain: Path, tmp_path: Path) -> Path:
    """Run the hosts' scripts on this machine; returns the directory that stands for /opt/javisi."""
    for name, program in (("docker", _DOCKER), ("systemctl", "#!/bin/sh\n")):
        (tmp_path / name).write_text(program)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "ufw.rules").touch()
    (tmp_path / "config/caddy/current").mkdir(parents=True)
    path = f"{tmp_path}:{toolchain / 'bin'}:{os.environ['PATH']}"

    def run(_: SshHost, script: str, arguments: list[str], payload: str = "", *, seconds: float) -> object:
        here = [argument.replace("/opt/javisi", str(tmp_path)) for argument in arguments]
        return subprocess.run(
            ["bash", "-s", "--", *here],
            input=text(script).replace("/etc/vpai/ufw.rules", str(tmp_path / "ufw.rules")) + payload,
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**os.environ, "PATH": path, "HOME": str(tmp_path)},
        )

    monkeypatch.setattr(SshHost, "run", run)
    return tmp_path


def fleet(*placements: Placement) -> Fleet:
    return Fleet(project="javisi", domain="vpai.test", placements=placements, mesh=None, image_lock=EMPTY_LOCK)


def broken() -> Fleet:
    [caddy] = [service for service in placement().services if service.name == "caddy"]
    assert caddy.configuration
    file = File(path="Caddyfile", content=caddy.configuration.files[0].content + "nobody.vpai.test {\n\tno_such_directive\n}\n")
    worse = replace(caddy, configuration=replace(caddy.configuration, files=(file, *caddy.configuration.files[1:])))
    return fleet(placement(*(worse if service.name == "caddy" else service for service in placement().services)))


def test_a_caddyfile_that_caddy_refuses_stops_the_deployment_with_its_own_words(shell: Path) -> None:
    [problem] = preflight.problems(broken(), "ssh_config", "")
    assert "caddy would refuse its new Caddyfile" in problem.what
    assert "unrecognized directive: no_such_directive" in problem.what


def test_the_whole_catalogues_caddyfile_is_accepted(shell: Path) -> None:
    assert preflight.problems(fleet(placement()), "ssh_config", "") == ()


def test_on_a_host_without_the_image_or_the_service_nothing_is_asked(shell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_MISSING", "1")
    assert preflight.problems(broken(), "ssh_config", "") == ()
    monkeypatch.setenv("IMAGE_MISSING", "0")
    (shell / "config/caddy/current").rmdir()
    assert preflight.problems(broken(), "ssh_config", "") == ()


def test_data_whose_keys_the_state_does_not_have_is_not_built_upon(shell: Path) -> None:
    """Happens in an `up` from a new checkout without the state, or with a new service that has an old one's name."""
    whole = fleet(placement())
    every = {secret.name for secret in whole.secrets() if secret.irreplaceable}
    (shell / "data/n8n").mkdir(parents=True)
    (shell / "data/postgresql").mkdir()

    def reported(unknown: set[str]) -> list[str]:
        return [problem.what.partition(" holds data")[0] for problem in preflight.problems(whole, "ssh_config", "", unknown)]

    assert reported(every) == [], "nothing is there yet"
    for name in ("n8n", "postgresql"):
        (shell / f"data/{name}/x").write_text("x")
    assert reported(set()) == []
    assert reported(every) == ["sese: /opt/javisi/data/postgresql", "sese: /opt/javisi/data/n8n"], (
        "passwords are in databases too"
    )
    [problem] = preflight.problems(whole, "ssh_config", "", {"n8n_encryption_key"})
    assert "n8n holds data, and the state has no n8n_encryption_key" in problem.what
    assert "vpai:kept.n8n_encryption_key" in problem.example


def test_a_slow_registry_is_told_as_one_and_not_as_a_dead_host(shell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert preflight.REGISTRY_SECONDS < preflight._SECONDS
    monkeypatch.setattr(preflight, "REGISTRY_SECONDS", 1)
    monkeypatch.setattr(preflight, "_SECONDS", 15)
    monkeypatch.setenv("REGISTRY_TAKES", "60")
    reported = [problem.what for problem in preflight.problems(fleet(placement(redis.service())), "ssh_config", "")]
    image = EMPTY_LOCK.reference(redis.service().image, "")
    assert reported == [f"sese can get no image {image}: its registry has not answered within 1 s"]


def test_a_machine_that_is_not_ours_yet_is_not_asked(shell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shell / "ufw.rules").unlink()
    asked = SshHost.run

    def first_user_alone(self: SshHost, script: str, *rest: Any, seconds: float) -> Any:
        """The state after an interrupted `up`, when the server exists and only its first user can log in."""
        known = self.alias.endswith("-first")
        return asked(self, script, *rest, seconds=seconds) if known else subprocess.CompletedProcess([], NO_ANSWER, "", "denied")

    monkeypatch.setattr(SshHost, "run", first_user_alone)
    assert preflight.problems(broken(), "ssh_config", "") == ()


def test_a_fresh_machine_in_the_place_of_a_host_is_told_before_an_up_finds_nothing_to_do_on_it(
    shell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = SshHost.run

    def first_user_alone(self: SshHost, script: str, *rest: Any, seconds: float) -> Any:
        known = self.alias.endswith("-first")
        return asked(self, script, *rest, seconds=seconds) if known else subprocess.CompletedProcess([], NO_ANSWER, "", "denied")

    monkeypatch.setattr(SshHost, "run", first_user_alone)
    [problem] = preflight.problems(fleet(placement()), "ssh_config", "", deployed={"sese", "seko"})
    assert "sese is a machine as its provider hands it over, and the state says that everything stands there" in problem.what
    assert problem.example == "make replace-host HOST=sese"
    assert preflight.problems(fleet(placement()), "ssh_config", "", deployed={"seko"}) == ()


def test_a_backup_that_would_not_fit_beside_the_data_is_told_before_anything_is_touched(shell: Path) -> None:
    [sese] = [placement for placement in inputs("lab").fleet.placements if placement.host.name == "sese"]
    assert "redis" in preflight.staged_directories(sese)
    assert "qdrant/snapshots" not in preflight.staged_directories(sese), "of what is not backed up nothing is staged"
    assert preflight.staged_directories(replace(sese, backup=None)) == ()
    whole = fleet(replace(sese, services=(redis.service(),)))

    def reported(free_mib: int) -> list[str]:
        (shell / "df").write_text(f"#!/bin/sh\necho head; echo disk 1 1 {free_mib} 1 /\n")
        (shell / "df").chmod(0o755)
        found = [problem.what for problem in preflight.problems(whole, "ssh_config", "")]
        return [sentence for sentence in found if "a backup needs" in sentence]

    (shell / "data/redis").mkdir(parents=True)
    (shell / "data/loki").mkdir()
    (shell / "data/redis/dump.rdb").write_bytes(os.urandom(900 << 20 >> 4))
    (shell / "data/loki/chunk").write_bytes(os.urandom(1 << 20))
    needed = 512 + 57  # the directory takes one more block
    assert reported(needed + 1) == []
    assert reported(needed - 2) == [
        f"sese: a backup needs up to {needed} MiB beside the data, and {needed - 2} MiB are free, what is staged now included"
    ]
    (shell / "backups/staging/run").mkdir(parents=True)
    (shell / "backups/staging/run/dump.rdb").write_bytes(os.urandom(3 << 20))
    assert reported(needed - 2) == [], "which goes first"


def test_what_an_image_runs_on_already_is_not_asked_again_but_of_another_image_it_is(
    shell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [caddy] = [service for _, service in broken().services() if service.name == "caddy"]
    assert caddy.configuration
    (shell / "config/caddy/current/Caddyfile").write_text(caddy.configuration.files[0].content)
    assert len(preflight.problems(broken(), "ssh_config", "")) == 1
    monkeypatch.setenv("RUNNING", "0123456789ab")
    assert preflight.problems(broken(), "ssh_config", "") == ()
    assert preflight.problems(fleet(placement()), "ssh_config", "") == ()
