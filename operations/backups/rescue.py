"""Restore a repository that a host's key has overwritten, from the bucket's former versions, by content.

A host's key cannot delete (model/bucket.py): the most that it can do is to overwrite. Objects below data/, index/, snapshots/ and
keys/ are named by the SHA-256 of their content. The right version of an object is therefore the one whose content has its name.
Nobody can forge that, and it does not depend on dates, which some S3 services change for former versions (versitygw). `config`
has no such name; its first version is the right one.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.storage.object_storage import client
from model.problem import Problem, refuse
from operations.backups.prune import repositories
from operations.stack import Stack

_HASHED = ("data", "index", "snapshots", "keys")
_CONFIG = "config"


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of an object."""

    key: str
    id: str
    latest: bool


@dataclass(frozen=True, kw_only=True)
class Found:
    """The right versions in a repository, and what is lost."""

    right: Mapping[str, Version]
    """By object key: the version whose content has the object's name."""
    lost: tuple[str, ...]
    """Objects without a right version: never written whole, or their right version is deleted."""

    @property
    def changed(self) -> tuple[Version, ...]:
        """Right versions that are not the current ones."""
        return tuple(version for version in self.right.values() if not version.latest)


class Versions:
    """A repository's objects with all their versions, as the admin key sees them."""

    def __init__(self, s3: Any, bucket: str, prefix: str) -> None:
        self._s3, self._bucket, self._prefix = s3, bucket, prefix

    def find(self) -> Found:
        """For each object read the versions, the newest first, until the content matches the name."""
        right: dict[str, Version] = {}
        lost = []
        for key, versions in self._listed().items():
            kind = key.partition("/")[0]
            if kind == _CONFIG:
                first = self._read(versions[-1])
                right[key] = next(version for version in versions if self._read(version) == first)
            elif kind in _HASHED:
                wanted = key.rpartition("/")[2]
                whole = next((version for version in versions if hashlib.sha256(self._read(version)).hexdigest() == wanted), None)
                if whole:
                    right[key] = whole
                else:
                    lost.append(key)
        return Found(right=right, lost=tuple(sorted(lost)))

    def lay_out(self, found: Found, target: Path) -> None:
        """Write the repository's right versions as files; the bucket is not changed."""
        for version in found.right.values():
            path = target / version.key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._read(version))

    def put_back(self, found: Found) -> None:
        """Upload the right versions over the current ones, with GET and PUT: Hetzner says that its CopyObject may fail."""
        for version in found.changed:
            self._s3.put_object(Bucket=self._bucket, Key=f"{self._prefix}{version.key}", Body=self._read(version))

    def _read(self, version: Version) -> bytes:
        asked = {"Bucket": self._bucket, "Key": f"{self._prefix}{version.key}", "VersionId": version.id}
        content: bytes = self._s3.get_object(**asked)["Body"].read()
        return content

    def _listed(self) -> Mapping[str, Sequence[Version]]:
        """Versions by object, the newest first, as S3 lists them; without delete markers."""
        found: dict[str, list[Version]] = defaultdict(list)
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=self._prefix):
            for version in page.get("Versions", ()):
                key = version["Key"].removeprefix(self._prefix)
                found[key].append(Version(key=key, id=version["VersionId"], latest=version["IsLatest"]))
        return found


def rescue(stack: Stack, host: str, to: str, *, in_place: bool) -> int:
    """Undo an overwriting, into the directory `to` or in place; 0 when no object of the repository is lost."""
    refuse(_problems(stack, host, to, in_place))
    code = 0
    for repository in repositories(stack, host):
        s3 = client(repository.to.endpoint, repository.to.region, repository.access_key, repository.secret_key)
        versions = Versions(s3, repository.to.bucket, f"{repository.to.prefix}/")
        found = versions.find()
        print(f"{repository.to.prefix}: {len(found.right)} objects, {len(found.changed)} of them written over or deleted")
        for key in found.lost:
            print(f"  lost: {key}: no version has the content that its name says")
        if in_place:
            versions.put_back(found)
            print("  put back; now: make prune, which checks, and another key for the host (docs/runbooks/restore.md)")
        else:
            versions.lay_out(found, Path(to))
            print(f"  in {to}; look: restic -r {to} check --read-data")
        code = max(code, min(len(found.lost), 1))
    return code


def _problems(stack: Stack, host: str, to: str, in_place: bool) -> Iterator[Problem]:
    why = "it brings back what somebody with a host's key has written over"
    names = [placement.host.name for placement in stack.placements if placement.backup]
    if host not in names:
        yield Problem(
            what=f"HOST is {host!r}, which is no host that is backed up",
            why=why,
            fix=f"name one of: {', '.join(names) or 'none is'}",
            example=f"make rescue STACK={stack.name} HOST={names[0] if names else 'sese'} TO=rescued",
        )
    try:
        wrong = "where something is already" if to and Path(to).exists() else ""
    except (OSError, ValueError) as error:
        wrong = f"which can be no directory: {error.strerror if isinstance(error, OSError) else error}"
    if not in_place and (not to or wrong):
        yield Problem(
            what=f"TO is {to[:80]!r}, {wrong}" if to else "there is no place for what comes back",
            why=why,
            fix="name a new directory with TO=, or say IN_PLACE=yes once you have looked into one",
            example=f"make rescue STACK={stack.name} HOST={host or 'sese'} TO=rescued",
        )
