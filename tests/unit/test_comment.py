"""The text of a preview: data first, by host, in short lines."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from model.reachability import Difference, Reach
from operations.comment import MARK, Preview, changes, comment

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
