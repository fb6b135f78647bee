"""The laws of a fleet: each a function from what stands where to the problems it finds."""

from collections.abc import Callable, Iterable, Iterator
from graphlib import CycleError
from itertools import combinations

from model.network import DOCKER_POOL, MESH
from model.placement import Placement
from model.problem import Problem
from model.secret import External, Generated
from model.service import Access, Replacement

Law = Callable[[Placement], Iterator[Problem]]


def broken_laws(placements: Iterable[Placement]) -> tuple[Problem, ...]:
    """Every problem of every placement; the laws that need a sound graph are asked only where it is one."""
    found: list[Problem] = []
    for placement in placements:
        graph = [problem for law in GRAPH_LAWS for problem in law(placement)]
        found += graph or [problem for law in LAWS for problem in law(placement)]
    return tuple(found)


def names_are_unique(placement: Placement) -> Iterator[Problem]:
    """Services, networks and route names are used once a host."""
    kinds = {
        "service": [service.name for service in placement.services],
        "network": [network.name for network in placement.networks],
        "route": [route.subdomain for service in placement.services for route in service.routes],
        "database user": [database.user for database in placement.databases()],
    }
    for kind, names in kinds.items():
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Problem(
                what=f"{placement.host.name}: the {kind} name {name!r} is used {names.count(name)} times",
                why="whoever asks for the name gets either of them, by chance",
                mend=f"give each {kind} a name of its own in services/",
            )


def needs_are_met(placement: Placement) -> Iterator[Problem]:
    """A service needs only services of its own host, and no circle."""
    names = {service.name for service in placement.services}
    unmet = False
    for service in placement.services:
        for need in service.needs:
            if need not in names:
                unmet = True
                yield Problem(
                    what=f"{placement.host.name}: {service.name} needs {need!r}, which does not stand there",
                    why="the service would start without what it needs and fail at its first request",
                    mend=f"place {need!r} on {placement.host.name} in stacks/, or remove it from `needs`",
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
                mend="remove one of these `needs`",
            )


def networks_do_not_overlap(placement: Placement) -> Iterator[Problem]:
    """Law 1: no CIDR overlaps another, Docker's pool or the mesh."""
    taken = [(network.name, network.cidr) for network in placement.networks]
    reserved = [("Docker's own address pool", DOCKER_POOL), ("the mesh", MESH)]
    for (name, cidr), (other, other_cidr) in [
        *combinations(taken, 2),
        *((mine, theirs) for mine in taken for theirs in reserved),
    ]:
        if cidr.overlaps(other_cidr):
            yield Problem(
                what=f"{placement.host.name}: network {name!r} ({cidr}) overlaps {other} ({other_cidr})",
                why="packets for one would be routed to the other, and access lists by CIDR would let the wrong side in",
                mend="choose a range that nobody has",
                example="Network(name='frontend', cidr=IPv4Network('172.20.1.0/24'), internal=False)",
            )


def networks_are_known(placement: Placement) -> Iterator[Problem]:
    """Law 1: a service names the networks it joins, all of them declared; none is left to Docker's default bridge."""
    known = {network.name for network in placement.networks}
    for service in placement.services:
        for name in service.networks:
            if name not in known:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} joins an unknown network {name!r}",
                    why="the service would be cut off, or land on a network that nobody reviewed",
                    mend=f"use one of {', '.join(sorted(known))}, or declare {name!r} in services/networks.py",
                    example='networks=("backend",)',
                )
        if not service.networks:
            yield Problem(
                what=f"{placement.host.name}: {service.name} joins no network",
                why="Docker would put it on its default bridge (predecessor lesson 14)",
                mend="name the networks it joins",
                example='networks=("backend",)',
            )


def host_ports_are_used_once(placement: Placement) -> Iterator[Problem]:
    """Law 2: a host port belongs to one service."""
    published = [(port.number, port.protocol, service.name) for service in placement.services for port in service.ports]
    owners: dict[tuple[int, str], list[str]] = {}
    for number, protocol, name in published:
        owners.setdefault((number, protocol), []).append(name)
    for (number, protocol), names in sorted(owners.items()):
        if len(names) > 1:
            yield Problem(
                what=f"{placement.host.name}: host port {number}/{protocol} is published by {' and '.join(names)}",
                why="the second one to start fails with 'port is already allocated'",
                mend="publish it once; services behind Caddy need a Route, not a port",
                example='routes=(Route(subdomain="llm", port=4000, access=Access.VPN),)',
            )


