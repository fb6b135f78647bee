"""A service: the declaration of one system of the stack, independent of containers."""

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
        """The limits for a smaller host; `least_mib` is the memory that the program needs on any host."""
        return replace(self, memory_mib=max(least_mib, ceil(self.memory_mib * factor)), cpus=round(self.cpus * factor, 2))


@dataclass(frozen=True, kw_only=True)
class Healthcheck:
    """The check that a service works. Times in seconds.

    `command` runs inside the service with a tool of its image; it calls 127.0.0.1, never `localhost`, which is ::1 in Alpine
    images.
    """

    command: tuple[str, ...]
    interval: int
    timeout: int
    retries: int
    start_period: int

    @property
    def deadline(self) -> int:
        """Seconds after which a start that is not healthy has failed: Docker's own verdict plus two probes.

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
    """A changed file is reloaded by `command`, run inside the service once `current` points to the new files.

    The service sees every kept version below its directory, and the version in force under `current`. When the command fails,
    `current` goes back.
    """

    command: tuple[str, ...]
    accepts: tuple[str, ...] = ()
    """A command of the image that checks the first file, its stdin, before anything changes; it fails for a file that would be
    refused."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The files of a service, mounted read-only as one directory at `directory`, owned by `owner` (uid:gid)."""

    directory: str
    files: tuple[File, ...]
    owner: str = "0:0"
    on_change: Replace | Reload = field(default_factory=Replace)
    sites: tuple[Site, ...] = ()
    """The sites of Caddy's files as values, for a readable difference."""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Data that outlives the service, at `/opt/<project>/data/<directory>` on the host."""

    path: str
    directory: str
    owner: str
    mode: int
    backup: Backup
    shared: bool = False
    """Whether several services use it as parts of one program, such as a server and its worker."""
    read_only: bool = False
    """Whether the service only reads what root writes there."""


DOCKER_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock")
"""Docker's sockets on a host; whoever opens one is root there."""


@dataclass(frozen=True, kw_only=True)
class HostMount:
    """A file or directory of the host itself, mounted read-only; `May.mount` lists those that a service may have."""

    path: str
    container_path: str
    reason: str
    until: date
    """The last day on which the reason holds without a review."""

    @property
    def waivers(self) -> tuple[Waiver, ...]:
        """Waivers, with the mount's reason, of the policy rules that it breaks."""
        reaches_docker = any(PurePosixPath(socket).is_relative_to(self.path) for socket in DOCKER_SOCKETS)
        rules = ("containers-host-directories", *(("containers-docker-socket",) if reaches_docker else ()))
        return tuple(Waiver(rule=rule, reason=self.reason, until=self.until, subject=self.path) for rule in rules)


