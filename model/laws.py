"""The laws of a fleet: each a function from what stands where to the problems it finds."""

import re
from collections.abc import Callable, Iterator, Sequence
from graphlib import CycleError
from itertools import combinations
from pathlib import PurePosixPath

from model.backup import PostgresDump, unsound
from model.host import PEOPLE
from model.network import DOCKER_POOL, MESH
from model.placement import Placement
from model.problem import Problem
from model.route import Access, Route, covers, in_the_way
from model.secret import External, Generated, Secret
from model.service import NotCollected, Reload, Replacement, Service, Volume

Law = Callable[[Placement], Iterator[Problem]]
FleetLaw = Callable[[Sequence[Placement]], Iterator[Problem]]

_PATH = re.compile(r"(?=/)(?!.*/[.]{1,2}(/|$))(/[\w.~!$&'()+,;=:@-]+)*(/|/?[*])?|/")

_HOST_PARTS = frozenset(
    ("access", "backup", "backup-plan", "baseline", "contact", "direct-path", "firewall", "host-key", "in-mesh", "mesh-only")
) | {"first", "mesh", "public"}
"""What resources of a host itself, and the ways to it over SSH, are called after its name."""


def broken_laws(placements: Sequence[Placement]) -> tuple[Problem, ...]:
    """Every problem of every placement; the laws that need a sound graph are asked only where it is one."""
    found = [problem for fleet_law in FLEET_LAWS for problem in fleet_law(placements)]
    for placement in placements:
        graph = [problem for law in GRAPH_LAWS for problem in law(placement)]
        found += graph or [problem for law in LAWS for problem in law(placement)]
    return tuple(found)


def names_are_unique(placement: Placement) -> Iterator[Problem]:
    """Services and networks are named once a host."""
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


def networks_do_not_overlap(placement: Placement) -> Iterator[Problem]:
    """No CIDR overlaps another, Docker's pool or the mesh."""
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
                fix="choose a range that nobody has",
                example="Network(name='frontend', cidr=IPv4Network('172.20.1.0/24'), internal=False)",
            )


def networks_are_known(placement: Placement) -> Iterator[Problem]:
    """A service names the networks it joins, all of them declared; none is left to Docker's default bridge."""
    known = {network.name for network in placement.networks}
    for service in placement.services:
        for name in service.networks:
            if name not in known:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} joins an unknown network {name!r}",
                    why="the service would be cut off, or land on a network that nobody reviewed",
                    fix=f"use one of {', '.join(sorted(known))}, or declare {name!r} in services/networks.py",
                    example='networks=("backend",)',
                )
        if not service.networks:
            yield Problem(
                what=f"{placement.host.name}: {service.name} joins no network",
                why="Docker would put it on its default bridge, where every other container reaches it",
                fix="name the networks it joins",
                example='networks=("backend",)',
            )


def host_ports_are_used_once(placement: Placement) -> Iterator[Problem]:
    """A host port belongs to one service."""
    published = [(port.number, port.protocol, service.name) for service in placement.services for port in service.ports]
    owners: dict[tuple[int, str], list[str]] = {}
    for number, protocol, name in published:
        owners.setdefault((number, protocol), []).append(name)
    for (number, protocol), names in sorted(owners.items()):
        if len(names) > 1:
            yield Problem(
                what=f"{placement.host.name}: host port {number}/{protocol} is published by {' and '.join(names)}",
                why="the second one to start fails with 'port is already allocated'",
                fix="publish it once; services behind Caddy need a Route, not a port",
                example='routes=(Route(subdomain="llm", port=4000, access=Access.VPN),)',
            )


def only_caddy_publishes(placement: Placement) -> Iterator[Problem]:
    """Only Caddy publishes ports, 80 and 443, and the hub its STUN port; each says why."""
    for service in placement.services:
        for port in service.ports:
            if port.number not in service.may.publish:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} publishes port {port.number}/{port.protocol}",
                    why="a port that Docker publishes goes past UFW and past Caddy's access list",
                    fix="give the service a Route; Caddy leads to it",
                    example='routes=(Route(subdomain="llm", port=4000, access=Access.VPN),)',
                )
            if not port.reason:
                yield Problem(
                    what=f"{placement.host.name}: port {port.number}/{port.protocol} of {service.name} is open without a reason",
                    why="what strangers may reach is decided and reviewed port by port",
                    fix="fill in `reason`",
                    example='Port(number=443, protocol="tcp", access=Access.PUBLIC, reason="VPN-only sites answer 403")',
                )


