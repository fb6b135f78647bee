"""Laws about all hosts together."""

from collections.abc import Iterator, Sequence

from model.placement import Placement
from model.problem import Problem

_HOST_PARTS = frozenset(
    ("access", "backup", "backup-plan", "baseline", "contact", "direct-path", "firewall", "host-key", "in-mesh", "mesh-only")
) | {"first", "mesh", "public"}
"""What follows the host's name in the names of a host's own resources and of the SSH connections to it."""


def hosts_are_distinct(placements: Sequence[Placement]) -> Iterator[Problem]:
    """A host's name and address belong to no other host."""
    for kind, names in (
        ("name", [placement.host.name for placement in placements]),
        ("address", [placement.host.address for placement in placements if placement.host.address]),
    ):
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Problem(
                what=f"the {kind} {name!r} belongs to {names.count(name)} hosts",
                why="one of them would get the services, the keys and the firewall of the other",
                fix=f"give each host a {kind} of its own in vpai:hosts",
                example="pulumi config set --path 'vpai:hosts.seko.address' 203.0.113.11",
            )


def host_names_are_distinct(placements: Sequence[Placement]) -> Iterator[Problem]:
    """No host is named like a resource of another host: a resource belongs to the host whose name its own name begins with."""
    for placement in placements:
        for other in placements:
            longer = other.host.name.removeprefix(f"{placement.host.name}-")
            named = {network.name for network in placement.networks}
            named |= {service.name for service in placement.services}
            named |= {task.name for service in placement.services for task in service.tasks}
            taken = sorted(name for name in named | _HOST_PARTS if f"{name}-".startswith(f"{longer}-"))
            if longer != other.host.name and taken:
                yield Problem(
                    what=f"the host {other.host.name} is called like {taken[0]} on {placement.host.name}",
                    why="what is of one of them would be taken for the other's, when a host is switched off or made anew",
                    fix="give one of the two hosts another name in vpai:hosts",
                    example=f"pulumi config set --path 'vpai:hosts.{placement.host.name}2.address' 203.0.113.10",
                )


def site_names_are_distinct(placements: Sequence[Placement]) -> Iterator[Problem]:
    """A name below the domain belongs to one host; the hub's relay of it does not count as a second."""
    owners: dict[str, str] = {}
    for placement in placements:
        for service in placement.services:
            for route in service.routes:
                first = owners.setdefault(route.subdomain, placement.host.name)
                if first != placement.host.name:
                    yield Problem(
                        what=f"the route {route.subdomain!r} stands on {first} and on {placement.host.name}",
                        why="DNS can lead to one of them only, and which one would be chance",
                        fix="rename one of the two routes in services/",
                    )


def links_lead_to_vpn_routes(placements: Sequence[Placement]) -> Iterator[Problem]:
    """A link leads to a service of one other host that has a VPN route, and has a reason."""
    for placement in placements:
        for service in placement.services:
            for link in service.links:
                others = [
                    other.host.name for other in placements if other is not placement and other.answers_links_to(link.service)
                ]
                if len(others) > 1:
                    yield Problem(
                        what=f"{placement.host.name}: the link of {service.name} to {link.service} leads to {', '.join(others)}",
                        why="one name cannot mean several hosts, and the firewall opens the way to one",
                        fix="place that service on one of them, or give one of the two another name",
                    )
                if not others:
                    yield Problem(
                        what=f"{placement.host.name}: {service.name} has a link to {link.service!r}, which has no VPN route on"
                        + " another host",
                        why="services of one host meet on its networks; over the mesh nothing but Caddy's sites can be reached",
                        fix="use `needs` and a common network, or give that service a route",
                        example='routes=(Route(subdomain="metrics", port=8428, access=Access.VPN),)',
                    )
                if not link.reason:
                    yield Problem(
                        what=f"{placement.host.name}: the link of {service.name} to {link.service} says no reason",
                        why="what a container reaches in the mesh is decided and reviewed link by link",
                        fix="fill in `reason`",
                        example='Link(service="loki", reason="logs are written where Grafana asks for them")',
                    )
