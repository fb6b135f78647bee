"""The text of a preview: data first, by host, in short lines."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from model.reachability import Difference, Reach
from operations.deploy.preview_text import MARK, Change, Preview, changes, comment
from tests.graph.program import built

_CONTAINER = "vpai:index:ServiceContainer$docker:index/container:Container"
NOTHING = Preview(
    stack="prod",
    against="what is deployed",
    hosts=("sese", "seko"),
    changes=(),
    cost_before=Decimal("8.49"),
    cost_after=Decimal("8.49"),
    reach=Difference(opened=(), closed=()),
    policy=(),
)


def step(op: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "urn": f"urn:pulumi:prod::vpai::{kind}::{name}", **more}


STEPS = [
    step("same", _CONTAINER, "sese-redis"),
    step("replace", _CONTAINER, "sese-caddy", replaceReasons=["image"], diffReasons=["image"]),
    step("create-replacement", _CONTAINER, "sese-caddy"),
    step("delete-replaced", _CONTAINER, "sese-caddy"),
    step("update", "random:index/randomPassword:RandomPassword", "some_key", diffReasons=["keepers"]),
    step("delete", "vpai:index:ServiceContainer$command:local:Command", "seko-couchdb-data"),
    step("create", "vpai:index:ServiceContainer", "sese-new"),
]


def test_nothing_to_do_is_said_in_the_first_line() -> None:
    text = comment(NOTHING)
    assert text.startswith(f"{MARK}\n### prod: no changes\n")
    assert "Data at risk" not in text


def test_data_comes_first_then_each_host_then_the_stack() -> None:
    text = comment(replace(NOTHING, changes=changes(STEPS)))
    assert "### prod: 1 to delete, 1 to replace, 1 to update" in text
    assert "- **delete Command seko-couchdb-data**" in text
    assert "- replace Container `sese-caddy`: forced by `image`" in text
    places = [text.index(word) for word in ("Data at risk", "**seko**", "**sese**", "**the stack itself**", "**Cost**")]
    assert places == sorted(places)


def test_cost_reach_and_policy_are_differences() -> None:
    row = Reach("anyone", "https://n8n.example.org on sese", "* -> n8n:5678")
    text = comment(
        replace(NOTHING, cost_after=Decimal("12.48"), reach=Difference(opened=(row,), closed=()), policy=("images-pinned: x",))
    )
    assert "+3.99 EUR a month net (8.49 → 12.48)" in text
    assert "- opens: anyone → https://n8n.example.org on sese (* -> n8n:5678)" in text
    assert "**Policy**: refuses, 1" in text
    assert "|" not in text, "a table would not fit a phone"


def _updates(**configured: str) -> dict[str, Change]:
    """What an `up` with other settings does to the data directories of production, by name."""
    before, after = (
        {resource.urn: resource for resource in built("prod", **settings).resources} for settings in ({}, configured)
    )
    steps = [
        {"op": "update", "urn": urn, "oldState": {"inputs": old.inputs}, "newState": {"inputs": after[urn].inputs}}
        for urn, old in before.items()
        if urn.endswith("-data")
    ]
    return {change.name: change for change in changes(steps)}


def test_a_renamed_project_puts_every_data_directory_at_risk() -> None:
    found = _updates(project="another")
    assert len(found) > 8
    assert all(change.loses_data and change.left_behind for change in found.values())
    text = comment(replace(NOTHING, changes=tuple(found.values())))
    assert "- **update Command sese-postgresql-data**: leaves behind `/opt/javisi/data/postgresql of 999:999`" in text


def test_data_that_stays_where_it_is_is_at_no_risk() -> None:
    found = _updates(deleteData="true")
    assert len(found) > 8
    assert not any(change.loses_data for change in found.values())


def test_another_owner_of_the_same_directory_is_told() -> None:
    called = "ssh sese -- apply false {owner} 0755 /opt/javisi/data/redis"
    old, new = ({"inputs": {"create": called.format(owner=owner)}} for owner in ("999:999", "1999:1999"))
    urn = "urn:pulumi:prod::vpai::vpai:index:ServiceContainer$command:local:Command::sese-redis-data"
    (change,) = changes([{"op": "update", "urn": urn, "oldState": old, "newState": new}])
    assert change.left_behind == ("/opt/javisi/data/redis of 999:999",)


def test_what_an_up_would_refuse_stands_at_the_end_of_what_is_read_before_the_question() -> None:
    facts = tuple(f"the image x{number} has no digest" for number in range(24))
    text = comment(replace(NOTHING, missing=facts))
    assert text.endswith("- and 19 more\n")
    assert "**An up refuses** until 24 things are put right" in text
    assert "An up refuses" not in comment(NOTHING)
