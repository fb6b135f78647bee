"""The mesh as its members see it: names, addresses, members, and who decides on the policy."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from components.docker.docker_host import LABEL_SERVICE
from lab import Lab, Machine
from model.mesh import records
from tests.lab.deployment import Deployment
from tests.support.fleets import inputs
from tests.support.waiting import until

MERGED = "/opt/javisi/data/headscale-mesh"
HEADSCALE = f"{LABEL_SERVICE}=headscale"
KEY = r"hskey-auth-[A-Za-z0-9_-]{20,}"
"""Pattern of a pre-auth key."""

_PUBLIC_SSH = "allow 804/tcp"
_FLEET = inputs("prod").fleet
VPN_SITES = records("vpai.test", _FLEET.placements)

_HOLD = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 443), timeout=5):
    print("connected", flush=True)
    time.sleep(5)
"""


def test_every_vpn_site_leads_each_member_to_its_hosts_mesh_address(lab: Lab, _deployment: Deployment) -> None:
    assert VPN_SITES
    for member in _members(lab):
        for name, host in VPN_SITES.items():
            assert _resolve(member, name) == {_address(lab, host)}, f"{name} on {member.name}"


def test_the_login_server_keeps_its_public_address_everywhere(lab: Lab, _deployment: Deployment) -> None:
    for machine in (*_members(lab), lab.outsider):
        assert _resolve(machine, "singa.vpai.test") == {lab.addresses.on_internet("seko")}, machine.name


def test_a_site_sees_each_client_under_its_own_address(lab: Lab, _deployment: Deployment) -> None:
    """Required by ADR 9: neither Docker nor tailscaled replaces the client's address by its own."""
    for host in ("sese", "seko"):
        target = _machine(lab, host)
        caddy = target.run(["docker", "ps", "-q", "--filter", f"label={LABEL_SERVICE}=caddy"]).stdout.strip()
        pid = target.run(["docker", "inspect", "-f", "{{.State.Pid}}", caddy]).stdout.strip()
        expected = (
            (lab.operator, _address(lab, host), _address(lab, "operator")),
            (lab.waza, _address(lab, host), _address(lab, "waza")),
            (lab.outsider, lab.addresses.on_internet(host), lab.addresses.on_internet("outsider")),
        )
        for client, address, own in expected:
            with _connected(client, address):
                seen = target.run(["nsenter", "-n", "-t", pid, "ss", "-Htn", "state", "established", "sport", "=", ":443"]).stdout
            assert re.search(rf"(\[::ffff:)?{re.escape(own)}\]?:\d+\s*$", seen, re.MULTILINE), f"{client.name}: {seen}"


def test_no_pre_auth_key_is_in_the_state_or_left_on_a_machine(lab: Lab, stack: Deployment) -> None:
    key = json.loads(_headscale(lab, "preauthkeys", "create", "--tags", "tag:waza", "--expiration", "1m", "-o", "json"))
    _headscale(lab, "preauthkeys", "delete", "--id", str(key["id"]))
    assert re.fullmatch(KEY, key["key"]), "what is looked for below is what keys look like"
    assert not re.search(KEY, stack.pulumi("stack", "export", "--show-secrets").stdout)
    for machine in (*lab.hosts, lab.operator):
        assert not machine.run(["sh", "-c", "ls /run/vpai-key.* 2>/dev/null"], check=False).stdout


def test_an_expired_member_comes_back_under_its_address(lab: Lab, stack: Deployment) -> None:
    before = _node(lab, "waza")
    _headscale(lab, "nodes", "expire", "--identifier", str(before["id"]))
    _lose_mesh(lab)
    stack.up("--refresh")
    after = _node(lab, "waza")
    assert (after["id"], after["ip_addresses"]) == (before["id"], before["ip_addresses"])
    _assert_over_the_mesh_alone(lab)


def test_another_stacks_part_is_merged_and_withdrawn_without_touching_ours(lab: Lab, stack: Deployment) -> None:
    before, policy = _part(lab, "parts/lab.part"), _part(lab, "policy.json")
    rule = {"action": "accept", "src": ["tag:operator"], "dst": ["tag:preprod:804"]}
    theirs = {"policy": {"tagOwners": {"tag:preprod": []}, "acls": [rule]}, "records": {"llm.pr-1.vpai.test": "waza"}}
    try:
        _publish(lab, stack, "pr-1", theirs)
        merged = json.loads(_part(lab, "policy.json"))
        assert rule in merged["acls"]
        assert all(ours in merged["acls"] for ours in json.loads(policy)["acls"])
        until(lambda: _resolve(lab.operator, "llm.pr-1.vpai.test") == {_address(lab, "waza")}, 10)
        assert _part(lab, "parts/lab.part") == before
    finally:
        _hub_script(lab, stack, "withdraw", "pr-1")
    assert _part(lab, "parts/lab.part") == before
    assert _part(lab, "policy.json") == policy
    # Headscale has loaded two policies; Docker must not count that as a stop by hand (moby issue 41302).
    container = f"/var/lib/docker/containers/$(docker ps -q --no-trunc --filter label={HEADSCALE})/config.v2.json"
    assert lab.seko.run(["sh", "-c", f"jq .HasBeenManuallyStopped {container}"]).stdout.strip() == "false"
    until(lambda: _address(lab, "waza") not in _resolve(lab.operator, "llm.pr-1.vpai.test"), 10)
    for name, host in VPN_SITES.items():
        assert _resolve(lab.operator, name) == {_address(lab, host)}


