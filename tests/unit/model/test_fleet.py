"""A fleet that exists obeys every law, and knows what stands in it."""

from collections.abc import Callable
from dataclasses import replace
from graphlib import CycleError

import pytest

from model.fleet import Fleet
from model.placement import Placement
from model.problem import Problem, Refused, refuse
from services.networks import NETWORKS
from tests.support.fleets import EMPTY_LOCK, HOST, placement, with_service
from tests.unit.model.test_laws import BREAKS, FLEET_BREAKS, LINK, SECOND, _linked

EVERY_BREAK = [
    pytest.param((lambda broken=broken: (broken(),)), id=f"{law.__name__}-{number}")
    for law, cases in BREAKS.items()
    for number, (broken, _) in enumerate(cases)
] + [
    pytest.param((lambda second=second: (placement(), second())), id=f"{law.__name__}-{number}")
    for law, cases in FLEET_BREAKS.items()
    for number, (second, _) in enumerate(cases)
]


def fleet(*placements: Placement) -> Fleet:
    return Fleet(project="javisi", domain="vpai.test", placements=placements, mesh=None, image_lock=EMPTY_LOCK)


def test_the_catalogue_obeys_every_law() -> None:
    assert fleet(placement()).hosts == (HOST,)


def test_a_link_obeys_every_law() -> None:
    assert fleet(placement(), _linked(LINK)).hosts == (HOST, SECOND)


@pytest.mark.parametrize("broken", EVERY_BREAK)
def test_a_fleet_that_breaks_a_law_is_refused(broken: Callable[[], tuple[Placement, ...]]) -> None:
    with pytest.raises(Refused, match="nothing has been touched"):
        fleet(*broken())


def test_services_come_after_what_they_need_and_a_circle_has_no_order() -> None:
    names = [service.name for service in placement().in_order()]
    assert sorted(names) == sorted(service.name for service in placement().services)
    for service in placement().services:
        assert all(names.index(need) < names.index(service.name) for need in service.needs), service.name
    with pytest.raises(CycleError):
        with_service("redis", needs=("litellm",)).in_order()


def test_ways_out_and_members_are_those_of_the_networks() -> None:
    here = placement()
    services = {service.name: service for service in here.services}
    inner = {network.name for network in NETWORKS if network.internal}
    assert [network.name for network in here.ways_out(services["redis"])] == []
    assert {network.name for network in here.ways_out(services["litellm"])} == set(services["litellm"].networks) - inner
    assert here.ways_out(services["litellm"])
    assert here.members("backend") == {name for name, service in services.items() if "backend" in service.networks}
    assert "redis" in here.members("backend")


def test_a_fleet_knows_its_secrets_images_and_sites_once() -> None:
    found = fleet(placement())
    names = [secret.name for secret in found.secrets()]
    assert names == sorted(set(names))
    assert {"redis_health_password", "postgresql_n8n_password"} <= set(names)
    assert {database.password.name for database in placement().databases()} <= set(names)
    assert found.images() == tuple(sorted({service.image for service in placement().services}))
    assert [site.host for site in found.sites()] == [site.host for site in placement().sites()]
    assert [(machine.host.name, service.name) for machine, service in found.services()] == [
        ("sese", service.name) for service in placement().services
    ]
    other = replace(HOST, name="hub", address="203.0.113.99")
    assert replace(found, hub_elsewhere=other).hosts == (HOST, other)


def test_problems_are_numbered_and_counted_and_none_is_no_refusal() -> None:
    one = Problem(what="it is wrong", why="it hurts", fix="turn it round", example="this way")
    assert str(one) == "it is wrong\n  why it matters: it hurts\n  how to fix it: turn it round\n  example: this way"
    assert str(replace(one, example="")) == "it is wrong\n  why it matters: it hurts\n  how to fix it: turn it round"
    assert str(Refused([one])) == f"1 problem; nothing has been touched.\n\n1. {one}"
    assert str(Refused([one, one])) == f"2 problems; nothing has been touched.\n\n1. {one}\n\n2. {one}"
    refuse([])
    with pytest.raises(Refused) as caught:
        refuse(iter([one]))
    assert caught.value.problems == (one,)