def routes_are_answered(placement: Placement) -> Iterator[Problem]:
    """A public route needs a reason, a VPN route none; Caddy shares a network with the service behind it."""
    for service in placement.services:
        for route in service.routes:
            if (route.access is Access.PUBLIC) != bool(route.reason):
                yield Problem(
                    what=f"{placement.host.name}: route {route.subdomain!r} of {service.name} is {route.access} "
                    + ("without a reason" if not route.reason else "but gives a reason to be public"),
                    why="what the whole Internet may reach is decided and reviewed route by route",
                    fix="say why it is public, or make it Access.VPN",
                    example='access=Access.PUBLIC, reason="Obsidian on iOS syncs without the VPN"',
                )
            if sum(map(bool, (route.port, route.answer, route.file))) != 1:
                yield Problem(
                    what=f"{placement.host.name}: route {route.subdomain!r} of {service.name} has "
                    + ("a port and an answer of Caddy's own" if route.port else "neither a port nor an answer of Caddy's own"),
                    why="one of the two is what a client gets",
                    fix="give it the service's port, or the `answer` or the `file` that Caddy gives without a service",
                    example='Route(subdomain="hook", paths=("/health",), answer="OK", access=Access.VPN)',
                )
            if route.file and service is not placement.door:
                yield Problem(
                    what=f"{placement.host.name}: route {route.subdomain!r} of {service.name} has a file, and is not Caddy's own",
                    why="files of routes lie in Caddy's container, beside the keys of its certificates",
                    fix="let the service answer with its own files: give the route its port",
                    example='Route(subdomain="hello", port=8080, access=Access.VPN)',
                )
            if placement.door is None or not set(placement.door.networks) & set(service.networks):
                yield Problem(
                    what=f"{placement.host.name}: Caddy cannot reach {service.name}, which has the route {route.subdomain!r}",
                    why="every request would end in 502",
                    fix="place caddy on the host and let the service join one of its networks",
                )


def strangers_are_limited(placement: Placement) -> Iterator[Problem]:
    """A public route says how often a stranger may ask; what is relayed is public."""
    for service in placement.services:
        for route in service.routes:
            if route.access is Access.PUBLIC and not route.rate_limit:
                yield Problem(
                    what=f"{placement.host.name}: the public route {route.subdomain!r} of {service.name} has no rate limit",
                    why="one stranger could keep the service busy for everybody",
                    fix="measure what a client needs and allow it several times that",
                    example="rate_limit=RateLimit(requests=300, seconds=60)",
                )
            if route.relayed and route.access is not Access.PUBLIC:
                yield Problem(
                    what=f"{placement.host.name}: the route {route.subdomain!r} of {service.name} is relayed but not public",
                    why="the hub hands on what strangers ask; members reach the host itself",
                    fix="leave `relayed` off, or make it public with its reason",
                )


def paths_have_one_answer(placement: Placement) -> Iterator[Problem]:
    """Each path of a host name belongs to one route, and a wide public route never opens a narrower one."""
    by_host: dict[str, list[Route]] = {}
    for service in placement.services:
        for route in service.routes:
            by_host.setdefault(route.subdomain, []).append(route)
            for path in (*route.paths, *route.refused_paths):
                if not _PATH.fullmatch(path):
                    yield Problem(
                        what=f"{placement.host.name}: the route {route.subdomain!r} of {service.name} has the path {path!r}",
                        why="Caddy compares paths that are clean and decoded: this one would never match, or too much",
                        fix="begin with one slash, write it as the service does, with a star at the end only",
                        example='paths=("/webhook/*", "/health")',
                    )
    for name, routes in by_host.items():
        for first, second in in_the_way(routes):
            yield Problem(
                what=f"{placement.host.name}: of the routes of {name!r} the one for {' '.join(first.paths)} takes requests of the"
                + f" one for {' '.join(second.paths)}",
                why="the narrower route answers, and of these two neither is",
                fix="give each path to one route; put exact paths and prefixes into routes of their own",
                example='Route(subdomain="hq", paths=("/webhook/*",), ...), Route(subdomain="hq", ...)',
            )
        for wide in routes:
            for narrow in routes:
                if (wide.access, narrow.access) == (Access.PUBLIC, Access.VPN) and any(
                    covers(pattern, path) for pattern in wide.paths for path in narrow.paths
                ):
                    yield Problem(
                        what=f"{placement.host.name}: {name!r} is public for {' '.join(wide.paths)}, and {' '.join(narrow.paths)}"
                        + " below it is for the VPN",
                        why="a site that is open but for exceptions is open wherever one was forgotten",
                        fix="name the public paths, and let the wide route be for the VPN",
                        example='paths=("/webhook/*",), access=Access.PUBLIC',
                    )


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
    """The least without which the rest fits: a service, whoever needs it, and what nobody else asks for.

    Empty where no single choice frees enough. Whoever publishes a port is no choice: without it nothing is reached.
    """
    memory = {service.name: service.limits.memory_mib for service in services}
    uses = {service.name: {*service.needs, *service.brings} & memory.keys() for service in services}
    behind = {service.name for service in services if not service.routes and not service.ports}

    def going(name: str) -> frozenset[str]:
        gone = {name}
        while more := {
            each
            for each in memory.keys() - gone
            if uses[each] & gone or (each in behind and (users := {it for it in uses if each in uses[it]}) and users <= gone)
        }:
            gone |= more
        return frozenset(gone)

    published = {service.name for service in services if service.ports}
    choices = [gone for name in memory if not (gone := going(name)) & published]
    enough = [gone for gone in choices if sum(memory[name] for name in gone) >= too_much_mib]
    least = min(enough, key=lambda gone: (sum(memory[name] for name in gone), sorted(gone)), default=frozenset[str]())
    return tuple(name for name in memory if name in least)