def only_caddy_publishes(placement: Placement) -> Iterator[Problem]:
    """Law 2: only Caddy publishes ports, 80 and 443, and says who may reach them."""
    for service in placement.services:
        for port in service.ports:
            if service.name != "caddy" or port.number not in (80, 443):
                yield Problem(
                    what=f"{placement.host.name}: {service.name} publishes port {port.number}/{port.protocol}",
                    why="a port that Docker publishes goes past UFW and past Caddy's access list",
                    mend="give the service a Route; Caddy leads to it",
                    example='routes=(Route(subdomain="llm", port=4000, access=Access.VPN),)',
                )
            if not port.reachable_by:
                yield Problem(
                    what=f"{placement.host.name}: port {port.number}/{port.protocol} of {service.name} names nobody",
                    why="an open port without a reason cannot be reviewed",
                    mend="fill in `reachable_by`",
                    example='reachable_by="anyone: VPN-only sites answer 403 to the public"',
                )


def routes_are_answered(placement: Placement) -> Iterator[Problem]:
    """Law 3: a public route needs a reason, a VPN route none; Caddy shares a network with the service behind it."""
    services = {service.name: service for service in placement.services}
    for service in placement.services:
        for route in service.routes:
            if (route.access is Access.PUBLIC) != bool(route.reason):
                yield Problem(
                    what=f"{placement.host.name}: route {route.subdomain!r} of {service.name} is {route.access} "
                    + ("without a reason" if not route.reason else "but gives a reason to be public"),
                    why="what the whole Internet may reach is decided and reviewed route by route",
                    mend="say why it is public, or make it Access.VPN",
                    example='access=Access.PUBLIC, reason="Obsidian on iOS syncs without the VPN"',
                )
            caddy = services.get("caddy")
            if caddy is None or not set(caddy.networks) & set(service.networks):
                yield Problem(
                    what=f"{placement.host.name}: Caddy cannot reach {service.name}, which has the route {route.subdomain!r}",
                    why="every request would end in 502",
                    mend="place caddy on the host and let the service join one of its networks",
                )


def memory_fits(placement: Placement) -> Iterator[Problem]:
    """Law 5: memory limits add up to less than the host has, minus its reserve."""
    host = placement.host
    total = sum(service.limits.memory_mib for service in placement.services)
    available = host.memory_mib - host.reserve_mib
    if total > available:
        largest = sorted(placement.services, key=lambda service: -service.limits.memory_mib)[:3]
        yield Problem(
            what=f"{host.name}: memory limits add up to {total} MiB; the host has {host.memory_mib} MiB"
            + f", {host.reserve_mib} of them reserved",
            why="the kernel would kill services under load (the predecessor was overcommitted 1.6 times)",
            mend="lower limits (largest: "
            + ", ".join(f"{service.name} {service.limits.memory_mib}" for service in largest)
            + "), move a service, or take a larger host",
            example=f"pulumi config set --path 'vpai:hosts.{host.name}.memoryMib' {total + host.reserve_mib}",
        )


def healthchecks_are_sound(placement: Placement) -> Iterator[Problem]:
    """Law 6: every service is checked, on 127.0.0.1, within the specification's 10 to 30 seconds."""
    for service in placement.services:
        check = service.healthcheck
        if not check.command or any("localhost" in word for word in check.command):
            yield Problem(
                what=f"{placement.host.name}: the healthcheck of {service.name} is empty or asks 'localhost'",
                why="'localhost' is ::1 in Alpine images, where services listen on IPv4 only (predecessor lesson 23)",
                mend="give a command that asks 127.0.0.1 with a tool of the image",
                example='command=("wget", "-q", "-O", "/dev/null", "http://127.0.0.1:2020/health")',
            )
        if not 10 <= check.interval <= 30:
            yield Problem(
                what=f"{placement.host.name}: {service.name} is checked every {check.interval} s",
                why="the specification asks for 10 to 30 s: rarer hides a fault, more often costs CPU",
                mend="set the interval between 10 and 30",
            )


