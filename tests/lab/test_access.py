"""SSH and firewall of the hosts: one way in, which no change can close for good."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.engine import docker
from tests.lab.deployment import Deployment

HOSTS = ("sese", "seko", "waza")
REVERT_SECONDS = 10
BY_HAND = "ufw allow 804/tcp comment 'by hand'"
ANOTHER_REASON = ("model/firewall.py", ("WireGuard between mesh members", "WireGuard between members"))


@pytest.fixture
def untouched(_deployment: Deployment) -> Deployment:
    """The deployed stack for tests that only read: nothing is undone after them."""
    return _deployment


def logs_in(stack: Deployment, alias: str) -> bool:
    """Whether a new SSH connection succeeds."""
    words = ("timeout", "6", "ssh", "-F", ".vpai/lab/ssh_config", "-o", "ControlPath=none", alias, "--", "true")
    return stack.run(*words, check=False).returncode == 0


@pytest.mark.parametrize("host", HOSTS)
def test_sshd_answers_at_one_port_and_in_the_mesh_alone(untouched: Deployment, host: str) -> None:
    machine = getattr(untouched.lab, host)
    listens = machine.run(["sh", "-c", "ss -Hltnp | awk '/sshd/ {print $4}'"]).stdout.split()
    assert sorted(listens) == ["0.0.0.0:804", "[::]:804"]
    assert logs_in(untouched, f"{host}-mesh")
    assert not logs_in(untouched, f"{host}-public")
    assert not logs_in(untouched, f"{host}-first")


@pytest.mark.parametrize(
    "options",
    [("-l", "root"), ("-o", "PubkeyAuthentication=no", "-o", "BatchMode=no")],
    ids=["root", "a password"],
)
def test_nobody_but_the_deploying_user_gets_in_and_only_with_a_key(untouched: Deployment, options: tuple[str, ...]) -> None:
    ssh = ("timeout", "10", "ssh", "-F", ".vpai/lab/ssh_config", "-o", "ControlPath=none", *options, "sese-mesh", "--", "true")
    refused = untouched.run(*ssh, check=False)
    assert "Permission denied (publickey)" in refused.stdout


def test_an_up_without_changes_has_none(untouched: Deployment) -> None:
    untouched.up("--expect-no-changes")


def test_a_changed_opening_changes_the_access_of_the_hosts_that_have_it_and_nothing_else(stack: Deployment) -> None:
    stack.edit(*ANOTHER_REASON)
    assert stack.changes() == {f"{host}-{part}": "update" for host in HOSTS for part in ("access", "mesh-only")}
    stack.reset()
    stack.edit("services/headscale.py", ('protocol="udp", access=Access.PUBLIC', 'protocol="udp", access=Access.VPN'))
    assert stack.changes() == {"seko-access": "update", "seko-mesh-only": "update"}


def test_rules_that_close_ssh_go_back_and_the_error_says_so(stack: Deployment) -> None:
    stack.configure("revertSeconds", str(REVERT_SECONDS))
    stack.edit(
        "stacks/host_plan.py",
        (
            "firewall=firewall(placement),",
            "firewall=__import__('dataclasses').replace(plan, ssh=plan.openings[0]) "
            "if (plan := firewall(placement)) and placement.host.name == 'waza' else plan,",
        ),
    )
    failed = stack.up(check=False)
    assert failed.returncode != 0
    for reported in (
        "waza: after the change nobody could log in as waza-mesh (port 804), so the host took it back; SSH answers again after",
        f"nobody confirmed it within {REVERT_SECONDS} s",
        "open 804/tcp, 41641/udp and 3478/udp in its panel",
        "docs/runbooks/locked-out.md",
    ):
        assert reported in failed.stdout, failed.stdout
    assert "Traceback" not in failed.stdout
    assert logs_in(stack, "waza-mesh")


@contextmanager
def out_of_the_mesh(stack: Deployment) -> Iterator[None]:
    stack.run("tailscale", "down")
    try:
        yield
    finally:
        stack.run("tailscale", "up")


def test_a_machine_outside_of_the_mesh_is_told_so_at_once(stack: Deployment) -> None:
    stack.edit(*ANOTHER_REASON)
    with out_of_the_mesh(stack):
        start = time.monotonic()
        failed = stack.up(check=False)
        seconds = time.monotonic() - start
    assert failed.returncode != 0
    for reported in (
        "sese cannot be reached over SSH",
        "this machine is out of the mesh: it is Stopped",
        "docs/runbooks/mesh.md says how to join",
        "docs/runbooks/locked-out.md",
        "3 problems; nothing has been touched.",
    ):
        assert reported in failed.stdout, failed.stdout
    # Without the wait of a minute and more in which SSH, the mesh and Docker would try each host.
    assert seconds < 60


def test_ssh_is_not_closed_while_this_machine_is_out_of_the_mesh(stack: Deployment) -> None:
    """The situation at the end of a first deployment from a runner outside the mesh; here a person opened the hosts by hand."""
    for host in stack.lab.hosts:
        host.run(["sh", "-c", BY_HAND])
    stack.edit(*ANOTHER_REASON)
    with out_of_the_mesh(stack):
        failed = stack.up(check=False)
        assert failed.returncode != 0
        for reported in (
            "this machine cannot log in over the mesh, so SSH stays open to the public (keys only)",
            "this machine is out of the mesh: it is Stopped",
            "closing it now would lock you out",
            "docs/runbooks/mesh.md",
        ):
            assert reported in failed.stdout, failed.stdout
        assert all(logs_in(stack, f"{host}-public") for host in HOSTS)
    stack.up()
    assert not any(logs_in(stack, f"{host}-public") for host in HOSTS)
    assert all(logs_in(stack, f"{host}-mesh") for host in HOSTS)


def test_a_host_that_is_switched_off_hinders_nobody_and_keeps_what_it_has(stack: Deployment) -> None:
    stack.edit(*ANOTHER_REASON)
    stack.configure("offline[0]", "waza")
    docker("stop", stack.lab.waza.container)
    try:
        done = stack.up()
        assert "sese-access" in done.stdout
        assert "waza-" not in done.stdout
    finally:
        stack.lab.waza.start()
    assert "WireGuard between members" in stack.on_host("ufw", "status")
    assert "WireGuard between mesh members" in stack.lab.waza.run(["ufw", "status"]).stdout
