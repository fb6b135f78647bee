"""A service: what one system of the stack is, said once. It never says "container"."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from math import ceil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from model.alert import Watch
from model.backup import Backup
from model.check import Check
from model.credential import Credential, Unverifiable
from model.dashboard import Dashboard
from model.proof import Proof
from model.route import Access, Route, Site
from model.secret import Generated, Secret, references
from model.waiver import Waiver

if TYPE_CHECKING:
    from model.endpoint import Endpoint
    from model.overview import Overview


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a service may use: MiB of memory (swap included), CPUs, MiB of shared memory."""

    memory_mib: int
    cpus: float
    shared_memory_mib: int = 64

    def scaled(self, factor: float, *, least_mib: int = 0) -> "Limits":
        """The same limits for a smaller host; `least_mib` is what the program does not work without, on whatever host."""
        return replace(self, memory_mib=max(least_mib, ceil(self.memory_mib * factor)), cpus=round(self.cpus * factor, 2))


@dataclass(frozen=True, kw_only=True)
class Healthcheck:
    """How a host knows that a service works. Times in seconds.

    `command` runs inside the service with a tool that its image has; it talks to 127.0.0.1, never to `localhost`,
    which is ::1 in Alpine images.
    """

    command: tuple[str, ...]
    interval: int
    timeout: int
    retries: int
    start_period: int

    @property
    def deadline(self) -> int:
        """Seconds after which a start that is not healthy has failed: the engine's own verdict plus two probes.

        A probe that hangs ends after `timeout`, and the next one begins `interval` later (moby, daemon/health.go).
        """
        return self.start_period + (self.interval + self.timeout) * (self.retries + 2)


@dataclass(frozen=True, kw_only=True)
class File:
    """A configuration file; `path` is relative to the service's configuration directory. `content` may refer to secrets."""

    path: str
    content: str
    mode: int = 0o400


@dataclass(frozen=True, kw_only=True)
class Replace:
    """A changed file replaces the service."""


@dataclass(frozen=True, kw_only=True)
class Reload:
    """A changed file is taken up by `command`, run inside the running service once `current` names the new files.

    The service sees every kept version below its directory, and the one in force under `current`; when the command
    fails, `current` goes back.
    """

    command: tuple[str, ...]
    accepts: tuple[str, ...] = ()
    """Asked before anything is touched: a command of the image that fails when it would refuse the first file, its stdin."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The files of a service, mounted read-only as one directory at `directory`, owned by `owner` (uid:gid)."""

    directory: str
    files: tuple[File, ...]
    owner: str = "0:0"
    on_change: Replace | Reload = field(default_factory=Replace)
    sites: tuple[Site, ...] = ()
    """What Caddy's files say, as values: the readable side of a difference."""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Data that outlives the service, at `/opt/<project>/data/<directory>` on the host."""

    path: str
    directory: str
    owner: str
    mode: int
    backup: Backup
    shared: bool = False
    """Whether every service that names it knows of the others: parts of one program, such as a server and its worker."""
    read_only: bool = False
    """Whether the service only reads what root writes there."""


DOCKER_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock")
"""Where Docker listens on a host; whoever reaches one is root there."""


@dataclass(frozen=True, kw_only=True)
class HostMount:
    """A file or directory of the host itself, shown read-only; `model/laws/` lists who may have which."""

    path: str
    container_path: str
    reason: str
    until: date
    """The last day on which the reason holds without being looked at again."""

    @property
    def waivers(self) -> tuple[Waiver, ...]:
        """What the policy pack would say of it, answered by the reason."""
        reaches_docker = any(PurePosixPath(socket).is_relative_to(self.path) for socket in DOCKER_SOCKETS)
        rules = ("containers-host-directories", *(("containers-docker-socket",) if reaches_docker else ()))
        return tuple(Waiver(rule=rule, reason=self.reason, until=self.until, subject=self.path) for rule in rules)


class About(StrEnum):
    """Of whom metrics tell."""

    ITSELF = "the service that shows them"
    HOST = "its host's processor, memory and disks"
    CONTAINERS = "each container of its host, by a label: what it uses"
    SERVICES = "each service of its host, by name: whether it runs and is healthy"


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Where a service shows its metrics in Prometheus' text format."""

    port: int
    path: str = "/metrics"
    bearer: Secret | None = None
    about: About = field(default=About.ITSELF, repr=False)


class Logs(StrEnum):
    """The form of the lines that a service writes to its standard output and error."""

    JSON = "json"
    LOGFMT = "logfmt"
    PLAIN = "plain"


