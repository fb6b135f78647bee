"""Memory: the sum of the services' limits against the memory of their host."""

from collections.abc import Iterator, Sequence

from model.placement import Placement
from model.problem import Problem
from model.service import Service


def memory_fits(placement: Placement) -> Iterator[Problem]:
    """Memory limits add up to less than the host has, minus its reserve."""
    host = placement.host
    total = sum(service.limits.memory_mib for service in placement.services)
    total += placement.backup.memory_mib if placement.backup else 0
    available = host.memory_mib - host.reserve_mib
    if total > available:
        largest = sorted(placement.services, key=lambda service: -service.limits.memory_mib)[:3]
        spared = _spared(placement.services, total - available)
        freed = sum(service.limits.memory_mib for service in placement.services if service.name in spared)
        choice = (
            f"choose fewer services in vpai:services: without {', '.join(spared)} ({freed} MiB) it fits; or " if spared else ""
        )
        yield Problem(
            what=f"{host.name}: memory limits add up to {total} MiB; the host has {host.memory_mib} MiB"
            + f", {host.reserve_mib} of them reserved",
            why="the kernel would kill services under load (the predecessor was overcommitted 1.6 times)",
            fix=f"{choice}lower limits (largest: "
            + ", ".join(f"{service.name} {service.limits.memory_mib}" for service in largest)
            + "), move a service, or take a larger host",
            example=f"pulumi config set --path 'vpai:hosts.{host.name}.memoryMib' {total + host.reserve_mib}",
        )


def _spared(services: Sequence[Service], too_much_mib: int) -> tuple[str, ...]:
    """The smallest set of services without which the rest fits: a service, all that need it, and what only those use.

    Empty where no single set frees enough. A set never contains a service that publishes a port: without it nothing is
    reachable.
    """
    memory = {service.name: service.limits.memory_mib for service in services}
    uses = {service.name: {*service.needs, *service.brings} & memory.keys() for service in services}
    behind = {service.name for service in services if not service.routes and not service.ports}

    def going(name: str) -> frozenset[str]:
        gone = {name}
        while more := {
            candidate
            for candidate in memory.keys() - gone
            if uses[candidate] & gone
            or (candidate in behind and (users := {user for user in uses if candidate in uses[user]}) and users <= gone)
        }:
            gone |= more
        return frozenset(gone)

    published = {service.name for service in services if service.ports}
    choices = [gone for name in memory if not (gone := going(name)) & published]
    enough = [gone for gone in choices if sum(memory[name] for name in gone) >= too_much_mib]
    least = min(enough, key=lambda gone: (sum(memory[name] for name in gone), sorted(gone)), default=frozenset[str]())
    return tuple(name for name in memory if name in least)
