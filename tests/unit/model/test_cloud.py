"""A server to be rented: which one, under which labels, at which address."""

from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network

import pytest

from model.cloud import NEVER, CloudServer, Offer, cheapest, expiry_label, problems, unavailable

TYPES = [("cx33", Decimal("5.49"), 8192), ("cax11", Decimal("3.00"), 4096), ("cx23", Decimal("3.49"), 4096)]


@pytest.mark.parametrize(("memory", "found"), [(1, ("cx23", 4096)), (4096, ("cx23", 4096)), (4097, ("cx33", 8192)), (8193, None)])
def test_the_cheapest_that_is_large_enough_is_taken_and_never_an_arm(memory: int, found: tuple[str, int] | None) -> None:
    assert cheapest(memory, TYPES) == found


def test_a_moment_becomes_a_label_and_no_moment_says_that_it_stays() -> None:
    assert expiry_label("2026-11-30T12:00Z") == "2026-11-30T12.00Z"
    assert expiry_label("") == NEVER


@pytest.mark.parametrize(
    ("address", "network", "said"),
    [
        ("10.77.0.2", "10.77.0.0/24", []),
        ("10.78.0.2", "10.77.0.0/24", ["app: 10.78.0.2 is not in the private network (10.77.0.0/24)"]),
        ("10.77.0.2", "", ["app: 10.77.0.2 is not in the private network (there is none)"]),
    ],
)
def test_a_private_address_is_one_of_the_private_network(address: str, network: str, said: list[str]) -> None:
    server = CloudServer(name="app", private_address=IPv4Address(address))
    assert [problem.what for problem in problems((server,), IPv4Network(network) if network else None)] == said


def test_a_label_that_cannot_be_is_told_with_its_server() -> None:
    (problem,) = problems((CloudServer(name="app", labels={"branch": "feature/x"}),))
    assert problem.what.startswith("app: ")


def test_every_server_that_cannot_be_had_is_told_whatever_stands_before_it() -> None:
    offers = (
        Offer(name="cx23", architecture="x86", memory_mib=4096, locations=frozenset({"fsn1", "hel1"})),
        Offer(name="cx33", architecture="x86", memory_mib=8192, locations=frozenset({"nbg1"})),
        Offer(name="cx22", architecture="x86", memory_mib=4096, locations=frozenset({"nbg1"}), retired=True),
    )
    servers = (
        CloudServer(name="fine"),
        CloudServer(name="elsewhere", location="nbg1"),
        CloudServer(name="gone", type="cx22", location="nbg1"),
        CloudServer(name="never", type="cx99", location="nbg1"),
    )
    reported = {problem.what.partition(":")[0]: problem for problem in unavailable(servers, offers)}
    assert list(reported) == ["elsewhere", "gone", "never"]
    assert reported["elsewhere"].fix == "in nbg1 there are: cx33; cx23 is to be had in: fsn1, hel1"
    assert {name: problem.why for name, problem in reported.items()} == {
        "elsewhere": "it is sold out there",
        "gone": "Hetzner does not sell it any more",
        "never": "Hetzner has no such type",
    }
    assert {problem.fix for name, problem in reported.items() if name != "elsewhere"} == {"in nbg1 there are: cx33"}
