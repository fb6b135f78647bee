"""The zone that a fleet needs, and what is wrong with the one that is published."""

from collections.abc import Iterator

import pytest

from lab.providers import ovh
from operations.mesh.dns import Ask, Needed, differences, public, zone
from operations.stack import CommandFailed
from tests.support.fleets import inputs

FLEET = inputs("prod").fleet
NEEDED = zone(FLEET, lambda address: address)
SESE, SEKO = "203.0.113.10", "203.0.113.11"
PUBLISHED = {(record.name, record.kind): record.values for record in NEEDED}
DOMAIN = "vpai.example.org"


def asked(**changes: str) -> Ask:
    """A world in which all is published as it should be, but for `changes`: kind -> value, for llm.<domain>."""
    world = {**PUBLISHED, **{(f"llm.{DOMAIN}", kind): frozenset(value.split()) for kind, value in changes.items()}}
    return lambda name, kind: world.get((name, kind), frozenset())


def test_every_site_has_one_address_and_what_is_relayed_has_the_hubs() -> None:
    addresses = {
        record.name.removesuffix(f".{DOMAIN}"): set(record.values) for record in NEEDED if record.kind == "A" and record.values
    }
    assert set(addresses) == {site.host.removesuffix(f".{DOMAIN}") for site in FLEET.sites()} - {DOMAIN}
    assert addresses["llm"] == {SESE}
    assert [addresses[name] for name in ("singa", "biki", "misu", "buku", "hook")] == [{SEKO}] * 5


def test_a_stack_whose_names_are_in_the_mesh_needs_nothing() -> None:
    here, hub = (
        '{"address": "203.0.113.10", "memoryMib": 11264, "roles": ["stack"]}',
        '{"address": "203.0.113.11", "memoryMib": 2048, "roles": ["hub"]}',
    )
    assert zone(inputs("preprod", hosts=f'{{"preprod": {here}, "seko": {hub}}}').fleet, str) == ()
    assert zone(inputs("preprod", hosts=f'{{"preprod": {here}}}').fleet, str) != ()


@pytest.mark.parametrize(
    ("changes", "kind", "found"),
    [
        ({"A": ""}, "A", set()),
        ({"A": "203.0.113.99"}, "A", {"203.0.113.99"}),
        ({"A": f"{SESE} {SEKO}"}, "A", {SESE, SEKO}),
        ({"AAAA": "2001:db8::1"}, "AAAA", {"2001:db8::1"}),
    ],
    ids=["missing", "elsewhere", "one too many", "IPv6"],
)
def test_what_is_published_otherwise_is_told(changes: dict[str, str], kind: str, found: set[str]) -> None:
    [(needed, published)] = differences(NEEDED, asked(**changes))
    assert (needed.name, needed.kind, set(published)) == (f"llm.{DOMAIN}", kind, found)


def test_a_zone_as_it_should_be_is_not_complained_of() -> None:
    assert list(differences(NEEDED, asked())) == []


def test_a_record_for_every_name_would_cover_those_of_the_mesh() -> None:
    def everything(name: str, kind: str) -> frozenset[str]:
        return PUBLISHED.get((name, kind)) or frozenset({SESE} if kind == "A" else ())

    assert {needed.name for needed, _ in differences(NEEDED, everything)} == {
        f"{host}.na.{DOMAIN}" for host in ("sese", "seko", "waza")
    }


@pytest.fixture
def names() -> Iterator[int]:
    provider = ovh.Ovh()
    provider.served[1] = ovh.Record(1, ovh.ZONE, "here", "TXT", "said", 0)
    servers = ovh.serve_names(provider, 0)
    yield int(servers[0].server_address[1])
    for server in servers:
        server.shutdown()
        server.server_close()


def test_resolvers_are_asked_and_silence_is_not_taken_for_an_answer(names: int) -> None:
    ask = public(["127.0.0.1"], names)
    assert ask(f"here.{ovh.ZONE}", "TXT") == {'"said"'}
    assert ask(f"here.{ovh.ZONE}", "AAAA") == frozenset()
    with pytest.raises(CommandFailed, match="nobody says what is published of example"):
        ask("example.org", "A")  # refused: not of this zone


def test_a_line_can_be_copied_into_the_zone() -> None:
    assert Needed(name="a.b", kind="A", values=frozenset({SESE}), reason="").lines == (f"a.b. 3600 IN A {SESE}",)
