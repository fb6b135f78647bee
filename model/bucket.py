"""A bucket of an S3 service: how long its objects are kept, and what each access key may do.

A key of Hetzner's Object Storage reaches every bucket of its project, whatever a policy allows: only Deny statements count.
On an S3 service whose keys reach nothing by themselves (versitygw) only Allow statements count, and NotPrincipal and
NotResource have no effect. A policy has both, so that one text works on either. Ceph, on which Hetzner runs, has no
NotAction.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from model.problem import Problem

HETZNER_PRINCIPAL = "arn:aws:iam:::user/p{project}:{key}"
"""A key's name in Hetzner's policies; `project` is the number in the console's URL. Any other form silently matches no key."""

_NAME = r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_OBJECTS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
_PARTS = ("data/*", "index/*", "snapshots/*", "keys/*", "config")
"""Paths of a restic repository, without its locks."""
_LISTS = ("s3:ListBucket", "s3:ListBucketVersions")
_ADMINISTRATION = (
    "s3:DeleteBucket",
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketAcl",
    "s3:PutObjectAcl",
    "s3:PutBucketObjectLockConfiguration",
    "s3:BypassGovernanceRetention",
    # Retention is the admin key's alone: a stolen key could lock garbage for a hundred years, at our cost.
    "s3:PutObjectRetention",
    "s3:PutObjectLegalHold",
)


@dataclass(frozen=True, kw_only=True)
class Expiry:
    """Objects below `prefix` are deleted after `days`; an empty prefix means all objects."""

    prefix: str
    days: int


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The access keys and what they may do. `limited` keys work only below their prefix, and administer nothing.

    A key is a reference to a secret (`f"{S3_ACCESS_KEY}"`), whose value no state contains, or the access key itself.
    """

    admin: str
    """The access key that may delete versions and administer the bucket."""
    limited: Mapping[str, str] = field(default_factory=dict)
    """Access key -> prefix; an empty prefix means the whole bucket."""
    appending: Mapping[str, str] = field(default_factory=dict)
    """Access key -> prefix of a restic repository. The key adds to the repository and deletes only the repository's locks."""
    looking: tuple[str, ...] = ()
    """Keys that read every repository of the `appending` keys. They write and delete only locks."""
    excluded: tuple[str, ...] = ()
    """Keys of the same project that get no access to this bucket."""
    principal: str = HETZNER_PRINCIPAL
    """The service's name of a key in a policy; {key} is replaced."""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """The desired state of a bucket."""

    name: str
    versioning: bool = True
    noncurrent_days: int = 30
    """Days until a replaced version is deleted; 0: never."""
    abort_multipart_days: int = 7
    """Days until an unfinished upload is aborted."""
    expiries: tuple[Expiry, ...] = ()
    keys: Keys | None = None
    https_only: bool = True
    lock_days: int = 0
    """Days during which no version can be deleted; the admin key may bypass this explicitly. 0: no lock. Only a new bucket can
    have a lock."""
    emptied: bool = False
    """Whether a destroy deletes the objects too, as for ephemeral stacks. If not, a bucket that is not empty stays."""


def problems(bucket: Bucket) -> Iterator[Problem]:
    """Problems of a bucket: what the service would refuse, or accept with harm."""
    if not re.fullmatch(_NAME, bucket.name):
        yield Problem(
            what=f"{bucket.name!r} cannot be a bucket's name",
            why="it becomes part of an address, and is unique among all customers",
            fix="use 3 to 63 lower case letters, digits and dashes",
            example="example-org-backups",
        )
    if bucket.lock_days and not bucket.versioning:
        yield Problem(
            what=f"{bucket.name}: a lock without versioning",
            why="versions are what is locked",
            fix="switch versioning on, or leave the lock out",
            example="Bucket(versioning=True, lock_days=14)",
        )
    for expiry in bucket.expiries:
        if expiry.days < 1 or (bucket.lock_days and expiry.days < bucket.lock_days):
            yield Problem(
                what=f"{bucket.name}: {expiry.prefix or 'everything'} expires after {expiry.days} days",
                why=f"it would go before its lock ends ({bucket.lock_days} days)" if expiry.days > 0 else "it would go at once",
                fix="let it stay longer",
                example=f'Expiry(prefix="{expiry.prefix}", days={max(30, bucket.lock_days)})',
            )
    if bucket.lock_days and bucket.emptied:
        yield Problem(
            what=f"{bucket.name}: what is locked cannot be emptied",
            why="a destroy would fail until the lock has ended",
            fix="leave out one of the two",
            example="Bucket(lock_days=14)",
        )
    if bucket.keys and "{project}" in bucket.keys.principal:
        yield Problem(
            what=f"{bucket.name}: the form of principals still has {{project}} in it",
            why="a principal that is nobody denies nothing, without an error",
            fix="put in the project's number, from the address of Hetzner's console",
            example=HETZNER_PRINCIPAL.replace("{project}", "1234567"),
        )


def lifecycle(bucket: Bucket) -> list[dict[str, str | int]]:
    """The lifecycle rules, flat and sorted: rule `id`, `prefix`, and one of `days`, `noncurrent_days`, `abort_days`."""
    rules: list[dict[str, str | int]] = []
    if bucket.abort_multipart_days:
        rules.append({"id": "abort-multipart", "prefix": "", "abort_days": bucket.abort_multipart_days})
    if bucket.versioning and bucket.noncurrent_days:
        rules.append({"id": "noncurrent", "prefix": "", "noncurrent_days": bucket.noncurrent_days})
    for expiry in bucket.expiries:
        name = expiry.prefix.strip("/").replace("/", "-") or "all"
        rules.append({"id": f"expire-{name}", "prefix": expiry.prefix, "days": expiry.days})
    return sorted(rules, key=lambda rule: str(rule["id"]))


