"""`make dns STACK=`: the DNS records that the fleet needs, and what is published of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

import dns.exception
import dns.resolver

from model.fleet import Fleet
from model.route import Access
from operations.stack import CommandFailed, Stack
from operations.table import table

Ask = Callable[[str, str], frozenset[str]]
"""Looks up the published values by name and type; empty when there is none."""
_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Needed:
    """The exact set of values to publish under `name` for one record type."""

    name: str
    kind: str
    values: frozenset[str]
    reason: str

    @property
    def lines(self) -> tuple[str, ...]:
        """The records as lines of a zone file."""
        return tuple(f"{self.name}. 3600 IN {self.kind} {value}" for value in sorted(self.values))


def zone(fleet: Fleet, address_of: Callable[[str], str]) -> tuple[Needed, ...]:
    """One `A` record for every site, to the hub when two hosts serve it; `address_of` resolves a host's address to IPv4.

    Empty for a stack whose names are in the mesh alone. The domain itself is left out while only members may open it: its public
    record is the operator's, perhaps a site elsewhere. The names of a rented server are left out: no setting knows its address.
    """
    if not fleet.named_in_public:
        return ()
    hub = fleet.mesh.hub if fleet.mesh else ""
    # A relayed site is on both hosts, and the Internet must reach it by the hub.
    placements = sorted(fleet.placements, key=lambda placement: placement.host.name == hub)
    hosts = {
        site.host: placement.host
        for placement in placements
        for site in placement.sites()
        if placement.host.address and (site.host != fleet.domain or site.paths(Access.PUBLIC))
    }
    sites = [
        Needed(name=name, kind="A", values=frozenset({address_of(host.address)}), reason=f"a site of {host.name}")
        for name, host in sorted(hosts.items())
    ]
    closed = [
        Needed(name=site.name, kind="AAAA", values=frozenset(), reason="ports are published on IPv4 alone") for site in sites
    ]
    mesh = [
        # A record for `*.<domain>` would match these too, and lead clients outside the mesh to somebody else's address.
        Needed(name=f"{host.name}.{host.mesh_domain}", kind="A", values=frozenset(), reason="a name of the mesh alone")
        for host in fleet.hosts
        if host.mesh_domain
    ]
    return (*sites, *closed, *mesh)


def differences(needed: tuple[Needed, ...], ask: Ask) -> Iterator[tuple[Needed, frozenset[str]]]:
    """Each record whose published values differ, with those values."""
    for record in needed:
        published = ask(record.name, record.kind)
        if published != record.values:
            yield record, published


def check(stack: Stack) -> int:
    """Print the zone and every difference; 1 when there is any."""
    fleet, servers = stack.inputs.fleet, [str(address) for address in stack.inputs.settings.nameservers]
    # Not the machine's own resolver: in the mesh it knows other addresses.
    ask = public(servers)

    needed = zone(fleet, lambda address: address_of(address, ask))
    print(
        "\n".join(line for record in needed for line in record.lines)
        or f"{stack.name} needs no record: its names are in the mesh"
    )
    found = list(differences(needed, ask))
    rows = [
        (
            record.name,
            record.kind,
            ", ".join(sorted(record.values)) or "nothing",
            ", ".join(sorted(published)) or "nothing",
            record.reason,
        )
        for record, published in found
    ]
    if rows:
        print("\n" + table(("name", "kind", "needed", "published", "why"), rows))
    print(f"\n{len(needed) - len(found)} of {len(needed)} questions are answered as they should be ({', '.join(servers)})")
    return min(len(found), 1)


def address_of(address: str, ask: Ask) -> str:
    """The IPv4 address of a host's address."""
    try:
        return str(IPv4Address(address))
    except ValueError:
        return next(iter(sorted(ask(address, "A"))), f"<address of {address}>")


def public(servers: list[str], port: int = 53) -> Ask:
    """Asks the resolvers `servers`; raises `CommandFailed` when none answers: silence does not mean that there is no record."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = list(servers), port, _SECONDS

    def ask(name: str, kind: str) -> frozenset[str]:
        try:
            return frozenset(str(record) for record in resolver.resolve(f"{name}.", kind))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return frozenset()
        except dns.exception.DNSException as error:
            raise CommandFailed(
                f"nobody says what is published of {name}: {error}\nLet this machine ask {', '.join(servers)}, or set "
                "vpai:nameservers to resolvers that it may ask, for example: dig @1.1.1.1 " + name
            ) from None

    return ask
