"""How data is taken, compared and brought back: what a volume says of its backup, and where a host's backups go.

How each kind is done on a host is components/scripts/installed/vpai-backup.py, the one program that reads these values.
`taken_by_service` tells of a kind whether the running service takes the data back; else the service is stopped for that.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar

from model.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """It is not backed up."""

    taken_by_service: ClassVar[bool] = False

    reason: str

    @property
    def text(self) -> str:
        return f"none: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Files:
    """The directory's files with owner, mode and extended attributes; the service is stopped for a restore.

    The manifest has the SHA-256 of each. A file that is an SQLite database is taken whole by SQLite itself while the service
    writes: a plain copy of one was empty five times of five. Paths are relative to the volume.
    """

    taken_by_service: ClassVar[bool] = False

    sqlite: tuple[str, ...] = ()
    """Databases that must be there."""
    exclude: tuple[str, ...] = ()
    """What is left out, each with everything below it."""
    pause: bool = False
    """Whether the service stands still while its files are copied."""
    keys: tuple[Secret, ...] = ()
    """Without the same value the data is unreadable."""

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
    """Each database by pg_dump, its rows counted and summed in the same snapshot; those that no service declares too."""

    taken_by_service: ClassVar[bool] = True

    @property
    def text(self) -> str:
        return "pg_dump of every database, rows counted in the same snapshot"


@dataclass(frozen=True, kw_only=True)
class RedisDump:
    """A snapshot that the server sends as to a replica, asked by an ACL user that may do nothing else."""

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
    """Collections that are refilled on demand."""

    @property
    def text(self) -> str:
        caches = f"; none of {', '.join(self.caches)}: a cache" if self.caches else ""
        return f"every point of {', '.join(self.collections)} exported{caches}"


Backup = Files | PostgresDump | RedisDump | QdrantExport | Nothing


def _needs(keys: tuple[Secret, ...]) -> str:
    return f"; unreadable without {', '.join(key.name for key in keys)}" if keys else ""


def unsound(backup: Backup) -> Iterator[str]:
    """What is wrong with a backup by itself, a sentence each."""
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
    """Where one host's backups go, and with what."""

    image: str
    """restic's, run once for each question; it sees the staging directory alone, and no Docker socket."""
    memory_mib: int
    network: str
    """The way out of that container."""
    endpoint: str
    """https://host of the object storage."""
    region: str
    bucket: str
    prefix: str
    """The host's repository in the bucket."""
    access_key: Secret
    secret_key: Secret
    password: Secret
    heartbeat: Mapping[str, str | int]
    """What a complete run calls: `url`, without its last part, or `service` and `port` of the monitor beside it, or nothing."""
    heartbeat_token: Secret | None
    """The last part of the address; None where there is no monitor."""
    hourly: bool = False
    """Whether PostgreSQL is backed up every hour besides."""

    @property
    def repository(self) -> str:
        """As restic names it."""
        return f"s3:{self.endpoint}/{self.bucket}/{self.prefix}"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        token = (self.heartbeat_token,) if self.heartbeat_token else ()
        return (self.access_key, self.secret_key, self.password, *token)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """What a prune keeps, in restic's durations: one snapshot of each period within the time named."""

    daily: str = "7d"
    weekly: str = "28d"
    monthly: str = "6m"
    yearly: str = "2y"
    databases: str = "2d"
    """Every run of the databases alone within it."""


KEPT = Retention()
"""The specification's: 7 daily, 4 weekly, 6 monthly, 2 yearly."""
