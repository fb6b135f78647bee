"""Hetzner servers with the real engine and the real provider, against the lab's cloud: every trap of the provider, once."""

import json
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from components.hetzner.host_key import HOST_KEY_LABEL, labelled_host_key
from components.host import sshd
from policy.program import Program, Resource
from policy.rule import ProgramRule, ResourceRule
from policy.rules import coverage, hetzner
from tests.engine.rented import Rented
from tests.support.hetzner import OTHER_KEY, PUBLIC_KEY, TOKEN, running


@pytest.fixture
def stack(tmp_path: Path, toolchain: Path) -> Iterator[Rented]:
    with running(action_seconds=0.01) as running_cloud:
        yield Rented(tmp_path, toolchain, running_cloud)


def test_a_server_is_made_kept_through_every_trap_and_leaves_nothing(stack: Rented) -> None:
    stack.want(
        network="10.77.0.0/24", spread=True, server={"private_address": "10.77.0.5", "backups": True, "keeps_address": True}
    )
    stack.up()
    server = stack.server()
    outputs = stack.outputs()
    assert outputs["address"] == server.public_net.ipv4.ip
    assert (server.server_type.name, server.location.name, server.image.name) == ("cx23", "fsn1", "debian-13")
    assert server.private_net[0].ip == "10.77.0.5"
    assert server.backup_window
    label = server.labels[HOST_KEY_LABEL]
    assert server.labels == {"stack": "test", HOST_KEY_LABEL: label}
    assert labelled_host_key(label) == outputs["host_key"], "the cloud says which key to pin"
    assert stack.api.ssh_keys.get_by_name("app-deploy").public_key == PUBLIC_KEY
    rules = stack.api.firewalls.get_by_name("app-01-firewall").rules
    assert {(rule.protocol, rule.port) for rule in rules} == {("tcp", "804"), ("tcp", "443")}
    _told_its_host_key(stack, outputs["host_key"])

    # A second run finds no difference, also after a refresh.
    stack.up("--refresh", "--expect-no-changes")

    # Another key, another image or other user data do not replace the server.
    stack.want(key=OTHER_KEY, server={**stack.wanted["server"], "image": "ubuntu-24.04", "labels": {"role": "app"}})
    stack.up()
    assert stack.server().id == server.id
    assert stack.server().labels == {"role": "app", "stack": "test", HOST_KEY_LABEL: label}
    assert stack.api.ssh_keys.get_by_name("app-deploy").public_key == OTHER_KEY

    # Fewer rules are applied; a rule that was added by hand is found and removed.
    stack.want(web=False)
    stack.up()
    assert [rule.port for rule in stack.api.firewalls.get_by_name("app-01-firewall").rules] == ["804"]
    # A type is changed in place, without a larger disk, so that the change can be undone.
    stack.want(server={**stack.wanted["server"], "type": "cx33"})
    stack.up()
    assert (stack.server().id, stack.server().server_type.name, stack.server().primary_disk_size) == (server.id, "cx33", 40)

    # A server is shut down before it is deleted.
    stack.cloud.requests.clear()
    stack.pulumi("destroy", "--yes", "--skip-preview")
    requests = stack.cloud.requests
    assert requests.index(f"POST /v1/servers/{server.id}/actions/shutdown") < requests.index(f"DELETE /v1/servers/{server.id}")
    assert stack.cloud.inventory(TOKEN) == {}


def _told_its_host_key(stack: Rented, public: str) -> None:
    """Cloud-init gets the private key of the pinned host key, and no secret that is of use elsewhere."""
    server = next(iter(stack.cloud.project(TOKEN).tables["servers"].values()))
    reported = json.loads(server["_user_data"].removeprefix("#cloud-config\n"))
    key = stack.directory / "key"
    key.write_text(reported["ssh_keys"].pop("ed25519_private"))
    key.chmod(0o600)
    shown = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
    assert shown.split()[:2] == public.split()[:2]
    # From its first boot sshd listens on the port that the cloud's firewall opens.
    files = {file["path"]: file["content"] for file in reported.pop("write_files")}
    assert files[sshd.DROP_IN] == "Port 804\n"
    assert "ListenStream=0.0.0.0:804" in files[sshd.SOCKET_DROP_IN]
    reported.pop("runcmd")
    assert reported == {
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {},
        "ssh_authorized_keys": [],
        "ssh_pwauth": False,
    }
    state = stack.pulumi("stack", "export").stdout
    assert "PRIVATE KEY" not in state


def test_what_is_protected_is_deleted_by_nobody(stack: Rented) -> None:
    labels = {"env": "prod", "owner": "ops"}
    stack.want(mesh=True, server={"protected": True, "backups": True, "keeps_address": True, "labels": labels})
    stack.up()
    assert _broken_rules(stack) == []
    refused = stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
    assert refused.returncode
    assert "protected" in refused.stdout
    assert stack.server()
    stack.want(server={"keeps_address": True})
    stack.up()
    stack.destroy()


RULES = (*hetzner.RULES, *coverage.RULES)
"""Coverage as well, since the provider adds defaults to the given inputs."""


def _broken_rules(stack: Rented) -> list[str]:
    """Findings of the policy pack on this deployment, judged as production."""
    program = Program(stack="prod", kind="production", today=date.today())
    for state in json.loads(stack.pulumi("stack", "export").stdout)["deployment"]["resources"]:
        program.learn(
            Resource(
                urn=state["urn"],
                type=state["type"],
                name=state["urn"].rpartition("::")[2],
                inputs=state.get("inputs", {}),
                protect=state.get("protect", False),
                ignore_changes=frozenset({"sshKeys", "userData", "image"}),  # not stored in a state
            )
        )
    asked = [rule.findings(program) for rule in RULES if isinstance(rule, ProgramRule)]
    for rule in RULES:
        if isinstance(rule, ResourceRule):
            asked += [rule.findings(resource, program) for resource in program.resources.values()]
    return [finding.what for findings in asked for finding in findings]


def test_a_firewall_with_a_new_name_keeps_its_rules(stack: Rented) -> None:
    stack.want()
    stack.up()
    firewall = stack.api.firewalls.get_by_name("app-01-firewall")
    stack.api.firewalls.update(firewall, name="renamed by hand")
    stack.up("--refresh")
    fixed = stack.api.firewalls.get_by_name("app-01-firewall")
    assert (fixed.id, len(fixed.rules)) == (firewall.id, 2)
    stack.api.firewalls.set_rules(firewall, [])
    stack.up("--refresh")
    assert len(stack.api.firewalls.get_by_name("app-01-firewall").rules) == 2