@dataclass(frozen=True, kw_only=True)
class NotCollected:
    """Why a service shows no metrics, or why its logs are not collected."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Link:
    """Another host's service that this one calls: by its VPN route, over the mesh, which no container reaches otherwise."""

    service: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port published on the host."""

    number: int
    protocol: str
    access: Access
    reason: str
    """Why it is open."""


@dataclass(frozen=True, kw_only=True)
class Database:
    """A PostgreSQL database with a user of its own, of the name `user`."""

    name: str
    user: str
    extensions: tuple[str, ...] = ()
    keys: tuple[Secret, ...] = ()
    """Without the same value what is in it cannot be read."""

    @property
    def password(self) -> Secret:
        """Generated, one per user: a leak opens one database."""
        return Secret(name=f"postgresql_{self.user}_password", source=Generated())


@dataclass(frozen=True, kw_only=True)
class CacheUser:
    """A user of Redis, and who logs in as it."""

    user: str
    password: Secret
    holder: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """A one-shot, idempotent step inside a running service, after it is healthy. `stdin` may refer to secrets."""

    name: str
    service: str
    command: tuple[str, ...]
    stdin: str


class Replacement(StrEnum):
    """In which order a new version takes over."""

    START_FIRST = "start-first"
    """The new one starts beside the old, which goes when the new is healthy: for services without data or host ports."""
    STOP_FIRST = "stop-first"
    """One at a time: for services that own a data directory or a host port."""


TUN = "/dev/net/tun"
SEEN_WHOLE = {
    "/host/proc": {"type": "proc", "device": "proc", "o": "hidepid=invisible,subset=pid"},
    "/host/sys": {"type": "sysfs", "device": "sysfs", "o": "ro"},
}
"""File systems of the kernel by the path at which a service with namespaces of its own sees them. Docker hides parts of a
container's own, and the kernel lets nobody mount a new one who does not see one whole. Other users' processes are not in it."""


def _for_user_namespaces(rule: str, subject: str, reason: str) -> Waiver:
    return Waiver(rule=rule, subject=subject, reason=reason, until=date(2027, 11, 8))


_FOR_USER_NAMESPACES = (
    _for_user_namespaces(
        "containers-no-new-privileges",
        "",
        "two programs of its image gain the right to map users; without it there is no user namespace",
    ),
    *(
        _for_user_namespaces(
            "containers-security-profiles",
            subject,
            "Docker's own profile forbids namespaces and mounts; whatever runs in them has that profile again",
        )
        for subject in ("seccomp=unconfined", "apparmor=unconfined")
    ),
    _for_user_namespaces("containers-no-devices", TUN, "the way out of a network namespace that no root of the host has made"),
    *(
        _for_user_namespaces(
            "containers-host-directories",
            ", ".join(f"{key}={value}" for key, value in sorted(options.items())),
            "nobody may mount /proc and /sys for a namespace who does not see them whole; other users' processes are hidden",
        )
        for options in SEEN_WHOLE.values()
    ),
)


@dataclass(frozen=True, kw_only=True)
class May:
    """What of its host a service may have that is nobody's by default: laws refuse what is not said here too, and why it is so
    stands beside it in the service's own module."""

    publish: tuple[int, ...] = ()
    """Ports; whoever has none is reached by Caddy."""
    mount: tuple[str, ...] = ()
    """Files and directories of the host itself, read-only."""
    see_control_groups: bool = False
    """Of every container: only what measures them needs that."""
    make_namespaces: bool = False
    """Only what runs containers of strangers needs that."""
    share_uid: int | None = None
    """The user as which alone its image works, because its own files are that user's (docs/security.md, "Users")."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One system of the stack. Strings in environment, secret_environment, files and tasks may refer to secrets."""

    name: str
    image: str
    """Repository and tag, the key of the image lock, e.g. `docker.io/library/redis:8.0-bookworm`."""
    networks: tuple[str, ...]
    healthcheck: Healthcheck
    limits: Limits
    replacement: Replacement
    metrics: Metrics | NotCollected
    logs: Logs | NotCollected
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Plain values; a reference to a secret here would show in `docker inspect` and is refused."""
    secret_environment: Mapping[str, str] = field(default_factory=dict)
    """Delivered as a file that the entrypoint reads, so that `docker inspect` does not show it; needs `entrypoint`."""
    configuration: Configuration | None = None
    volumes: tuple[Volume, ...] = ()
    host_mounts: tuple[HostMount, ...] = ()
    keeps: Database | None = field(default=None, repr=False)
    """What it keeps in PostgreSQL, which stands beside it."""
    caches: CacheUser | None = field(default=None, repr=False)
    """As whom it keeps something in Redis, which stands beside it."""
    databases: tuple[Database, ...] = ()
    """Databases that live in this service."""
    completed: "Callable[[Service, Sequence[Service]], Service] | None" = field(default=None, repr=False, compare=False)
    """What follows from all services of its host, itself among them: asked when they are known."""
    completed_last: "Callable[[Service, Overview], Service] | None" = field(default=None, repr=False, compare=False)
    """What follows from all services of all hosts: asked of who watches them, when everything else is known."""
    tasks: tuple[Task, ...] = ()
    """Steps that must be done before whatever needs this service starts."""
    routes: tuple[Route, ...] = ()
    ports: tuple[Port, ...] = ()
    links: tuple[Link, ...] = ()
    """What it calls on other hosts; its way out is then a network of such services alone, by which the firewall knows them."""
    uses_mesh_dns: bool = False
    """Whether the service asks the mesh's resolver itself. If not, that is its container's only resolver, and no name is found
    before the host has joined."""
    needs: tuple[str, ...] = ()
    """Services that must be healthy, their tasks done, before this one starts."""
    brings: tuple[str, ...] = field(default=(), repr=False)
    """Services without which it starts, and is of no use: whoever chooses it gets them too."""
    secrets: tuple[Secret, ...] = ()
    """Every secret that the strings above refer to."""
    credentials: tuple[Credential | Unverifiable, ...] = ()
    """What each secret that the service itself checks, signs or encrypts with opens, and the question that shows it."""
    capabilities: tuple[str, ...] = ()
    """Added back after ALL were dropped."""
    user: str = ""
    """uid:gid; empty for the image's own."""
    image_uid: int = 0
    """The uid of the image's own user, from its Dockerfile: what the service runs as where `user` is empty."""
    other_users: tuple[str, ...] = ()
    """uid:gid of the users as which it runs parts of itself besides; its files belong to any of them."""
    read_only_root: bool = True
    tmpfs: tuple[str, ...] = ()
    """Writable directories in memory."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """Of its own network, by the kernel's names; the policy pack knows each that was looked at (policy/known.py)."""
    host_cgroups: bool = False
    """Sees the control groups of every container of its host instead of its own."""
    init_process: bool = False
    """Whether a first process of the engine's collects the children that the service leaves behind."""
    user_namespaces: bool = False
    """Whether it makes namespaces of its own, for containers in which users are not the host's."""
    stop_signal: str = ""
    stop_timeout: int = 10
    """Seconds before a stopping service is killed."""
    alerts: tuple[Watch, ...] = field(default=(), repr=False)
    """What it is watched for besides what every service is."""
    dashboard: Dashboard | None = field(default=None, repr=False)
    """What is drawn of it besides what is drawn of every service."""
    checks: tuple[Check, ...] = field(default=(), repr=False)
    """What it is asked by `make smoke`."""
    lends_bash: bool = field(default=False, repr=False)
    """Whether its image has bash, from which others of its networks are asked: by `/dev/tcp`, without any other program."""
    heartbeats: "Endpoint | None" = field(default=None, repr=False)
    """Where a host tells of each complete backup, in Uptime Kuma's way: `/api/push/` and a token."""
    proof: Proof | None = field(default=None, repr=False)
    """The question that shows after a drill that its data came back whole."""
    may: May = field(default_factory=May, repr=False)
    """What of its host it may have."""
    waivers: tuple[Waiver, ...] = ()
    """Rules of the policy pack that it does not meet, besides those that its host mounts and namespaces answer."""

    @property
    def all_waivers(self) -> tuple[Waiver, ...]:
        """Its own, those of its host mounts, and what namespaces of its own ask for."""
        namespaces = _FOR_USER_NAMESPACES if self.user_namespaces else ()
        return (*self.waivers, *(waiver for mount in self.host_mounts for waiver in mount.waivers), *namespaces)

    def tells_of(self, about: About) -> bool:
        """Whether its metrics are about that."""
        return isinstance(self.metrics, Metrics) and self.metrics.about is about

    @property
    def uid(self) -> int:
        """The user of the host that it runs as: there are no user namespaces (ADR 37)."""
        return int(self.user.partition(":")[0]) if self.user else self.image_uid

    @property
    def uids(self) -> tuple[int, ...]:
        """Every user of the host that it runs as."""
        return (self.uid, *(int(user.partition(":")[0]) for user in self.other_users))

    @property
    def opens_docker(self) -> bool:
        """Whether it is root and finds Docker's socket among its host's files: read-only or not, a socket is opened."""
        socket = PurePosixPath(DOCKER_SOCKETS[0])
        seen = (
            PurePosixPath(mount.container_path) / socket.relative_to(mount.path)
            for mount in self.host_mounts
            if socket.is_relative_to(mount.path)
        )
        return self.uid == 0 and any(not any(path.is_relative_to(hidden) for hidden in self.tmpfs) for path in seen)

    @property
    def with_secrets(self) -> tuple[str, ...]:
        """What stands before a command inside the service so that it finds the secret environment; empty where there is none."""
        if not (self.secret_environment and self.configuration):
            return ()
        return ("sh", "-c", f'set -a; . {self.configuration.directory}/environment; set +a; exec "$@"', "sh")

    def with_files(self, *files: File) -> "Service":
        """The same service with more files of configuration."""
        assert self.configuration
        return replace(self, configuration=replace(self.configuration, files=(*self.configuration.files, *files)))

    @property
    def texts(self) -> tuple[str, ...]:
        """Every string that may refer to a secret."""
        files = self.configuration.files if self.configuration else ()
        return (
            *self.environment.values(),
            *self.secret_environment.values(),
            *(file.content for file in files),
            *(task.stdin for task in self.tasks),
        )

    @property
    def referenced_secrets(self) -> frozenset[str]:
        """Names of all secrets that the service's strings refer to."""
        return frozenset().union(*(references(text) for text in self.texts))
