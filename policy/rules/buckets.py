"""Buckets: who may read them, and who may delete old versions."""

from collections.abc import Iterator

from policy.meaning.bucket_policy import STRANGER, Statement, Unreadable, denied, statements
from policy.program import BUCKET, Program, Resource
from policy.rule import Finding, ResourceRule, Severity

_TYPES = (BUCKET,)


_OBJECT, _WHOLE = "arn:aws:s3:::{}/any/object", "arn:aws:s3:::{}"
_IN_PLAIN_HTTP = (
    ("s3:GetObject", _OBJECT),
    ("s3:PutObject", _OBJECT),
    ("s3:DeleteObjectVersion", _OBJECT),
    ("s3:ListBucket", _WHOLE),
)
_ENDS_VERSIONS = (
    ("s3:DeleteObjectVersion", _OBJECT),
    ("s3:PutLifecycleConfiguration", _WHOLE),
    ("s3:PutBucketPolicy", _WHOLE),
    ("s3:DeleteBucketPolicy", _WHOLE),
)
"""Actions that delete old versions, or lead to it, with the resource they apply to."""


def _private(bucket: Resource, _: Program) -> Iterator[Finding]:
    try:
        said = statements(bucket.inputs.get("policy"))
    except Unreadable as error:
        yield Finding(what=f"{bucket.name} has a policy that cannot be read: {error}", subject="policy")
        return
    for statement in said:
        if statement.allows and statement.is_for(STRANGER):
            asked = statement.said.get("Action", f"all but {statement.said.get('NotAction')}")
            yield Finding(what=f"{bucket.name} lets strangers {asked}", subject="policy")


def _encrypted_transport(bucket: Resource, _: Program) -> Iterator[Finding]:
    said = _statements(bucket)
    keys = (STRANGER, *(principal for statement in said for principal in statement.principals))
    name = bucket.text("bucket")
    if not all(
        denied(said, key, action, resource.format(name), plain_http=True) for key in keys for action, resource in _IN_PLAIN_HTTP
    ):
        yield Finding(what=f"{bucket.name} can be asked in plain HTTP")


def _versioned(bucket: Resource, _: Program) -> Iterator[Finding]:
    if bucket.inputs.get("versioning") is not True:
        yield Finding(what=f"{bucket.name} keeps no former versions")


def _expiring(bucket: Resource, _: Program) -> Iterator[Finding]:
    if not any(not rule.get("prefix") and float(rule.get("noncurrent_days") or 0) > 0 for rule in bucket.list("lifecycle")):
        yield Finding(what=f"{bucket.name} keeps every former version for ever")


def _protected(bucket: Resource, program: Program) -> Iterator[Finding]:
    if program.is_production and not bucket.protect:
        yield Finding(what=f"{bucket.name} can be deleted in prod")


def _versions_stay(bucket: Resource, program: Program) -> Iterator[Finding]:
    if not program.is_production or float(bucket.inputs.get("lock_days") or 0) > 0:
        return
    said, name = _statements(bucket), bucket.text("bucket")
    keys = dict.fromkeys((STRANGER, *(principal for statement in said for principal in statement.principals)))
    free = [
        key for key in keys if not all(denied(said, key, action, resource.format(name)) for action, resource in _ENDS_VERSIONS)
    ]
    if STRANGER in free or len(free) > 1 or any(set(key) & set("*?") for key in free):
        whose = "every key of the project" if STRANGER in free else " and ".join(free)
        yield Finding(what=f"{whose} may delete versions in {bucket.name}")


def _statements(bucket: Resource) -> list[Statement]:
    """The policy's statements; none where the policy cannot be read: `_private` reports that."""
    try:
        return statements(bucket.inputs.get("policy"))
    except Unreadable:
        return []


PRIVATE = ResourceRule(
    name="buckets-private",
    asks="No bucket is for everybody.",
    severity=Severity.CRITICAL,
    decides=("S3-1",),
    why="buckets are found by guessing their names",
    fix="name who may do what in the policy",
    example='"Principal": {"AWS": ["arn:aws:iam:::user/p123:backup"]}',
    types=_TYPES,
    check=_private,
)
TRANSPORT = ResourceRule(
    name="buckets-encrypted-transport",
    asks="A bucket refuses plain HTTP.",
    severity=Severity.MEDIUM,
    decides=("S3-2",),
    why="whoever listens would read backups, and signatures that can be used again",
    fix="deny it in the bucket's policy",
    example='Bucket(name="example-org-backups", https_only=True)',
    types=_TYPES,
    check=_encrypted_transport,
)
VERSIONED = ResourceRule(
    name="buckets-versioned",
    asks="A bucket keeps former versions.",
    severity=Severity.HIGH,
    decides=("S3-3",),
    why="whoever gets the key of the backups overwrites them first",
    fix="switch versioning on",
    example='Bucket(name="example-org-backups", versioning=True)',
    types=_TYPES,
    check=_versioned,
)
EXPIRING = ResourceRule(
    name="buckets-expiry",
    asks="A bucket forgets former versions in the end.",
    severity=Severity.LOW,
    decides=("S3-4",),
    why="what is deleted would be paid for for ever, and kept beyond its retention",
    fix="give a lifecycle with an expiry of noncurrent versions",
    example='Bucket(name="example-org-backups", noncurrent_days=30)',
    types=_TYPES,
    check=_expiring,
)
PROTECTED = ResourceRule(
    name="buckets-protected",
    asks="In prod a bucket is protected.",
    severity=Severity.HIGH,
    decides=("S3-5",),
    why="backups would go with the stack whose loss they are for",
    fix="protect it",
    example="opts=ResourceOptions(protect=True)",
    types=_TYPES,
    check=_protected,
)
VERSIONS_STAY = ResourceRule(
    name="buckets-versions-stay",
    asks="In prod versions are locked, or one key alone deletes them.",
    severity=Severity.HIGH,
    decides=("S3-6",),
    why="keys of Hetzner's reach every bucket of their project: one that leaked could remove what versioning kept",
    fix="give a lock, or name the admin key among the keys",
    example='Bucket(name="example-org-backups", keys=Keys(admin="..."), lock_days=14)',
    types=_TYPES,
    check=_versions_stay,
)

RULES = (PRIVATE, TRANSPORT, VERSIONED, EXPIRING, PROTECTED, VERSIONS_STAY)
