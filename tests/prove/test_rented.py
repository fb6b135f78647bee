"""Rented servers: two copies side by side, and the applications' server as a member of the whole fleet."""

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.lab.cloud import TOKEN, Cloud
from tests.lab.deployment import Deployment
from tests.lab.ephemeral import Ephemeral


@pytest.fixture
def copies(deployed: Deployment) -> Iterator[tuple[Ephemeral, Ephemeral]]:
    expired = Ephemeral(deployed.lab, "pr-1", services=["litellm"], expires="2020-01-01T00:00Z")
    living = Ephemeral(deployed.lab, "pr-2", services=["litellm"], expires="2999-01-01T00:00Z")
    yield expired, living
    living.remove()


def test_two_copies_do_not_disturb_each_other_and_the_reaper_takes_the_expired_one(copies: tuple[Ephemeral, Ephemeral]) -> None:
    expired, living = copies
    cloud = Cloud(living.lab)
    for stack in copies:
        stack.up()
    for stack in copies:
        stack.smoke()
    orphan = cloud.ask("POST", "/placement_groups", {"name": "lost", "type": "spread", "labels": {"vpai.stack": "pr-9"}})
    reported = expired.run("env", f"HCLOUD_TOKEN={TOKEN}", "vpai-python", "-m", "operations", "reap", check=False)
    assert reported.returncode == 1, "an orphan is for a person"
    assert f"hcloud placement-group delete {orphan['placement_group']['id']}" in reported.stdout
    cloud.ask("DELETE", f"/placement_groups/{orphan['placement_group']['id']}")
    assert cloud.inventory()["servers"] == ["pr-2"]
    living.smoke()

    # Everything on it moves along in one up, containers and mesh included.
    living.configure("hosts.pr-2.server.location", "nbg1")
    living.up()
    living.smoke()
    living.up("--refresh", "--expect-no-changes")


def test_the_applications_server_joins_the_fleet_and_leaves_it_without_a_trace(stack: Deployment, lab: Lab) -> None:
    cloud = Cloud(lab)
    stack.configure("hosts.app-prod-01.server.type", "cx23")
    stack.pulumi("config", "set", "--secret", "vpai:hcloud_token", TOKEN)
    stack.up()
    [server] = cloud.ask("GET", "/servers")["servers"]
    assert (server["name"], server["server_type"]["name"], server["image"]["name"]) == ("app-prod-01", "cx23", "ubuntu-24.04")
    stack.smoke()

    # Its sample application answers members, and them alone, whichever address they knock at.
    ask = ("curl", "-s", "-w", " %{http_code}", "--cacert", f"{stack.directory}/.lab/ca/root.crt", "https://hello.vpai.test/")
    assert lab.operator.run([*ask]).stdout == "hello from app-prod 200"
    public = server["public_net"]["ipv4"]["ip"]
    reported = lab.outsider.run([*ask[:4], "--insecure", "--resolve", f"hello.vpai.test:443:{public}", ask[-1]]).stdout
    assert reported.endswith(" 403")
    assert "hello from" not in reported
    stack.up("--refresh", "--expect-no-changes")

    stack.reset()
    stack.up()
    assert cloud.inventory() == {}
    stack.smoke()
