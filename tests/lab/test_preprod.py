"""A stack that rents its server: deployed from nothing, checked, unchanged by a second `up`, and destroyed without a trace."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab import Lab
from model.host import SSH_PORT
from tests.lab.cloud import Cloud
from tests.lab.deployment import Deployment, health_of
from tests.lab.ephemeral import Ephemeral

_THE_SERVER_ALONE = [
    word for part in ("Hetzner**", "hetzner**", "-deploy**", "DockerHost::*") for word in ("--target", f"**{part}")
]
_PHASES = {"bootstrap", "mesh", "secrets, buckets", "services", "live checks"}


@pytest.fixture
def preprod(deployed: Deployment) -> Iterator[Ephemeral]:
    """The stack `preprod` with the core services, empty; `deployed` is the production whose mesh it joins."""
    stack = Ephemeral(deployed.lab, "preprod", services=["litellm"])
    yield stack
    stack.remove()


def test_from_nothing_to_checked_and_gone_without_a_trace(preprod: Ephemeral, lab: Lab) -> None:
    cloud = Cloud(lab)
    assert cloud.inventory() == {}
    preprod.up(*_THE_SERVER_ALONE)
    _knock(preprod, cloud)
    reported = preprod.operate("up", "--", "--yes", "--skip-preview").stdout
    print(reported[reported.index("\nphase") :])
    assert {line.split("  ")[0] for line in reported[reported.index("\nphase") :].splitlines()[3:-1]} == _PHASES
    assert cloud.inventory() == {
        "servers": ["preprod"],
        "ssh_keys": ["javisi-preprod-deploy"],
        "firewalls": ["preprod-firewall"],
        "primary_ips": cloud.inventory()["primary_ips"],
    }
    # The cheapest type with enough memory for the four services.
    [server] = cloud.ask("GET", "/servers")["servers"]
    assert server["server_type"]["name"] == "cx23"
    assert _members(lab) == {"seko", "sese", "waza", "operator", "preprod"}
    names = _records(lab)
    assert names["llm.preprod.vpai.test"] == _address(lab, "preprod")
    assert names["llm.vpai.test"] == _address(lab, "sese"), "production's names stay as they are"
    preprod.smoke()
    urls = json.loads(preprod.pulumi("stack", "output", "urls", "--json").stdout)
    assert urls == ["https://llm.preprod.vpai.test", "https://preprod.vpai.test"], "its service, and its own front page"
    preprod.pulumi("up", "--yes", "--skip-preview", "--refresh", "--expect-no-changes")

    preprod.pulumi("destroy", "--yes", "--skip-preview")
    assert cloud.inventory() == {}
    assert cloud.servers() == []
    assert _members(lab) == {"seko", "sese", "waza", "operator"}
    assert not [name for name in _records(lab) if "preprod.vpai.test" in name]
    assert set(health_of(lab.seko).values()) == {"healthy"}


def _knock(preprod: Ephemeral, cloud: Cloud) -> None:
    """Connect more often than fail2ban allows, like a client that waits for a boot; fail2ban counts once it is installed."""
    [server] = cloud.ask("GET", "/servers")["servers"]
    for _ in range(6):
        preprod.run("bash", "-c", f"exec 3<>/dev/tcp/{server['public_net']['ipv4']['ip']}/{SSH_PORT}; read -r <&3; exec 3>&-")


def _members(lab: Lab) -> set[str]:
    return {str(node["given_name"]) for node in _nodes(lab)}


def _address(lab: Lab, name: str) -> str:
    return next(str(node["ip_addresses"][0]) for node in _nodes(lab) if node["given_name"] == name)


def _nodes(lab: Lab) -> list[dict[str, Any]]:
    hub = lab.seko.run(["docker", "ps", "-q", "--filter", "label=vpai.service=headscale"]).stdout.strip()
    found: list[dict[str, Any]] = json.loads(
        lab.seko.run(["docker", "exec", hub, "headscale", "nodes", "list", "-o", "json"]).stdout
    )
    return found


def _records(lab: Lab) -> dict[str, str]:
    shown = lab.seko.run(["cat", "/opt/javisi/data/headscale-mesh/records.json"]).stdout
    return {record["name"]: record["value"] for record in json.loads(shown)}
