"""Buckets: nobody reads them who should not, and backups outlive whoever deletes them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policy.program import BUCKET, Program, Resource
from policy.rule import Finding, ResourceRule, Severity

_TYPES = (BUCKET,)


def _private(bucket: Resource, _: Program) -> Iterator[Finding]:
    for statement in _statements(bucket):
        if statement.get("Effect") == "Allow" and "*" in _words(statement.get("Principal")):
            yield Finding(what=f"{bucket.name} lets everybody {statement.get('Action')}", subject="policy")


def _encrypted_transport(bucket: Resource, _: Program) -> Iterator[Finding]:
    if not any(
        statement.get("Effect") == "Deny" and "aws:SecureTransport" in json.dumps(statement.get("Condition", {}))
        for statement in _statements(bucket)
    ):
        yield Finding(what=f"{bucket.name} can be asked in plain HTTP")


def _versioned(bucket: Resource, _: Program) -> Iterator[Finding]:
    if not bucket.inputs.get("versioning"):
        yield Finding(what=f"{bucket.name} keeps no former versions")


def _expiring(bucket: Resource, _: Program) -> Iterator[Finding]:
    if "noncurrent" not in json.dumps(_data(bucket.inputs.get("lifecycle"))).lower():
        yield Finding(what=f"{bucket.name} keeps every former version for ever")


def _protected(bucket: Resource, program: Program) -> Iterator[Finding]:
    if program.is_production and not bucket.protect:
        yield Finding(what=f"{bucket.name} can be deleted in prod")


def _versions_stay(bucket: Resource, program: Program) -> Iterator[Finding]:
    if not program.is_production or bucket.inputs.get("lock_days"):
        return
    if not any(
        statement.get("Effect") == "Deny" and "s3:DeleteObjectVersion" in _words(statement.get("Action"))
        for statement in _statements(bucket)
    ):
        yield Finding(what=f"every key of the project may delete versions in {bucket.name}")


def _statements(bucket: Resource) -> list[Mapping[str, Any]]:
    policy = bucket.inputs.get("policy") or "{}"
    document = json.loads(policy) if isinstance(policy, str) else _data(policy)
    return list(document.get("Statement", ()))


def _words(value: Any) -> list[str]:
    """One word or several, below whatever keys."""
    if isinstance(value, Mapping):
        return [word for each in value.values() for word in _words(each)]
    return [value] if isinstance(value, str) else list(value or ())


def _data(value: Any) -> Any:
    """Plain lists and dictionaries, for json."""
    if isinstance(value, Mapping):
        return {key: _data(value[key]) for key in value}
    return [_data(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


PRIVATE = ResourceRule(
    name="buckets-private",
    asks="No bucket is for everybody.",
    severity=Severity.CRITICAL,
    decides=("S3-1",),
    why="buckets are found by guessing their names",
    mend="name who may do what in the policy",
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
    mend="deny it in the bucket's policy",
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
    mend="switch versioning on",
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
    mend="give a lifecycle with an expiry of noncurrent versions",
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
    mend="protect it",
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
    mend="give a lock, or name the keeper among the keys",
    example='Bucket(name="example-org-backups", keys=Keys(keeper="..."), lock_days=14)',
    types=_TYPES,
    check=_versions_stay,
)

RULES = (PRIVATE, TRANSPORT, VERSIONED, EXPIRING, PROTECTED, VERSIONS_STAY)