def secrets_are_declared(placement: Placement) -> Iterator[Problem]:
    """Law 9: what a text refers to is declared, and never lands where `docker inspect` shows it."""
    databases = {database.password.name for database in placement.databases()}
    for service in placement.services:
        declared = {secret.name for secret in service.secrets} | databases
        for name in sorted(service.referenced_secrets - declared):
            yield Problem(
                what=f"{placement.host.name}: {service.name} refers to the secret {name!r}, which nobody declares",
                why="there is no value to put in",
                mend="add it to the service's `secrets`",
                example=f'Secret(name="{name}", source=Generated())',
            )
        for key, text in service.environment.items():
            if "${secret:" in text:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} has a secret in the environment variable {key}",
                    why="`docker inspect` would show it",
                    mend="use secret_environment or a File",
                    example=f'secret_environment={{"{key}": f"{{secret}}"}}',
                )
        if service.secret_environment and not (service.entrypoint and service.configuration):
            yield Problem(
                what=f"{placement.host.name}: {service.name} has a secret_environment but no entrypoint or configuration",
                why="a line before the image's entrypoint reads the variables from a file of the configuration",
                mend="state the image's own entrypoint and a Configuration",
            )


def secrets_are_sound(placement: Placement) -> Iterator[Problem]:
    """Law 9: one name, one meaning; generated ones are long enough; external ones say where to get them."""
    seen = {database.password.name: database.password for database in placement.databases()}
    for service in placement.services:
        for secret in service.secrets:
            if seen.setdefault(secret.name, secret) != secret:
                yield Problem(
                    what=f"{placement.host.name}: the secret {secret.name!r} is declared in two ways",
                    why="one of the two would win by chance",
                    mend="declare it once and import it",
                )
            match secret.source:
                case Generated(length=length) if length < 24:
                    yield Problem(
                        what=f"{placement.host.name}: the generated secret {secret.name!r} has only {length} characters",
                        why="anything below 24 can be guessed in the long run",
                        mend="leave the default of 32",
                    )
                case External(obtain=obtain) if not obtain:
                    yield Problem(
                        what=f"{placement.host.name}: the external secret {secret.name!r} does not say where to get it",
                        why="whoever deploys first would have to guess",
                        mend="fill in `obtain`",
                        example='External(obtain="console.anthropic.com > API keys")',
                    )


def data_is_owned(placement: Placement) -> Iterator[Problem]:
    """Law 8: every volume has one owner and says how it is backed up; who owns data is replaced stop-first."""
    owners: dict[str, str] = {}
    for service in placement.services:
        for volume in service.volumes:
            first = owners.setdefault(volume.directory, service.name)
            if first != service.name:
                yield Problem(
                    what=f"{placement.host.name}: the data directory {volume.directory!r} belongs to {first} and {service.name}",
                    why="two services writing the same files damage them",
                    mend="give each its own directory",
                )
            if not volume.backup:
                yield Problem(
                    what=f"{placement.host.name}: the volume {volume.path} of {service.name} says nothing of its backup",
                    why="data that nobody thought of is found missing at the restore",
                    mend="say how it is backed up, or why not",
                    example='backup="none: a cache, refilled on demand"',
                )
        if (service.volumes or service.ports) and service.replacement is not Replacement.STOP_FIRST:
            yield Problem(
                what=f"{placement.host.name}: {service.name} owns data or a host port but is replaced {service.replacement}",
                why="two versions at once would write the same files or fight for the port",
                mend="use Replacement.STOP_FIRST",
            )


def tasks_run_in_their_service(placement: Placement) -> Iterator[Problem]:
    """A task belongs to the service it runs in."""
    for service in placement.services:
        for task in service.tasks:
            if task.service != service.name:
                yield Problem(
                    what=f"{placement.host.name}: the task {task.name!r} of {service.name} runs in {task.service!r}",
                    why="it would wait for the wrong service to be healthy",
                    mend=f"declare it in services/{task.service}",
                )


GRAPH_LAWS: tuple[Law, ...] = (names_are_unique, needs_are_met)
LAWS: tuple[Law, ...] = (
    networks_do_not_overlap,
    networks_are_known,
    host_ports_are_used_once,
    only_caddy_publishes,
    routes_are_answered,
    memory_fits,
    healthchecks_are_sound,
    secrets_are_declared,
    secrets_are_sound,
    data_is_owned,
    tasks_run_in_their_service,
)
