"""Backups: the kind of backup of each volume, and where a host's backups go.

components/scripts/installed/vpai-backup.py makes and restores each kind on the host; it is the only program that reads these
values. `taken_by_service`: whether the running service imports the data at a restore. If not, the service is stopped for the
restore.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar

from model.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """No backup, and why."""

    taken_by_service: ClassVar[bool] = False

    reason: str

    @property
    def text(self) -> str:
        return f"none: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Files:
    """The volume's files with owner, mode and extended attributes. The service is stopped for a restore.

    The manifest has the SHA-256 of each file. SQLite itself copies a database file while the service writes: a plain copy was
    empty in five of five trials. Paths are relative to the volume.
    """

    taken_by_service: ClassVar[bool] = False

    sqlite: tuple[str, ...] = ()
    """SQLite databases that must exist."""
    exclude: tuple[str, ...] = ()
    """Paths that are left out, each with everything below it."""
    pause: bool = False
    """Whether the service is paused while its files are copied."""
    keys: tuple[Secret, ...] = ()
    """Secrets that decrypt the data: with other values it is unreadable."""

    @property
    def text(self) -> str:
        parts = ["files" + (", the service paused" if self.pause else "")]
        if self.sqlite:
            parts.append(f"{', '.join(self.sqlite)} by SQLite")
        if self.exclude:
            parts.append(f"without {', '.join(self.exclude)}")
        return "; ".join(parts) + _needs(self.keys)


@dataclass(frozen=True, kw_only=True)
class PostgresDump:
    """Every database by pg_dump, also those that no service declares. Rows are counted and summed in the same snapshot."""

    taken_by_service: ClassVar[bool] = True

    @property
    def text(self) -> str:
        return "pg_dump of every database, rows counted in the same snapshot"


@dataclass(frozen=True, kw_only=True)
class RedisDump:
    """A snapshot that Redis sends as to a replica. An ACL user that may do nothing else requests it."""

    taken_by_service: ClassVar[bool] = False

    user: str
    password: Secret

    @property
    def text(self) -> str:
        return f"a snapshot, asked by the ACL user {self.user}"


@dataclass(frozen=True, kw_only=True)
class QdrantExport:
    """Every point of `collections` with vector and payload, as JSON lines.

    Not Qdrant's own snapshots: those of 1.16.3 cannot be restored by 1.16.3 (qdrant/qdrant#7956).
    """

    taken_by_service: ClassVar[bool] = True

    port: int
    key: Secret
    collections: tuple[str, ...]
    caches: tuple[str, ...] = ()
    """Collections that are not exported: they are refilled on demand."""

    @property
    def text(self) -> str:
        caches = f"; none of {', '.join(self.caches)}: a cache" if self.caches else ""
        return f"every point of {', '.join(self.collections)} exported{caches}"


Backup = Files | PostgresDump | RedisDump | QdrantExport | Nothing


def _needs(keys: tuple[Secret, ...]) -> str:
    return f"; unreadable without {', '.join(key.name for key in keys)}" if keys else ""


def unsound(backup: Backup) -> Iterator[str]:
    """Faults of one backup declaration, each a predicate such as "names no collection"."""
    match backup:
        case Nothing(reason=reason) if not reason:
            yield "is not backed up and does not say why"
        case QdrantExport(collections=()):
            yield "names no collection"
        case Files():
            for path in (*backup.sqlite, *backup.exclude):
                if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                    yield f"names {path!r}, which is no path inside of it"
            for key in backup.keys:
                if not key.irreplaceable:
                    yield f"cannot be read without {key.name}, which a rotation would replace"


@dataclass(frozen=True, kw_only=True)
class HostBackup:
    """The restic repository of one host's backups, with the image, network and secrets that restic needs."""

    image: str
    """restic's image, run once per restic command. Its container sees only the staging directory, and no Docker socket."""
    memory_mib: int
    network: str
    """Egress network of that container."""
    endpoint: str
    """URL of the object storage, `https://host`."""
    region: str
    bucket: str
    prefix: str
    """Prefix of the host's repository in the bucket."""
    access_key: Secret
    secret_key: Secret
    password: Secret
    heartbeat: Mapping[str, str | int]
    """What a complete run calls: `url` without its last part, or `service` and `port` of the monitor on the same host, or
    nothing."""
    heartbeat_token: Secret | None
    """Last part of the heartbeat's URL; None without a monitor."""
    hourly: bool = False
    """Whether PostgreSQL is also backed up every hour."""

    @property
    def repository(self) -> str:
        """The repository's name for restic."""
        return f"s3:{self.endpoint}/{self.bucket}/{self.prefix}"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        token = (self.heartbeat_token,) if self.heartbeat_token else ()
        return (self.access_key, self.secret_key, self.password, *token)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """What a prune keeps, in restic's durations: one snapshot per period within the given time."""

    daily: str = "7d"
    weekly: str = "28d"
    monthly: str = "6m"
    yearly: str = "2y"
    databases: str = "2d"
    """Every run that backs up only the databases, within this time."""


KEPT = Retention()
"""The specification's retention: 7 daily, 4 weekly, 6 monthly, 2 yearly."""
