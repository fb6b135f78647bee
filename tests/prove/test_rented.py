"""Two copies on rented servers side by side: each works, the expired one goes, the other moves to another server in one up."""

from collections.abc import Iterator

import pytest

from tests.lab.deployment import Deployment
from tests.lab.ephemeral import TOKEN, Ephemeral


@pytest.fixture
def copies(deployed: Deployment) -> Iterator[tuple[Ephemeral, Ephemeral]]:
    expired = Ephemeral(deployed.lab, "pr-1", services=["litellm"], expires="2020-01-01T00:00Z")
    living = Ephemeral(deployed.lab, "pr-2", services=["litellm"], expires="2999-01-01T00:00Z")
    yield expired, living
    living.remove()


def test_two_copies_do_not_disturb_each_other_and_the_reaper_takes_the_expired_one(copies: tuple[Ephemeral, Ephemeral]) -> None:
    expired, living = copies
    for stack in copies:
        stack.up()
    for stack in copies:
        stack.smoke()
    orphan = living.ask("POST", "/placement_groups", {"name": "lost", "type": "spread", "labels": {"vpai.stack": "pr-9"}})
    told = expired.run("env", f"HCLOUD_TOKEN={TOKEN}", "vpai-python", "-m", "operations", "reap", check=False)
    assert told.returncode == 1, "an orphan is for a person"
    assert f"hcloud placement-group delete {orphan['placement_group']['id']}" in told.stdout
    living.ask("DELETE", f"/placement_groups/{orphan['placement_group']['id']}")
    assert living.inventory()["servers"] == ["pr-2"]
    living.smoke()

    # Everything on it moves along in one up, containers and mesh included.
    living.configure("hosts.pr-2.server.location", "nbg1")
    living.up()
    living.smoke()
    living.up("--refresh", "--expect-no-changes")