def services_are_confined(placement: Placement) -> Iterator[Problem]:
    """A limit on memory and CPU, capabilities by name, an image that is told by its tag."""
    for service in placement.services:
        where = f"{placement.host.name}: {service.name}"
        if service.limits.memory_mib <= 0 or service.limits.cpus <= 0:
            yield Problem(
                what=f"{where} has no limit on its memory or its CPUs",
                why="Docker takes 0 for unlimited, and one service could take the host down with it",
                fix="measure what it uses and give it that with headroom",
                example="limits=Limits(memory_mib=256, cpus=0.5)",
            )
        if "ALL" in service.capabilities:
            yield Problem(
                what=f"{where} adds back ALL capabilities",
                why="its root would be the host's in everything but the file system",
                fix="name those that it needs",
                example='capabilities=("CHOWN", "SETGID", "SETUID")',
            )
        _, _, tag = service.image.rpartition("/")[2].partition(":")
        if tag in ("", "latest"):
            yield Problem(
                what=f"{where} runs the image {service.image}, whose version nobody chose",
                why="the next pull brings whatever is newest, and no rollback knows what ran before",
                fix="name the version as the tag; the image lock adds its digest",
                example='image="docker.io/library/redis:8.0-bookworm"',
            )


def healthchecks_are_sound(placement: Placement) -> Iterator[Problem]:
    """Every service is checked, on 127.0.0.1, within the specification's 10 to 30 seconds."""
    for service in placement.services:
        check = service.healthcheck
        if not check.command or any("localhost" in word for word in check.command):
            yield Problem(
                what=f"{placement.host.name}: the healthcheck of {service.name} is empty or asks 'localhost'",
                why="'localhost' is ::1 in Alpine images, where services listen on IPv4 only",
                fix="give a command that asks 127.0.0.1 with a tool of the image",
                example='command=("wget", "-q", "-O", "/dev/null", "http://127.0.0.1:2020/health")',
            )
        if not 10 <= check.interval <= 30:
            yield Problem(
                what=f"{placement.host.name}: {service.name} is checked every {check.interval} s",
                why="the specification asks for 10 to 30 s: rarer hides a fault, more often costs CPU",
                fix="set the interval between 10 and 30",
            )