def policy(bucket: Bucket) -> str:
    """The bucket policy as JSON, keys sorted; empty where nothing is denied."""
    whole, inside = f"arn:aws:s3:::{bucket.name}", f"arn:aws:s3:::{bucket.name}/*"
    statements: list[Mapping[str, object]] = []
    if bucket.https_only:
        statements.append(
            {
                "Sid": "OnlyOverTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [whole, inside],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        )
    if keys := bucket.keys:
        admin = {"AWS": [keys.principal.replace("{key}", keys.admin)]}
        resources = {"Resource": [whole, inside]}
        statements += [
            {"Sid": "TheKeeperMayAll", "Effect": "Allow", "Principal": admin, "Action": "s3:*", **resources},
            {
                "Sid": "OnlyTheKeeperDeletesVersions",
                "Effect": "Deny",
                "NotPrincipal": admin,
                "Action": ["s3:DeleteObjectVersion", *_ADMINISTRATION],
                **resources,
            },
        ]
        if keys.excluded:
            nobody = {"AWS": [keys.principal.replace("{key}", key) for key in keys.excluded]}
            statements.append({"Sid": "NotTheirs", "Effect": "Deny", "Principal": nobody, "Action": "s3:*", **resources})
        for number, (key, prefix) in enumerate(sorted(keys.limited.items()), 1):
            who = {"AWS": [keys.principal.replace("{key}", key)]}
            statements += _limited(f"Limited{number}", who, whole, prefix)
        for number, (key, prefix) in enumerate(sorted(keys.appending.items()), 1):
            who = {"AWS": [keys.principal.replace("{key}", key)]}
            statements += _appending(f"Appending{number}", who, whole, prefix)
        for number, key in enumerate(sorted(keys.looking), 1):
            who = {"AWS": [keys.principal.replace("{key}", key)]}
            statements += _looking(f"Looking{number}", who, whole, sorted(keys.appending.values()))
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, sort_keys=True) if statements else ""


def _appending(sid: str, who: Mapping[str, object], whole: str, prefix: str) -> Iterator[Mapping[str, object]]:
    """Statements of an appending key: a limited key's, but it deletes only locks. An overwritten object stays as a version."""
    for statement in _limited(sid, who, whole, prefix):
        if statement["Sid"] == f"{sid}Objects":
            yield {**statement, "Action": [action for action in _OBJECTS if action != "s3:DeleteObject"]}
        else:
            yield statement
    locks = [f"{whole}/{prefix}locks/*"]
    kept = [f"{whole}/{prefix}{part}" for part in _PARTS]
    yield {"Sid": f"{sid}Unlocks", "Effect": "Allow", "Principal": who, "Action": ["s3:DeleteObject"], "Resource": locks}
    yield {"Sid": f"{sid}DeletesNothing", "Effect": "Deny", "Principal": who, "Action": ["s3:DeleteObject"], "Resource": kept}


def _looking(sid: str, who: Mapping[str, object], whole: str, prefixes: Sequence[str]) -> Iterator[Mapping[str, object]]:
    """Statements of a looking key: it reads every repository and writes locks, because restic sets a lock for every read."""

    def statement(name: str, effect: str, action: object, **more: object) -> Mapping[str, object]:
        return {"Sid": f"{sid}{name}", "Effect": effect, "Principal": who, "Action": action, **more}

    locks = [f"{whole}/{prefix}locks/*" for prefix in prefixes]
    kept = [f"{whole}/{prefix}{part}" for prefix in prefixes for part in _PARTS]
    writes = ["s3:PutObject", "s3:DeleteObject"]
    yield statement("Reads", "Allow", ["s3:GetObject"], Resource=[f"{whole}/*"])
    yield statement("Lists", "Allow", ["s3:ListBucket", "s3:GetBucketLocation"], Resource=[whole])
    yield statement("Locks", "Allow", writes, Resource=locks)
    yield statement("WritesNothing", "Deny", writes, Resource=kept)
    # All actions: a service that does not know NotResource refuses it for only some (versitygw: MalformedPolicy).
    yield statement("NothingElse", "Deny", "s3:*", NotResource=[whole, *(f"{whole}/{prefix}*" for prefix in prefixes)])
    yield statement("NoVersions", "Deny", ["s3:DeleteObjectVersion", *_ADMINISTRATION], Resource=[whole, f"{whole}/*"])


def _limited(sid: str, who: Mapping[str, object], whole: str, prefix: str) -> Iterator[Mapping[str, object]]:
    """Statements of a limited key: what it may do below `prefix`, and a Deny for everything else."""

    def statement(name: str, effect: str, action: object, **more: object) -> Mapping[str, object]:
        return {"Sid": f"{sid}{name}", "Effect": effect, "Principal": who, "Action": action, **more}

    below = {"s3:prefix": f"{prefix}*"}
    yield statement("Objects", "Allow", list(_OBJECTS), Resource=[f"{whole}/{prefix}*"])
    yield statement("Location", "Allow", ["s3:GetBucketLocation"], Resource=[whole])
    yield statement(
        "Lists", "Allow", ["s3:ListBucket"], Resource=[whole], **({"Condition": {"StringLike": below}} if prefix else {})
    )
    yield statement("NoVersions", "Deny", ["s3:DeleteObjectVersion", *_ADMINISTRATION], Resource=[whole, f"{whole}/*"])
    if prefix:
        yield statement("NothingElse", "Deny", "s3:*", NotResource=[whole, f"{whole}/{prefix}*"])
        yield statement("NoOtherLists", "Deny", list(_LISTS), Resource=[whole], Condition={"StringNotLike": below})
        yield statement("NoUploads", "Deny", ["s3:ListBucketMultipartUploads"], Resource=[whole])
