"""Checks of the stack's buckets: configured as declared, usable with their own key, closed to it elsewhere."""

from collections.abc import Callable, Iterator, Mapping
from secrets import token_bytes
from typing import Any

from botocore.exceptions import ClientError

from components.storage import object_storage as s3
from model.bucket import Bucket
from model.secret import references
from services import storage

_PROBE = "uploads/vpai-smoke.txt"
"""Overwritten each time and never deleted: a delete marker would stay for ever, and versitygw 1.8.0 answers 404 to an object
that is written after one."""


_ABSENT = "data/vpai-smoke"
"""Never exists: S3 checks the permission before the object, and the repository stays clean."""


def checks(buckets: tuple[Bucket, ...], secrets: Mapping[str, str]) -> Iterator[tuple[str, str, Callable[[], tuple[str, bool]]]]:
    """The checks of smoke for `buckets`; `secrets` are the keys' values."""
    for bucket in buckets:
        yield f"bucket {bucket.name}", "as declared", _as_declared(bucket, secrets)
        for key, prefix in bucket.keys.limited.items() if bucket.keys else ():
            (name,) = references(key)
            yield f"bucket {bucket.name}: {name} writes below {prefix or 'it'}", "read back", _used(bucket, name, prefix, secrets)
            if prefix:
                yield f"bucket {bucket.name}: {name} reads elsewhere", "refused", _elsewhere(bucket, name, secrets)
        for key, prefix in bucket.keys.appending.items() if bucket.keys else ():
            (name,) = references(key)
            yield f"bucket {bucket.name}: {name} deletes below {prefix}data/", "refused", _deletes(bucket, name, prefix, secrets)
            yield f"bucket {bucket.name}: {name} reads elsewhere", "refused", _elsewhere(bucket, name, secrets)
            yield f"bucket {bucket.name}: {name} locks below {prefix}", "locked, unlocked", _locks(bucket, name, prefix, secrets)
        for key in bucket.keys.looking if bucket.keys else ():
            (name,) = references(key)
            for prefix in sorted(bucket.keys.appending.values()) if bucket.keys else ():
                yield (
                    f"bucket {bucket.name}: {name} writes below {prefix}data/",
                    "refused",
                    _writes(bucket, name, prefix, secrets),
                )
                yield (
                    f"bucket {bucket.name}: {name} deletes below {prefix}data/",
                    "refused",
                    _deletes(bucket, name, prefix, secrets),
                )
                yield (
                    f"bucket {bucket.name}: {name} locks below {prefix}",
                    "locked, unlocked",
                    _locks(bucket, name, prefix, secrets),
                )
        for key in bucket.keys.excluded if bucket.keys else ():
            (name,) = references(key)
            yield f"bucket {bucket.name}: {name} reads", "refused", _elsewhere(bucket, name, secrets)


def _as_declared(bucket: Bucket, secrets: Mapping[str, str]) -> Callable[[], tuple[str, bool]]:
    def ask() -> tuple[str, bool]:
        different = s3.differences(_client(storage.ADMIN_ACCESS_KEY.name, secrets), bucket, secrets)
        return ", ".join(different) or "as declared", not different

    return ask


def _used(bucket: Bucket, name: str, prefix: str, secrets: Mapping[str, str]) -> Callable[[], tuple[str, bool]]:
    def ask() -> tuple[str, bool]:
        probe = {"Bucket": bucket.name, "Key": f"{prefix}{_PROBE}"}
        client = _client(name, secrets)
        written = token_bytes(16)
        client.put_object(**probe, Body=written)
        found = client.get_object(**probe)["Body"].read()
        return ("read back" if found == written else "something else"), found == written

    return ask


def _elsewhere(bucket: Bucket, name: str, secrets: Mapping[str, str]) -> Callable[[], tuple[str, bool]]:
    return _refused(
        lambda: _client(name, secrets).list_objects_v2(Bucket=bucket.name, Prefix="elsewhere/", MaxKeys=1),
    )


def _locks(bucket: Bucket, name: str, prefix: str, secrets: Mapping[str, str]) -> Callable[[], tuple[str, bool]]:
    """Whether the key writes and deletes a lock, which every backup needs; restic takes no lock of this name for its own."""

    def ask() -> tuple[str, bool]:
        lock = {"Bucket": bucket.name, "Key": f"{prefix}locks/vpai-smoke"}
        client = _client(name, secrets)
        try:
            client.put_object(**lock, Body=b"")
            client.delete_object(**lock)
        except ClientError as error:
            return str(error.response["Error"]["Code"]), False
        return "locked, unlocked", True

    return ask


def _writes(bucket: Bucket, name: str, prefix: str, secrets: Mapping[str, str]) -> Callable[[], tuple[str, bool]]:
    return _refused(lambda: _client(name, secrets).put_object(Bucket=bucket.name, Key=f"{prefix}{_ABSENT}", Body=b""))


def _deletes(bucket: Bucket, name: str, prefix: str, secrets: Mapping[str, str]) -> Callable[[], tuple[str, bool]]:
    """Delete one object, and several in one call: some services apply other rules to the second."""

    def several() -> None:
        objects = {"Objects": [{"Key": f"{prefix}{_ABSENT}"}]}
        for error in _client(name, secrets).delete_objects(Bucket=bucket.name, Delete=objects).get("Errors", ()):
            raise ClientError({"Error": {"Code": error.get("Code", "")}}, "DeleteObjects")

    one = _refused(lambda: _client(name, secrets).delete_object(Bucket=bucket.name, Key=f"{prefix}{_ABSENT}"))

    def ask() -> tuple[str, bool]:
        found, right = one()
        return _refused(several)() if right else (found, right)

    return ask


def _refused(attempt: Callable[[], object]) -> Callable[[], tuple[str, bool]]:
    def ask() -> tuple[str, bool]:
        try:
            attempt()
        except ClientError as error:
            code = str(error.response["Error"]["Code"])
            return ("refused" if code == "AccessDenied" else code), code == "AccessDenied"
        return "let in", False

    return ask


def _client(access_key: str, secrets: Mapping[str, str]) -> Any:
    secret_key = access_key.replace("_access_key", "_secret_key")
    return s3.client(storage.ENDPOINT, storage.REGION, secrets[access_key], secrets[secret_key])