def secrets_are_declared(placement: Placement) -> Iterator[Problem]:
    """What a text refers to is declared, and never lands where `docker inspect` shows it."""
    databases = {database.password.name for database in placement.databases()}
    for service in placement.services:
        declared = {secret.name for secret in service.secrets} | databases
        for name in sorted(service.referenced_secrets - declared):
            yield Problem(
                what=f"{placement.host.name}: {service.name} refers to the secret {name!r}, which nobody declares",
                why="there is no value to put in",
                fix="add it to the service's `secrets`",
                example=f'Secret(name="{name}", source=Generated())',
            )
        for key, text in service.environment.items():
            if "${secret:" in text:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} has a secret in the environment variable {key}",
                    why="`docker inspect` would show it",
                    fix="use secret_environment or a File",
                    example=f'secret_environment={{"{key}": f"{{secret}}"}}',
                )
        for key in sorted(set(service.environment) & set(service.secret_environment)):
            yield Problem(
                what=f"{placement.host.name}: {service.name} sets the environment variable {key} twice",
                why="the secret value would win inside the service while `docker inspect` shows the other",
                fix="keep it in environment or in secret_environment, not in both",
                example=f'secret_environment={{"{key}": f"{{secret}}"}}',
            )
        if service.secret_environment and not (service.entrypoint and service.configuration):
            yield Problem(
                what=f"{placement.host.name}: {service.name} has a secret_environment but no entrypoint or configuration",
                why="a line before the image's entrypoint reads the variables from a file of the configuration",
                fix="state the image's own entrypoint and a Configuration",
            )


def secrets_are_sound(placement: Placement) -> Iterator[Problem]:
    """One name, one meaning; generated ones are long enough; external ones say where to get them."""
    seen = {database.password.name: database.password for database in placement.databases()}
    for service in placement.services:
        for secret in service.secrets:
            if seen.setdefault(secret.name, secret) != secret:
                yield Problem(
                    what=f"{placement.host.name}: the secret {secret.name!r} is declared in two ways",
                    why="one of the two would win by chance",
                    fix="declare it once and import it",
                )
            match secret.source:
                case Generated(length=length) if length < 24:
                    yield Problem(
                        what=f"{placement.host.name}: the generated secret {secret.name!r} has only {length} characters",
                        why="anything below 24 can be guessed in the long run",
                        fix="leave the default of 32",
                    )
                case External(obtain=obtain) if not obtain:
                    yield Problem(
                        what=f"{placement.host.name}: the external secret {secret.name!r} does not say where to get it",
                        why="whoever deploys first would have to guess",
                        fix="fill in `obtain`",
                        example='External(obtain="console.anthropic.com > API keys")',
                    )


def data_is_owned(placement: Placement) -> Iterator[Problem]:
    """Every volume has one owner; who owns data is replaced stop-first."""
    owners: dict[str, tuple[str, Volume]] = {}
    for service in placement.services:
        for volume in service.volumes:
            first, its = owners.setdefault(volume.directory, (service.name, volume))
            if first != service.name and not (volume.shared and volume == its):
                yield Problem(
                    what=f"{placement.host.name}: the data directory {volume.directory!r} belongs to {first} and {service.name}",
                    why="two services writing the same files damage them",
                    fix="give each its own directory",
                )
            for inside in placement.services:
                for other in inside.volumes:
                    if PurePosixPath(volume.directory) in PurePosixPath(other.directory).parents:
                        yield Problem(
                            what=f"{placement.host.name}: the data directory {other.directory!r} of {inside.name} lies in"
                            + f" {volume.directory!r} of {service.name}",
                            why="root makes it anew at each `up`, by a path in which the other could put a link",
                            fix="give each its own directory below data/",
                        )
        if (service.volumes or service.ports) and service.replacement is not Replacement.STOP_FIRST:
            yield Problem(
                what=f"{placement.host.name}: {service.name} owns data or a host port but is replaced {service.replacement}",
                why="two versions at once would write the same files or fight for the port",
                fix="use Replacement.STOP_FIRST",
            )


def data_is_backed_up(placement: Placement) -> Iterator[Problem]:
    """Every volume and every database is backed up or says why not, each by one job, and can be read after a restore."""
    for service in placement.services:
        where = f"{placement.host.name}: {service.name}"
        for volume in service.volumes:
            for wrong in unsound(volume.backup):
                yield Problem(
                    what=f"{where}: the backup of {volume.path} {wrong}",
                    why="a backup that does not hold, or cannot be read again, is found missing at the restore",
                    fix="correct the volume's `backup` in services/",
                    example='backup=Nothing(reason="a cache, refilled on demand")',
                )
        dumped = any(isinstance(volume.backup, PostgresDump) for volume in service.volumes)
        if service.databases and not dumped:
            yield Problem(
                what=f"{where} has databases that nothing dumps",
                why="files of a running PostgreSQL are no backup, and what no job knows is not restored",
                fix="let the volume of the server be a PostgresDump",
                example="Volume(path='/var/lib/postgresql', ..., backup=PostgresDump())",
            )
        for database in service.databases:
            for key in database.keys:
                if not key.irreplaceable:
                    yield Problem(
                        what=f"{where}: the database {database.name} cannot be read without {key.name}, which may be rotated",
                        why="a restore after a rotation would bring back rows that nothing decrypts",
                        fix="say on the secret why it is irreplaceable",
                        example='Secret(..., irreplaceable="n8n encrypts every stored credential with it")',
                    )