def test_a_policy_that_headscale_refuses_leaves_the_old_one_in_force(lab: Lab, stack: Deployment) -> None:
    before, part = _part(lab, "policy.json"), _part(lab, "parts/lab.part")
    stack.edit("model/mesh.py", ('"action": "accept"', '"action": "perhaps"'))
    failed = stack.up(check=False)
    assert failed.returncode != 0
    assert "Headscale refuses the policy; the old one stays in force." in failed.stdout
    assert "perhaps" in failed.stdout, "Headscale's own words"
    assert _part(lab, "policy.json") == before
    assert _part(lab, "parts/lab.part") == part
    assert _answers(lab, "waza")


def _lose_mesh(lab: Lab) -> None:
    """Wait until waza has lost the mesh, then simulate the time after which its rescue opens SSH to the public."""
    until(lambda: not _answers(lab, "waza"), 15)
    lab.waza.run(["sh", "-c", "echo 1 >/run/vpai-without-mesh"])
    _look_for_mesh(lab)
    assert _PUBLIC_SSH in lab.waza.run(["ufw", "show", "added"]).stdout


def _assert_over_the_mesh_alone(lab: Lab) -> None:
    until(lambda: _answers(lab, "waza"), 20)
    _look_for_mesh(lab)
    assert _PUBLIC_SSH not in lab.waza.run(["ufw", "show", "added"]).stdout


def _look_for_mesh(lab: Lab) -> None:
    """Run the check that waza runs every minute."""
    lab.waza.run(["systemctl", "start", "vpai-rescue.service"])


def _answers(lab: Lab, host: str) -> bool:
    """Whether the operator gets the SSH banner of `host` over the mesh."""
    ask = f"exec 3<>/dev/tcp/{host}.na.vpai.test/804; read -t 3 -u 3 banner; [[ $banner == SSH-* ]]"
    return lab.operator.run(["timeout", "5", "bash", "-c", ask], check=False).returncode == 0


def _members(lab: Lab) -> tuple[Machine, ...]:
    return (lab.operator, *lab.hosts)


def _machine(lab: Lab, name: str) -> Machine:
    return next(machine for machine in _members(lab) if machine.name == name)


def _address(lab: Lab, name: str) -> str:
    return _machine(lab, name).run(["tailscale", "ip", "-4"]).stdout.strip()


def _resolve(machine: Machine, name: str) -> set[str]:
    """The addresses that the machine's own programs resolve `name` to."""
    found = machine.run(["getent", "ahostsv4", name], check=False).stdout
    return {line.split()[0] for line in found.splitlines()}


def _headscale(lab: Lab, *words: str) -> str:
    container = lab.seko.run(["docker", "ps", "-q", "--filter", f"label={HEADSCALE}"]).stdout.strip()
    return lab.seko.run(["docker", "exec", container, "headscale", *words]).stdout


def _node(lab: Lab, name: str) -> dict[str, object]:
    nodes = json.loads(_headscale(lab, "nodes", "list", "-o", "json"))
    [node] = [node for node in nodes if node["given_name"] == name]
    return dict(node)


def _part(lab: Lab, name: str) -> str:
    return lab.seko.run(["cat", f"{MERGED}/{name}"]).stdout


def _publish(lab: Lab, stack: Deployment, name: str, part: object) -> None:
    _hub_script(lab, stack, "publish", name, json.dumps(part))


def _hub_script(lab: Lab, stack: Deployment, action: str, name: str, payload: str = "") -> None:
    script = (stack.directory / "components/scripts/mesh_hub.sh").read_text()
    lab.seko.run(["bash", "-c", script, "mesh_hub.sh", action, HEADSCALE, MERGED, name], input=payload)


@contextmanager
def _connected(client: Machine, address: str) -> Iterator[None]:
    command = [*client.exec_command(), "python3", "-c", _HOLD, address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout
        assert held.stdout.readline() == "connected\n", client.name
        yield
        held.terminate()


def test_a_member_that_the_hub_forgot_joins_again_under_its_name(lab: Lab, stack: Deployment) -> None:
    before = _node(lab, "waza")
    _headscale(lab, "nodes", "delete", "--identifier", str(before["id"]), "--force")
    _lose_mesh(lab)
    stack.up("--refresh")
    assert _node(lab, "waza")["id"] != before["id"]
    _assert_over_the_mesh_alone(lab)


def test_sshd_of_a_host_passes_ssh_audit(lab: Lab, _deployment: Deployment) -> None:
    """ssh-audit reports no failure for the algorithms of port 804."""
    offered = lab.operator.run(
        ["vpai-python", "-m", "ssh_audit", "--json", "--port", "804", "sese.na.vpai.test"], check=False, timeout=60
    )
    shown = json.loads(offered.stdout)
    failures = [
        (kind, algorithm["algorithm"], algorithm["notes"]["fail"])
        for kind in ("kex", "key", "enc", "mac")
        for algorithm in shown[kind]
        if algorithm.get("notes", {}).get("fail")
    ]
    assert shown["kex"]
    assert not failures
