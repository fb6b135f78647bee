"""Machines are destroyed with their disks, and fresh ones take their place by the runbook's own commands."""

import json
import os
import time
from collections.abc import Mapping

from lab import Lab, Machine
from lab.layout import SEKO, SESE
from lab.rehearsal import remember_hosts
from operations.table import table
from tests.lab import fresh_machine
from tests.lab.deployment import Deployment, healthy
from tests.lab.test_backups import SECRET, data, fill
from tests.prove import proof
from tests.support import runbook
from tests.support.waiting import until

PAGE = "restore.md"


def test_the_datacentre_burned_and_every_datum_is_back(stack: Deployment, lab: Lab) -> None:
    fill(stack)
    stack.make("backup", "STACK=lab")
    known, members, ours = data(stack), _members(lab.seko), _own_key(lab.operator)
    for name in (SEKO, SESE):
        fresh_machine.destroy(lab, name)
    assert "seko" in stack.make("backups", "STACK=lab", check=False).stdout, "nobody answers"

    began = time.monotonic()
    rows = []

    def timed(what: str, line: str) -> str:
        once = time.monotonic()
        said = stack.type(line).stdout
        rows.append((what, f"{time.monotonic() - once:.0f} s"))
        print(said)
        return said

    for name in (SEKO, SESE):
        key = fresh_machine.stand(lab, name)
        _say_where_it_is(stack, name, key)
    refused = stack.make("up", "STACK=lab", "YES=1", check=False)
    assert refused.returncode, "the state says that everything stands there"
    assert "make replace-host HOST=seko" in refused.stdout, refused.stdout[-2000:]
    for line in runbook.below(PAGE, "The datacentre burned"):
        timed(line, line + (" YES=1" if line.startswith("make up") else ""))
    seconds = time.monotonic() - began

    for machine in lab.hosts:
        until(lambda machine=machine: healthy(machine), 120)  # type: ignore[misc]
    remember_hosts(lab)
    found, now = data(stack), _members(lab.seko)
    for part in known.keys() - {"members"}:
        assert found[part] == known[part], part
    kept = members.keys() - {SEKO, SESE}
    assert kept, "members that did not burn"
    assert {name: now[name] for name in kept} == {name: members[name] for name in kept}, "they came back with the keys they had"
    assert _own_key(lab.operator) == ours
    assert now.keys() == members.keys()
    exported = stack.on_host("docker", "exec", stack.container("n8n"), "n8n", "export:credentials", "--all", "--decrypted")
    assert SECRET in exported
    stack.smoke()
    assert "complete in" in stack.make("backup", "STACK=lab").stdout, "they back up again"
    rows.append(("RTO: from the machines' first minute to the last restore", f"{seconds:.0f} s"))
    print(table(("step", "took"), rows))
    how = (
        "Hub and Sese-AI destroyed with their disks, every datum compared; other members of the mesh kept their keys. "
        f"The goal is 600 s; the machine's load was {os.getloadavg()[2]:.0f}."
    )
    proof.write("replaced-hosts", "Machines replaced", how, ("step", "took"), rows)


def _say_where_it_is(stack: Deployment, name: str, key: str) -> None:
    for line in runbook.below(PAGE, "The machine is gone")[:3]:
        filled = line.replace("203.0.113.20", f"{name}.vpai.test").replace("hosts/prod.known_hosts", ".lab/known_hosts")
        stack.type(filled.replace("ssh-ed25519 AAAA...", key).replace("sese", name))


def _members(hub: Machine) -> Mapping[str, tuple[str, str]]:
    """Machine key and node key of every member, by name."""
    container = hub.run(["docker", "ps", "-q", "--filter", "label=vpai.service=headscale"]).stdout.strip()
    nodes = json.loads(hub.run(["docker", "exec", container, "headscale", "nodes", "list", "-o", "json"]).stdout)
    return {node["given_name"]: (node["machine_key"], node["node_key"]) for node in nodes}


def _own_key(operator: Machine) -> str:
    return str(json.loads(operator.run(["tailscale", "status", "--json"]).stdout)["Self"]["PublicKey"])