def what_is_kept_has_a_place(placement: Placement) -> Iterator[Problem]:
    """Who keeps something in PostgreSQL or Redis has a user of its own there, on the same host."""
    databases = placement.databases()
    users = {secret for service in placement.services if not service.caches for secret in service.secrets}
    for service in placement.services:
        missing = {
            "keeps": service.keeps and service.keeps not in databases and service.keeps.user,
            "caches": service.caches and service.caches.password not in users and service.caches.user,
        }
        for kept, user in missing.items():
            if user:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} {kept} something as {user}, and nobody beside it knows "
                    "that user",
                    why="its first query would be refused",
                    fix="let it need the store, which then stands on its host",
                    example='needs=("postgresql",)',
                )


_OWN_UID = "give it a uid of its own from 20000 on; if its image works as no other, say may=May(share_uid=...)"


def users_are_their_own(placement: Placement) -> Iterator[Problem]:
    """No two services and no person are one user of the host, but parts of one program; what a service writes to is its own."""
    first: dict[int, Service] = {}
    for service in placement.services:
        where = f"{placement.host.name}: {service.name}"
        for uid in service.uids:
            listed = service.may.share_uid == uid
            other = first.setdefault(uid, service)
            parts = {volume.directory for volume in service.volumes if volume.shared} & {
                volume.directory for volume in other.volumes
            }
            if other is not service and not parts and not (listed and other.may.share_uid == uid):
                yield Problem(
                    what=f"{where} runs as user {uid}, as {other.name} does",
                    why="to the kernel they are one: whatever lets one of them out of its own files lets it into the other's",
                    fix=_OWN_UID,
                    example='user="20009:20009", and the same as `owner` of its volumes and its configuration',
                )
            elif not listed and (uid == 0 or uid in PEOPLE):
                yield Problem(
                    what=f"{where} runs as user {uid}, " + ("which is root" if uid == 0 else "which is of those who log in"),
                    why="whatever lets it out of its own files makes it that user of the host",
                    fix=_OWN_UID,
                    example='user="20009:20009", and the same as `owner` of its volumes and its configuration',
                )
        owners = {volume.path: volume.owner for volume in service.volumes if not volume.read_only}
        if service.configuration:
            owners[service.configuration.directory] = service.configuration.owner
        for path, owner in owners.items():
            if int(owner.partition(":")[0]) not in service.uids:
                yield Problem(
                    what=f"{where} runs as user {service.uid}, and its {path} belongs to {owner}",
                    why="it could not read its own files, or another user of the host could write them",
                    fix="make the service's user the owner",
                    example=f'owner="{service.uid}:{service.uid}"',
                )


