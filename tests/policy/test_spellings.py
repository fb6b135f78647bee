"""Each rule judges what is meant: its cases, written as the engine may show them just as well, are judged the same."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.known import ANY, KNOWN
from policy.rules import RULES
from tests.policy.cases import CASES, Program
from tests.policy.planted import PRODUCTION, Planted, tell_at_once
from tests.policy.test_rules import IN_PREPROD

_UNORDERED = frozenset(
    {
        *(
            "adds",
            "drops",
            "envs",
            "mounts",
            "networksAdvanced",
            "ports",
            "volumes",
            "ulimits",
            "waivers",
            "devices",
            "groupAdds",
        ),
        *("sourceIps", "destinationIps", "sshKeys", "firewallIds", "allowedHeaders", "ignoreChanges", "labels", "hosts"),
    }
)
"""Inputs whose lists are sets to Docker and Hetzner. Options, commands and rules are read in order."""


def _written(value: Any, order: random.Random, key: str = "") -> Any:
    """The same value: keys and sets in another order, numbers as the engine's protocol has them, JSON laid out otherwise."""
    match value:
        case bool() | None:
            return value
        case int():
            return float(value)
        case Mapping():
            return {name: _written(value[name], order, name) for name in order.sample(list(value), len(value))}
        case str() if value[:1] in ("{", "[") and (read := _json(value)) is not None:
            return json.dumps(
                _written(read, order), indent=order.choice([None, 1, 4]), separators=order.choice([None, (",", ":")])
            )
        case list() | tuple():
            inner = [_written(item, order) for item in value]
            return order.sample(inner, len(inner)) if key in _UNORDERED else inner
    return value


def _stack(rule: str) -> str:
    return "preprod" if rule in IN_PREPROD else PRODUCTION


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


@st.composite
def _spelled(draw: st.DrawFn, program: Program) -> Sequence[Planted]:
    """The same program: inputs written otherwise, others named that are not set, and its resources shown in another order."""
    order = draw(st.randoms(use_true_random=False))
    written = []
    for resource in program:
        idle = sorted(set(KNOWN.get(resource.type, ())) - {ANY, *resource.inputs})
        unset = dict.fromkeys(draw(st.lists(st.sampled_from(idle), max_size=4, unique=True)) if idle else ())
        written.append(replace(resource, inputs=_written({**resource.inputs, **unset}, order)))
    if len({item.type for item in written}) > 1 and not any(item.parent for item in written):
        order.shuffle(written)
    return written


@pytest.mark.parametrize("name", sorted(CASES))
@settings(max_examples=30)
@given(data=st.data())
def test_what_breaks_a_rule_is_found_however_it_is_written(name: str, data: st.DataObject) -> None:
    program = data.draw(_spelled(data.draw(st.sampled_from(CASES[name].breaks))))
    assert name in tell_at_once(program, _stack(name)).broken


@pytest.mark.parametrize("name", sorted(CASES))
@settings(max_examples=30)
@given(data=st.data())
def test_what_obeys_a_rule_passes_however_it_is_written(name: str, data: st.DataObject) -> None:
    program = data.draw(_spelled(CASES[name].obeys))
    assert name not in tell_at_once(program, _stack(name)).broken


def test_every_rule_is_tried() -> None:
    assert {rule.name for rule in RULES} == set(CASES)