class About(StrEnum):
    """What metrics are about."""

    ITSELF = "the service that shows them"
    HOST = "its host's processor, memory and disks"
    CONTAINERS = "each container of its host, by a label: what it uses"
    SERVICES = "each service of its host, by name: whether it runs and is healthy"


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Endpoint of a service's metrics in Prometheus' text format."""

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
    """A service of another host that this one calls by its VPN route. Without a link no container reaches the mesh."""

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
    """Secrets that decrypt its contents: with other values they are unreadable."""

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
    """Order in which a new version replaces the old one."""

    START_FIRST = "start-first"
    """The new version starts beside the old one, which stops when the new is healthy: for services without data or host ports."""
    STOP_FIRST = "stop-first"
    """One at a time: for services that own a data directory or a host port."""


TUN = "/dev/net/tun"
SEEN_WHOLE = {
    "/host/proc": {"type": "proc", "device": "proc", "o": "hidepid=invisible,subset=pid"},
    "/host/sys": {"type": "sysfs", "device": "sysfs", "o": "ro"},
}
"""Volumes of the kernel's file systems, by path, for a service that creates user namespaces. Docker hides parts of a container's
own /proc and /sys, and the kernel allows a new mount only to a process that sees a complete one. The processes of other users
are hidden."""


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
    """Exceptions: what a service may have of its host that no service has by default.

    Laws refuse what is not listed here too; the service's module gives the reason beside it.
    """

    publish: tuple[int, ...] = ()
    """Ports that it may publish; services without one are reached through Caddy."""
    mount: tuple[str, ...] = ()
    """Files and directories of the host that it may mount, read-only."""
    see_control_groups: bool = False
    """Whether it may see the control groups of every container: only a service that measures containers needs that."""
    make_namespaces: bool = False
    """Whether it may create user namespaces: only a service that runs containers of strangers needs that."""
    share_uid: int | None = None
    """A uid that it may share: its image works only as that user, who owns the image's files (docs/security.md, "Users")."""


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
    """Its database in PostgreSQL, on the same host."""
    caches: CacheUser | None = field(default=None, repr=False)
    """Its user in Redis, on the same host."""
    databases: tuple[Database, ...] = ()
    """Databases that live in this service."""
    completed: "Callable[[Service, Sequence[Service]], Service] | None" = field(default=None, repr=False, compare=False)
    """Completes the service from all services of its host, itself among them; called when these are known."""
    completed_last: "Callable[[Service, Overview], Service] | None" = field(default=None, repr=False, compare=False)
    """Completes a service that watches the others from all services of all hosts; called when everything else is known."""
    tasks: tuple[Task, ...] = ()
    """Steps that are done before services that need this one start."""
    routes: tuple[Route, ...] = ()
    ports: tuple[Port, ...] = ()
    links: tuple[Link, ...] = ()
    """Services that it calls on other hosts. Its egress network is then shared by such services alone, so that the firewall knows
    them."""
    uses_mesh_dns: bool = False
    """Whether the service asks the mesh's resolver itself. If not, a service with links has that resolver as its only one, and no
    name resolves before the host has joined the mesh."""
    needs: tuple[str, ...] = ()
    """Services that must be healthy, their tasks done, before this one starts."""
    brings: tuple[str, ...] = field(default=(), repr=False)
    """Services that it starts without but is useless without: whoever chooses it gets them too."""
    secrets: tuple[Secret, ...] = ()
    """Every secret that the strings above refer to."""
    credentials: tuple[Credential | Unverifiable, ...] = ()
    """One for each secret that the service itself checks, signs or encrypts with: what the secret opens, and the request that
    proves it."""
    capabilities: tuple[str, ...] = ()
    """Linux capabilities added back after ALL were dropped."""
    user: str = ""
    """uid:gid; empty for the image's own."""
    image_uid: int = 0
    """Uid of the image's own user, from its Dockerfile; the service runs as it where `user` is empty."""
    other_users: tuple[str, ...] = ()
    """uid:gid of further users that parts of the service run as; its files belong to any of them."""
    read_only_root: bool = True
    tmpfs: tuple[str, ...] = ()
    """Writable directories in memory."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """Kernel parameters of its own network, by the kernel's names; policy/known.py has those that were reviewed."""
    host_cgroups: bool = False
    """Whether it sees the control groups of every container of its host instead of its own."""
    init_process: bool = False
    """Whether Docker's init runs as the first process and reaps orphaned children."""
    user_namespaces: bool = False
    """Whether it creates user namespaces, for containers whose users are not the host's."""
    stop_signal: str = ""
    stop_timeout: int = 10
    """Seconds before a stopping service is killed."""
    alerts: tuple[Watch, ...] = field(default=(), repr=False)
    """Alerts besides those of every service."""
    dashboard: Dashboard | None = field(default=None, repr=False)
    """Its dashboard, besides what is shown of every service."""
    checks: tuple[Check, ...] = field(default=(), repr=False)
    """Its checks in `make smoke`."""
    lends_bash: bool = field(default=False, repr=False)
    """Whether its image has bash, which can call services on its networks by `/dev/tcp`, without any other program."""
    heartbeats: "Endpoint | None" = field(default=None, repr=False)
    """Where a host reports each complete backup, in Uptime Kuma's way: `/api/push/` and a token."""
    proof: Proof | None = field(default=None, repr=False)
    """The request that proves after a drill that its data was restored completely."""
    may: May = field(default_factory=May, repr=False)
    """Its exceptions: what it may have of its host."""
    waivers: tuple[Waiver, ...] = ()
    """Waivers of rules of the policy pack, besides those of its host mounts and namespaces."""

    @property
    def all_waivers(self) -> tuple[Waiver, ...]:
        """Its own waivers, those of its host mounts, and those that creating user namespaces needs."""
        namespaces = _FOR_USER_NAMESPACES if self.user_namespaces else ()
        return (*self.waivers, *(waiver for mount in self.host_mounts for waiver in mount.waivers), *namespaces)

    def tells_of(self, about: About) -> bool:
        """Whether its metrics are about `about`."""
        return isinstance(self.metrics, Metrics) and self.metrics.about is about

    @property
    def uid(self) -> int:
        """Uid on the host that it runs as: there are no user namespaces (ADR 37)."""
        return int(self.user.partition(":")[0]) if self.user else self.image_uid

    @property
    def uids(self) -> tuple[int, ...]:
        """Every uid on the host that it runs as."""
        return (self.uid, *(int(user.partition(":")[0]) for user in self.other_users))

    @property
    def opens_docker(self) -> bool:
        """Whether it runs as root and mounts Docker's socket: a socket can be opened even when mounted read-only."""
        socket = PurePosixPath(DOCKER_SOCKETS[0])
        seen = (
            PurePosixPath(mount.container_path) / socket.relative_to(mount.path)
            for mount in self.host_mounts
            if socket.is_relative_to(mount.path)
        )
        return self.uid == 0 and any(not any(path.is_relative_to(hidden) for hidden in self.tmpfs) for path in seen)

    @property
    def with_secrets(self) -> tuple[str, ...]:
        """Prefix of a command inside the service that gives it the secret environment; empty where there is none."""
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
