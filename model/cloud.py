"""A server to rent, and those of its problems that are found without the cloud's API."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network

from model.network import MESH
from model.problem import Problem

_PREFIX = r"([a-zA-Z0-9]([-_.a-zA-Z0-9]{0,251}[a-zA-Z0-9])?/)?"
_WORD = r"[a-zA-Z0-9]([-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_HOST_NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOCKER_RANGE = IPv4Network("172.16.0.0/12")


@dataclass(frozen=True, kw_only=True)
class CloudServer:
    """A server in Hetzner Cloud. The specification names CX22, which can no longer be ordered; CX23 replaced it."""

    name: str
    type: str = "cx23"
    image: str = "debian-13"
    location: str = "fsn1"
    """Falkenstein."""
    labels: Mapping[str, str] = field(default_factory=dict)
    backups: bool = False
    protected: bool = False
    """Whether deleting and rebuilding are refused, by Pulumi, in the console and by the API, until this is taken back."""
    keeps_address: bool = False
    """Whether its IPv4 address stays when the server is replaced."""
    private_address: IPv4Address | None = None
    """Address in the project's private network; None for a server outside of it."""


def problems(servers: tuple[CloudServer, ...], network: IPv4Network | None = None) -> Iterator[Problem]:
    """Problems of servers: what the API would refuse in the middle of a deployment, or accept with harm."""
    for server in servers:
        if not re.fullmatch(_HOST_NAME, server.name):
            yield Problem(
                what=f"{server.name!r} cannot be a server's name",
                why="it becomes the machine's host name",
                fix="use lower case letters, digits and dashes, at most 63",
                example="app-prod-01",
            )
        yield from label_problems(server.name, server.labels)
        if server.private_address and (network is None or server.private_address not in network):
            yield Problem(
                what=f"{server.name}: {server.private_address} is not in the private network ({network or 'there is none'})",
                why="the cloud would refuse to attach the server",
                fix="choose an address inside, not the first one, which is the gateway's",
                example=f"{network[2] if network else '10.77.0.2'}",
            )
    if network and (network.overlaps(MESH) or network.overlaps(_DOCKER_RANGE)):
        yield Problem(
            what=f"the private network {network} overlaps the mesh ({MESH}) or Docker's networks ({_DOCKER_RANGE})",
            why="packets for one of them would go to the other",
            fix="take another private range",
            example="10.77.0.0/24",
        )


def label_problems(owner: str, labels: Mapping[str, str]) -> Iterator[Problem]:
    """Labels outside of the API's grammar (docs.hetzner.cloud, "Labels")."""
    for key, value in labels.items():
        if not re.fullmatch(_PREFIX + _WORD, key):
            yield Problem(
                what=f"{owner}: {key!r} cannot be the key of a label",
                why="the API refuses the whole request",
                fix="at most 63 letters, digits, dashes, underscores and dots, the first and the last a letter or digit",
                example="vpai.stack",
            )
        if not re.fullmatch(f"({_WORD})?", value):
            yield Problem(
                what=f"{owner}: {value!r} cannot be the value of the label {key}",
                why="the API refuses the whole request; a time has colons and a branch has slashes, which it does not take",
                fix="at most 63 letters, digits, dashes, underscores and dots, the first and the last a letter or digit",
                example="2026-11-23T02.55Z",
            )


EXPIRES, NEVER = "ttl", "kept"
"""The label with the time after which a stack may be destroyed, and its value for a stack that stays."""


def expiry_label(expires: str) -> str:
    """A time (2026-11-30T12:00Z) as a label's value, which has no colons."""
    return expires.replace(":", ".") or NEVER


def cheapest(memory_mib: int, types: Iterable[tuple[str, Decimal, int]]) -> tuple[str, int] | None:
    """The cheapest type with at least `memory_mib`, and its memory in MiB. `types` are names, prices and MiB.

    Arm types (cax) are left out: not every image of the catalogue is known to exist for Arm.
    """
    fit = [(price, name, memory) for name, price, memory in types if memory >= memory_mib and not name.startswith("cax")]
    return min(fit)[1:] if fit else None


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A server type that the cloud offers today."""

    name: str
    architecture: str
    memory_mib: int
    locations: frozenset[str]
    """Locations where it is available now."""
    retired: bool = False


def unavailable(servers: tuple[CloudServer, ...], offers: tuple[Offer, ...]) -> Iterator[Problem]:
    """Problems of servers that are not available, each with the available alternatives."""
    by_name = {offer.name: offer for offer in offers}
    for server in servers:
        wanted = by_name.get(server.type)
        if wanted and server.location in wanted.locations and not wanted.retired:
            continue
        like = [
            offer
            for offer in offers
            if not offer.retired
            and (wanted is None or (offer.architecture == wanted.architecture and offer.memory_mib >= wanted.memory_mib))
        ]
        here = [offer.name for offer in sorted(like, key=lambda offer: offer.memory_mib) if server.location in offer.locations]
        elsewhere = sorted(wanted.locations) if wanted and not wanted.retired else []
        if wanted is None:
            why = "Hetzner has no such type"
        elif wanted.retired:
            why = "Hetzner does not sell it any more"
        else:
            why = "it is sold out there"
        yield Problem(
            what=f"{server.name}: a {server.type} in {server.location} cannot be had",
            why=why,
            fix=f"in {server.location} there are: {', '.join(here) or 'none that fit'}"
            + (f"; {server.type} is to be had in: {', '.join(elsewhere)}" if elsewhere else ""),
            example=f"type: {here[0]}" if here else f"location: {elsewhere[0]}" if elsewhere else "",
        )
