"""Checks of services that `vpai:placement` moves to another host than their role's."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from model.host import Role
from model.placement import Placement
from model.problem import Problem
from model.service import Service
from model.settings import Settings
from services import catalogue

_CALLED = re.compile(r"(?:://|@)([a-z0-9-]+):\d+")
"""The host name in the URL of a service on the same host."""


def misplaced(settings: Settings, stack: str, hosts: Mapping[str, Collection[Role]], only: Collection[str]) -> Iterator[Problem]:
    """Problems: names in vpai:placement that are no service or no host of this stack, and services that run on several hosts."""
    known = catalogue.names_of_services()
    for service, host in settings.placement.items():
        gone = f"pulumi config rm -s {stack} --path vpai:placement.{service}"
        if service not in known:
            yield Problem(
                what=f"vpai:placement names {service!r}, which is no service",
                why="nothing would stand there, and nobody would see",
                fix=f"use some of: {', '.join(known)}",
                example=gone,
            )
            continue
        if host not in hosts:
            yield Problem(
                what=f"vpai:placement puts {service} on {host!r}, which is no host of this stack's own",
                why="it would stand nowhere",
                fix=f"use one of: {', '.join(hosts)}",
                example=f"pulumi config set -s {stack} --path vpai:placement.{service} {next(iter(hosts))}",
            )
        if only and service not in only:
            yield Problem(
                what=f"vpai:placement names {service}, which vpai:services leaves out",
                why="it would not run, and nobody would see",
                fix="choose it, or take it out here",
                example=gone,
            )
        several = [name for name, roles in hosts.items() if service in catalogue.names_of(roles)]
        if len(several) > 1:
            yield Problem(
                what=f"vpai:placement names {service}, which stands on {' and '.join(several)}",
                why="each of them needs its own: it watches its host, or keeps what stands beside it",
                fix="take it out",
                example=gone,
            )


def apart(settings: Settings, stack: str, placements: Sequence[Placement]) -> Iterator[Problem]:
    """Problems: services on different hosts that call each other by name, as a client of PostgreSQL or Redis does."""
    where = {service.name: placement.host.name for placement in placements for service in placement.services}
    torn: dict[str, list[tuple[str, str]]] = {}
    for placement in placements:
        here = {service.name for service in placement.services}
        for service in placement.services:
            for called in sorted((_called(service) & where.keys()) - here):
                moved = next((name for name in (service.name, called) if name in settings.placement), "")
                torn.setdefault(moved, []).append((service.name, called))
    for moved, calls in torn.items():
        if not moved:
            continue  # not because of a move: the laws report it
        asked = {called: where[called] for caller, called in calls if caller == moved}
        asking = {caller: where[caller] for caller, called in calls if called == moved}
        reported = (
            *([f"it calls {_listed(asked)}"] if asked else []),
            *([f"{_listed(asking)} call{'s' * (len(asking) == 1)} it"] if asking else []),
        )
        yield Problem(
            what=f"vpai:placement puts {moved} on {where[moved]}, and {'; '.join(reported)}",
            why="they meet by name on a network of one host, which leads to no other: over the mesh only sites are asked, and "
            "a database, a cache and what was never made for it answer at none",
            fix=f"let {moved} stand on {' or '.join(sorted({*asked.values(), *asking.values()}))}, with them",
            example=f"pulumi config rm -s {stack} --path vpai:placement.{moved}",
        )


def shut_in(settings: Settings, stack: str, placements: Sequence[Placement]) -> Iterator[Problem]:
    """Problems: moved services that share only an egress network with Caddy, on a host whose Caddy calls into the mesh."""
    for placement in placements:
        internal = {network.name for network in placement.networks if network.internal}
        enters = any(service.links and service.ports for service in placement.services)
        for service in placement.services:
            if enters and service.name in settings.placement and service.routes and not internal & {*service.networks}:
                yield Problem(
                    what=f"vpai:placement puts {service.name} on {placement.host.name}, where Caddy hands on over the mesh",
                    why=f"{service.name} is on no network without a way out: Caddy would share one with it, and the firewall "
                    "could not tell the two apart",
                    fix="let it stand elsewhere, or join a network without a way out",
                    example=f"pulumi config rm -s {stack} --path vpai:placement.{service.name}",
                )


def _listed(services: Mapping[str, str]) -> str:
    hosts = {host: [name for name, at in services.items() if at == host] for host in services.values()}
    return ", ".join(f"{' and '.join(names)} on {host}" for host, names in hosts.items())


def unverified(settings: Settings, stack: str, placements: Sequence[Placement], authority: str) -> Iterator[Problem]:
    """Problems: services that call a moved service over the mesh but do not trust the own authority (`authority`, PEM)."""
    if not authority:
        return
    known = (authority, json.dumps(authority)[1:-1])
    for placement in placements:
        for service in placement.services:
            files = service.configuration.files if service.configuration else ()
            trusts = any(root in file.content for root in known for file in files)
            for link in service.links:
                if link.service in settings.placement and not trusts:
                    yield Problem(
                        what=f"vpai:placement puts {link.service} where {service.name} calls it over the mesh, and certificates "
                        "are of an own authority",
                        why=f"{service.name} knows the public authorities alone: it would take the answer for somebody else's",
                        fix=f"let {link.service} stand on {placement.host.name}, or let a public authority issue certificates: "
                        "leave vpai:certificateAuthority out",
                        example=f"pulumi config rm -s {stack} --path vpai:placement.{link.service}",
                    )


def _called(service: Service) -> frozenset[str]:
    texts = " ".join((*service.texts, *service.command))
    return frozenset((*service.needs, *_CALLED.findall(texts)))
