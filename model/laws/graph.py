"""Names and dependencies."""

from collections.abc import Iterator
from graphlib import CycleError

from model.placement import Placement
from model.problem import Problem


def names_are_unique(placement: Placement) -> Iterator[Problem]:
    """The names of services and networks are unique on a host."""
    kinds = {
        "service": [service.name for service in placement.services],
        "network": [network.name for network in placement.networks],
        "database user": [database.user for database in placement.databases()],
    }
    for kind, names in kinds.items():
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Problem(
                what=f"{placement.host.name}: the {kind} name {name!r} is used {names.count(name)} times",
                why="whoever asks for the name gets either of them, by chance",
                fix=f"give each {kind} a name of its own in services/",
            )


def needs_are_met(placement: Placement) -> Iterator[Problem]:
    """A service needs only services of its own host, without a cycle."""
    names = {service.name for service in placement.services}
    unmet = False
    for service in placement.services:
        for need in service.needs:
            if need not in names:
                unmet = True
                yield Problem(
                    what=f"{placement.host.name}: {service.name} needs {need!r}, which does not stand there",
                    why="the service would start without what it needs and fail at its first request",
                    fix=f"place {need!r} on {placement.host.name} in stacks/, or remove it from `needs`",
                    example=f"needs=({', '.join(sorted(names - {service.name}))},)",
                )
    if not unmet:
        try:
            placement.in_order()
        except CycleError as error:
            circle = " -> ".join(error.args[1])
            yield Problem(
                what=f"{placement.host.name}: services need each other in a circle: {circle}",
                why="none of them could be started first",
                fix="remove one of these `needs`",
            )


def tasks_run_in_their_service(placement: Placement) -> Iterator[Problem]:
    """A task belongs to the service it runs in."""
    for service in placement.services:
        for task in service.tasks:
            if task.service != service.name:
                yield Problem(
                    what=f"{placement.host.name}: the task {task.name!r} of {service.name} runs in {task.service!r}",
                    why="it would wait for the wrong service to be healthy",
                    fix=f"declare it in services/{task.service}",
                )
