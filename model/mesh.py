"""The mesh: its members, who may talk to whom, and the names that resolve inside it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from model.host import SSH_PORT
from model.placement import Placement
from model.route import Access

INTERFACE = "tailscale0"
OPERATOR_TAG = "tag:operator"


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """The Headscale mesh of a fleet. `domain` is its MagicDNS domain, `server` the hub's public name."""

    hub: str
    server: str
    domain: str
    nameservers: tuple[str, ...]
    """Resolvers for every other name, given to all members."""
    project: str = ""
    """Project name of the hub's stack, after which the hub's directory of members is named; empty: this stack's own project."""

    @property
    def login_server(self) -> str:
        return f"https://{self.server}"


def tag(host: str) -> str:
    """Headscale's tag for `host`."""
    return f"tag:{host}"


@dataclass(frozen=True, kw_only=True)
class Grant:
    """`sources` may open connections to `ports` of `destination`; sources and destination are tags."""

    sources: tuple[str, ...]
    destination: str
    ports: tuple[int, ...]
    reason: str


def grants(placements: Iterable[Placement]) -> tuple[Grant, ...]:
    """All that members may do: the operator's SSH to every host, and the sites of every host with a Caddy."""
    placements = tuple(placements)
    hosts = tuple(tag(placement.host.name) for placement in placements)
    ssh = [Grant(sources=(OPERATOR_TAG,), destination=host, ports=(SSH_PORT,), reason="the operator's SSH") for host in hosts]
    sites = [
        Grant(
            sources=(OPERATOR_TAG, *(host for host in hosts if host != tag(placement.host.name))),
            destination=tag(placement.host.name),
            ports=tuple(
                sorted({port.number for service in placement.services for port in service.ports if port.protocol == "tcp"})
            ),
            reason="the sites behind its Caddy",
        )
        for placement in placements
        if any(service.ports for service in placement.services)
    ]
    return (*ssh, *sites)


def policy(placements: Iterable[Placement]) -> str:
    """This stack's part of Headscale's policy, as JSON; the hub merges the parts of all stacks."""
    placements = tuple(placements)
    tags = sorted({OPERATOR_TAG, *(tag(placement.host.name) for placement in placements)})
    return json.dumps(
        {
            # No user owns a tag: only whoever may run headscale on the hub can give one out.
            "tagOwners": {name: [] for name in tags},
            "acls": [
                {
                    "action": "accept",
                    "src": list(grant.sources),
                    "dst": [f"{grant.destination}:{','.join(map(str, grant.ports))}"],
                }
                for grant in grants(placements)
            ],
        },
        indent=2,
        sort_keys=True,
    )


def records(domain: str, placements: Iterable[Placement], *, public_too: bool = False) -> Mapping[str, str]:
    """Host by site name, for every site with a VPN or a relayed route. The hub puts in the host's mesh address.

    Public sites keep their public address: the login server must be found before there is a mesh. A relayed route is public
    at the hub, and on its own host for members alone. `public_too` adds the public sites, for an ephemeral stack, which has
    names in the mesh alone.
    """
    return {
        route.host(domain): placement.host.name
        for placement in placements
        for service in placement.services
        for route in service.routes
        if public_too or route.access is Access.VPN or route.relayed
    }