def links_leave_by_networks_of_their_own(placement: Placement) -> Iterator[Problem]:
    """Whoever calls another host's service has one way out, and shares it with nobody who does not."""
    linked = {service.name for service in placement.services if service.links}
    for service in placement.services:
        if not service.links:
            continue
        ways = placement.ways_out(service)
        if not placement.host.mesh_domain:
            yield Problem(
                what=f"{placement.host.name}: {service.name} calls {service.links[0].service} over the mesh, of which the host"
                + " is no member",
                why="there is no way there",
                fix="place both services on one host",
            )
        if len(ways) != 1:
            yield Problem(
                what=f"{placement.host.name}: {service.name} has links and {len(ways)} ways out",
                why="the firewall knows who may enter the mesh by the one network that it comes from",
                fix="let it join one network that is not internal, made for those with links",
                example="networks=(MONITORING.name, UPLINK.name)",
            )
        for network in ways:
            if others := placement.members(network.name) - linked:
                yield Problem(
                    what=f"{placement.host.name}: {', '.join(sorted(others))} shares the network {network.name!r} with"
                    + f" {service.name}, which has links",
                    why="the firewall cannot tell them apart: what one may call in the mesh, the other could too",
                    fix=f"take it off {network.name!r}, or declare what it calls",
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


def files_are_taken_up(placement: Placement) -> Iterator[Problem]:
    """A changed file replaces the service or is reloaded by a command; each path has one content."""
    for service in placement.services:
        if not (configuration := service.configuration):
            continue
        if isinstance(configuration.on_change, Reload) and not configuration.on_change.command:
            yield Problem(
                what=f"{placement.host.name}: {service.name} reloads its files by no command",
                why="it would keep running on the old ones, silently",
                fix="give the command, or let a change replace the service",
                example='on_change=Reload(command=("caddy", "reload", "--config", "/etc/caddy/current/Caddyfile"))',
            )
        paths = [file.path for file in configuration.files]
        for path in sorted({path for path in paths if paths.count(path) > 1}):
            yield Problem(
                what=f"{placement.host.name}: {service.name} has {paths.count(path)} files at {path}",
                why="the last one written would win, by chance",
                fix="keep one of them",
            )


def hosts_are_shown_with_reason(placement: Placement) -> Iterator[Problem]:
    """A service sees of its host only what it says that it may, and why."""
    for service in placement.services:
        for mount in service.host_mounts:
            if mount.path not in service.may.mount:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} mounts {mount.path} of its host",
                    why="files of the host are outside of every limit: the Docker socket alone makes whoever holds it root",
                    fix="use a Volume or a Configuration; if it must be, say may=May(mount=...), and why",
                    example='Volume(path="/data", directory="redis", owner="999:999", mode=0o755, backup=Files())',
                )
            if not mount.reason:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} mounts {mount.path} of its host without a reason",
                    why="what a container sees of its host is decided and reviewed path by path",
                    fix="fill in `reason`",
                )
        if service.host_cgroups and not service.may.see_control_groups:
            yield Problem(
                what=f"{placement.host.name}: {service.name} sees the control groups of its host",
                why="it could tell every process of every other service apart, for nothing",
                fix="leave host_cgroups off; only a service that measures containers needs it",
            )
        if service.user_namespaces and not service.may.make_namespaces:
            yield Problem(
                what=f"{placement.host.name}: {service.name} makes user namespaces of its own",
                why="for that it runs without seccomp and AppArmor, and its programs may gain privileges",
                fix="leave user_namespaces off; only a service that runs containers of strangers needs it",
            )


def monitoring_is_declared(placement: Placement) -> Iterator[Problem]:
    """What shows no metrics or no logs says why; a bearer of metrics is one of the service's own secrets."""
    for service in placement.services:
        for kind in ("metrics", "logs"):
            reported = getattr(service, kind)
            if isinstance(reported, NotCollected) and not reported.reason:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} has no {kind} and does not say why",
                    why="a service that nobody sees fails unseen",
                    fix=f"say where its {kind} are, or give the reason",
                    example="metrics=Metrics(port=8080)" if kind == "metrics" else "logs=Logs.JSON",
                )
        bearer = _bearer(service)
        if bearer and bearer not in service.secrets:
            yield Problem(
                what=f"{placement.host.name}: the metrics of {service.name} want the secret {bearer.name!r}, not declared",
                why="the collector would be refused",
                fix="add it to the service's `secrets`",
            )


def _bearer(service: Service) -> Secret | None:
    return None if isinstance(service.metrics, NotCollected) else service.metrics.bearer


def hosts_are_distinct(placements: Sequence[Placement]) -> Iterator[Problem]:
    """A name and an address belong to one host."""
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
    """A resource is of the host whose name its own begins with: no host's name is another's and the beginning of a service's."""
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
    """A name below the domain leads to one host; the hub's relay of it is no second one."""
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
    """A link leads to a service of one other host that has a VPN route, and says why."""
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


FLEET_LAWS: tuple[FleetLaw, ...] = (
    hosts_are_distinct,
    host_names_are_distinct,
    site_names_are_distinct,
    links_lead_to_vpn_routes,
)
GRAPH_LAWS: tuple[Law, ...] = (names_are_unique, needs_are_met)
LAWS: tuple[Law, ...] = (
    networks_do_not_overlap,
    networks_are_known,
    host_ports_are_used_once,
    only_caddy_publishes,
    routes_are_answered,
    strangers_are_limited,
    paths_have_one_answer,
    memory_fits,
    services_are_confined,
    healthchecks_are_sound,
    secrets_are_declared,
    secrets_are_sound,
    data_is_owned,
    data_is_backed_up,
    what_is_kept_has_a_place,
    users_are_their_own,
    files_are_taken_up,
    hosts_are_shown_with_reason,
    monitoring_is_declared,
    links_leave_by_networks_of_their_own,
    tasks_run_in_their_service,
)
