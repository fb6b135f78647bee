"""What keeps a host from moving, and what the state says after a move that was undone."""

from typing import Any

import pytest

from model.placement import Placement
from operations.hosts.move_host import STEPS, Move, as_before, of_machine
from tests.support.fleets import inputs

URN = "urn:pulumi:lab::vpai::x::"
HOSTS = ["sese", "seko"]
FITS = {"free": ["10000"], "memory": ["64000"], "release": ["debian-13"]}


def placement() -> Placement:
    return next(placement for placement in inputs("lab").fleet.placements if placement.host.name == "sese")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"free": ["6023"]}, ("has 6023 MiB free, 6024 are needed: 1000 three times",)),
        ({"memory": ["4096"]}, ("has 4096 MiB of memory, 11264 are declared",)),
        ({"release": ["debian-12"]}, ("runs debian-12, sese is declared as debian-13",)),
        ({"release": ["debian-14"]}, ("runs debian-14",)),
        ({"holds": ["/opt/javisi/data"]}, ("not empty: there is /opt/javisi/data",)),
        ({"free": ["1"], "memory": ["1"], "holds": ["/x"]}, ("MiB free", "of memory", "not empty")),
    ],
)
def test_a_machine_that_could_not_be_the_host_is_told_at_once(found: dict[str, list[str]], said: tuple[str, ...]) -> None:
    problems = list(of_machine(placement(), {**FITS, **found}, held=1000, images=2000))
    assert len(problems) == len(said), problems
    for problem, words in zip(problems, said, strict=True):
        assert words in problem.what
        assert problem.why and problem.fix


def test_a_machine_that_is_large_enough_is_taken() -> None:
    assert not list(of_machine(placement(), {**FITS, "free": ["6024"]}, held=1000, images=2000))


def test_a_move_goes_on_after_the_last_step_that_was_done() -> None:
    move = Move(host="sese", to="203.0.113.20", key="k", source="203.0.113.10", pins="")
    assert not any(move.has(step) for step in STEPS)
    move.done = "switched"
    assert [step for step in STEPS if not move.has(step)] == ["placed", "deployed", "restored"]


def resource(name: str, id: str, *needs: str) -> dict[str, Any]:
    return {"urn": URN + name, "id": id, "dependencies": [URN + need for need in needs]}


def test_an_undone_move_leaves_the_host_as_it_was_and_all_else_as_it_is_now() -> None:
    before = [
        resource("seko-caddy", "1"),
        resource("sese-in-mesh", "1"),
        resource("sese-redis", "1", "sese-in-mesh"),
        resource("sese-mesh-only", "1", "sese-redis"),
        resource("gone-since", "1"),
        resource("guard", "1", "sese-redis", "sese-mesh-only"),
    ]
    now = [
        resource("seko-caddy", "2"),
        resource("sese-in-mesh", "2"),
        resource("sese-redis", "2", "sese-in-mesh"),
        resource("guard", "1", "sese-redis"),
        resource("made-since", "1", "sese-redis", "seko-caddy"),
    ]
    assert as_before(now, before, "sese", HOSTS) == [
        resource("seko-caddy", "2"),
        resource("sese-redis", "1"),
        resource("guard", "1"),
        resource("made-since", "1", "seko-caddy"),
    ]
