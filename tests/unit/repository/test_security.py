"""docs/security.md is true: what is computed is fresh, the tests it names exist, and nothing that root runs is left out."""

import re
from dataclasses import replace
from datetime import date

import pytest

from components.ssh.host_script import SCRIPTS
from model.service import HostMount
from operations.reference.catalogue import example_fleet
from operations.reference.security import PAGE, page
from tests.support.fleets import PROJECT, placement

TEXT = PAGE.read_text()
FLEET = example_fleet()


def test_the_computed_part_is_what_make_docs_writes() -> None:
    assert page(TEXT, FLEET) == TEXT, "make docs"


def test_every_container_has_a_row() -> None:
    for machine, service in FLEET.services():
        assert f"| {machine.host.name}/{service.name} | {service.uid} |" in TEXT


def test_every_test_that_it_names_exists() -> None:
    named = re.findall(r"`(tests/\S+\.py)(?:::(\w+))?`", TEXT)
    assert len(named) > 20
    for path, name in named:
        assert re.search(rf"def {name}\(", (PROJECT / path).read_text()), f"{path} has no test {name}"


@pytest.mark.parametrize(
    "foothold",
    [
        *("a stranger", "a VPN member", "a container", "the hub", "the workstation", "the key that deploys"),
        *("a pull request's author", "a dispatcher", "the state's bucket"),
    ],
)
def test_each_foothold_is_answered_and_shown(foothold: str) -> None:
    [row] = [line for line in TEXT.splitlines() if re.match(rf"\| {foothold}( of a workflow|, as root)? \|", line)]
    assert "`tests/" in row


def test_whatever_root_runs_is_listed() -> None:
    _, _, rest = TEXT.partition("## What root runs")
    listed = set(re.findall(r"`([\w*.-]+)`", rest.partition("\n## ")[0]))
    scripts = {path.name for path in (*SCRIPTS.glob("*.sh"), *(PROJECT / "operations").rglob("*.sh"))}
    installed = {path.stem for path in (SCRIPTS / "installed").glob("*.sh")}
    assert scripts | installed <= listed
    tasks = {task.name for _, service in FLEET.services() for task in service.tasks}
    patterns = [name.removesuffix("*") for name in listed if name.endswith("*")]
    assert not {task for task in tasks if task not in listed and not task.startswith(tuple(patterns))}


def test_a_root_that_sees_dockers_socket_is_root_of_its_host() -> None:
    """Read-only or not: a socket is opened, not written."""
    by_name = {service.name: service for _, service in FLEET.services()}
    assert {name for name, service in by_name.items() if service.opens_docker} == {"docker-proxy", "cadvisor"}
    whole = HostMount(path="/", container_path="/host", reason="x", until=date(2027, 5, 31))
    redis = next(service for service in placement().services if service.name == "redis")
    assert not replace(redis, host_mounts=(whole,)).opens_docker, "its user may not"
    assert replace(redis, host_mounts=(whole,), user="0:0").opens_docker
    assert not replace(redis, host_mounts=(whole,), user="0:0", tmpfs=("/host/run",)).opens_docker
    assert replace(redis, host_mounts=(whole,), user="0:0", tmpfs=("/host/run/lock",)).opens_docker
