"""Buckets with the real engine against versitygw, an S3 that enforces policies: a denial here is a real one."""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.storage import ADMIN, SHARED, STRANGER, Account
from tests.engine.test_buckets import NAME, Stack
from tests.support.object_storage import PRINCIPAL, ObjectStorage, running

PREFIX = "nc/"
KEYS = {"admin": "${secret:s3_admin_access_key}", "limited": {"${secret:s3_access_key}": PREFIX}, "principal": PRINCIPAL}
POLICED = {"keys": KEYS, "https_only": False, "expiries": [{"prefix": "exports/", "days": 30}]}
LARGE = 64 << 20


@pytest.fixture
def storage(tmp_path: Path, toolchain: Path) -> Iterator[ObjectStorage]:
    with running(tmp_path / "s3", toolchain) as object_storage:
        yield object_storage


@pytest.fixture
def stack(tmp_path: Path, toolchain: Path, storage: ObjectStorage) -> Stack:
    project = Stack(tmp_path, toolchain, storage.endpoint, storage.region, ADMIN)
    project.configure({}, {"s3_access_key": SHARED.access_key})
    return project


def test_what_was_changed_by_hand_is_named_by_a_refresh_and_fixed_by_an_up(stack: Stack) -> None:
    stack.want(fields=POLICED)
    stack.up()
    stack.up("--refresh", "--expect-no-changes")
    exported = stack.pulumi("stack", "export").stdout
    for secret in (ADMIN.access_key, ADMIN.secret_key, SHARED.access_key):
        assert secret not in exported
    before = _configuration(stack.s3)
    assert SHARED.access_key in before["policy"]

    stack.s3.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Suspended"})
    stack.s3.delete_bucket_lifecycle(Bucket=NAME)
    policy = json.loads(before["policy"])
    policy["Statement"] = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
    stack.s3.put_bucket_policy(Bucket=NAME, Policy=json.dumps(policy))
    named = stack.pulumi("refresh", "--yes", "--diff").stdout
    for name in ("versioning", "lifecycle", "policy"):
        assert f"~ {name}" in named or f"- {name}" in named, named
    stack.up()
    assert _configuration(stack.s3) == before
    stack.up("--refresh", "--expect-no-changes")


def test_the_second_key_reads_nothing_outside_of_its_prefix_and_deletes_no_version(stack: Stack, storage: ObjectStorage) -> None:
    stack.want(fields=POLICED)
    stack.up()
    admin, second = stack.s3, storage.as_account(SHARED)
    admin.put_object(Bucket=NAME, Key="backup/secret", Body=b"not for the second key")
    first = second.put_object(Bucket=NAME, Key=f"{PREFIX}uploads/a", Body=b"one")["VersionId"]
    second.put_object(Bucket=NAME, Key=f"{PREFIX}uploads/a", Body=b"two")
    assert second.get_object(Bucket=NAME, Key=f"{PREFIX}uploads/a")["Body"].read() == b"two"
    assert second.list_objects_v2(Bucket=NAME, Prefix=PREFIX)["KeyCount"] == 1
    second.delete_object(Bucket=NAME, Key=f"{PREFIX}uploads/a")

    attempts: dict[str, Callable[[], Any]] = {
        "read elsewhere": lambda: second.get_object(Bucket=NAME, Key="backup/secret"),
        "write elsewhere": lambda: second.put_object(Bucket=NAME, Key="backup/secret", Body=b"gone"),
        "delete elsewhere": lambda: second.delete_object(Bucket=NAME, Key="backup/secret"),
        "list elsewhere": lambda: second.list_objects_v2(Bucket=NAME, Prefix="backup/"),
        "list all": lambda: second.list_objects_v2(Bucket=NAME),
        "list versions": lambda: second.list_object_versions(Bucket=NAME),
        "delete a version": lambda: second.delete_object(Bucket=NAME, Key=f"{PREFIX}uploads/a", VersionId=first),
        "stop versioning": lambda: second.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Suspended"}),
        "take the policy away": lambda: second.delete_bucket_policy(Bucket=NAME),
        "delete the bucket": lambda: second.delete_bucket(Bucket=NAME),
    }
    assert {name: _refusal(attempt) for name, attempt in attempts.items()} == dict.fromkeys(attempts, "AccessDenied")
    assert admin.get_object(Bucket=NAME, Key="backup/secret")["Body"].read() == b"not for the second key"
    assert admin.get_object(Bucket=NAME, Key=f"{PREFIX}uploads/a", VersionId=first)["Body"].read() == b"one"
    unknown = storage.as_account(Account("LABNOBODY00000000000", "x" * 20))
    assert _refusal(lambda: unknown.get_bucket_lifecycle_configuration(Bucket=NAME)) == "InvalidAccessKeyId"
    # A key that the policy does not name gets no access either.
    assert _refusal(lambda: storage.as_account(STRANGER).list_objects_v2(Bucket=NAME)) == "AccessDenied"
    # The admin key may delete: without such a key no backup could ever be removed.
    admin.delete_object(Bucket=NAME, Key=f"{PREFIX}uploads/a", VersionId=first)


def test_a_new_second_key_takes_the_place_of_the_old_one(stack: Stack, storage: ObjectStorage) -> None:
    stack.want(fields=POLICED, keys=_digest(SHARED))
    stack.up()
    stack.configure({}, {"s3_access_key": STRANGER.access_key})
    stack.want(keys=_digest(STRANGER))
    stack.up()
    stack.up("--refresh", "--expect-no-changes")
    storage.as_account(STRANGER).put_object(Bucket=NAME, Key=f"{PREFIX}a", Body=b"x")
    assert _refusal(lambda: storage.as_account(SHARED).get_object(Bucket=NAME, Key=f"{PREFIX}a")) == "AccessDenied"


def test_two_hundred_objects_and_a_large_upload_survive_an_update(stack: Stack) -> None:
    stack.want(fields=POLICED)
    stack.up()
    s3 = stack.s3
    for number in range(200):
        s3.put_object(Bucket=NAME, Key=f"small/{number}", Body=f"{number}".encode())
    content = bytes(range(256)) * (LARGE >> 8)
    started = s3.create_multipart_upload(Bucket=NAME, Key="large")["UploadId"]
    parts = []
    for number in range(1, 5):
        part = content[(number - 1) * (LARGE // 4) : number * (LARGE // 4)]
        etag = s3.upload_part(Bucket=NAME, Key="large", UploadId=started, PartNumber=number, Body=part)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
        if number == 2:  # change the bucket in the middle of the upload
            stack.want(fields={**POLICED, "noncurrent_days": 90})
            stack.up()
    s3.complete_multipart_upload(Bucket=NAME, Key="large", UploadId=started, MultipartUpload={"Parts": parts})
    stack.want(fields={**POLICED, "noncurrent_days": 60})
    stack.up()
    assert s3.list_objects_v2(Bucket=NAME)["KeyCount"] == 201
    assert s3.get_object(Bucket=NAME, Key="small/137")["Body"].read() == b"137"
    assert sha256(s3.get_object(Bucket=NAME, Key="large")["Body"].read()).digest() == sha256(content).digest()
    assert "is not empty, so it is not deleted" in stack.destroy(check=False)
    assert s3.list_objects_v2(Bucket=NAME)["KeyCount"] == 201


def test_a_copy_that_is_thrown_away_is_emptied(stack: Stack) -> None:
    stack.want(fields={**POLICED, "emptied": True})
    stack.up()
    for content in (b"one", b"two"):
        stack.s3.put_object(Bucket=NAME, Key="a", Body=content)
    stack.s3.delete_object(Bucket=NAME, Key="a")
    stack.s3.put_object(Bucket=NAME, Key="b", Body=b"three")
    stack.s3.create_multipart_upload(Bucket=NAME, Key="never finished")
    stack.destroy()
    assert stack.s3.list_buckets()["Buckets"] == []


def test_a_bucket_whose_policy_is_refused_is_not_left_behind(stack: Stack) -> None:
    """No state would know the bucket, and the next run would take it for somebody else's."""
    stack.want(fields={"keys": {**KEYS, "principal": "nobody-{key}"}, "https_only": False})
    assert "Invalid principal in policy" in stack.up(check=False)
    assert stack.s3.list_buckets()["Buckets"] == []
    stack.want(fields=POLICED)
    stack.up()


@pytest.mark.parametrize(
    ("account", "changes", "said"),
    [
        (Account("LABNOBODY00000000000", "x" * 20), {}, "does not take the credentials (InvalidAccessKeyId)"),
        (Account(ADMIN.access_key, "x" * 20), {}, "does not take the credentials (SignatureDoesNotMatch)"),
        (ADMIN, {"region": "nbg1"}, "nbg1 is not the region of"),
        (ADMIN, {"name": "taken-by-a-stranger"}, "the name taken-by-a-stranger is taken"),
        (ADMIN, {"fields": {"keys": {**KEYS, "limited": {"${secret:not_set}": ""}}}}, "keys that are not set: not_set"),
    ],
)
def test_what_is_wrong_is_said_in_words_that_help(
    stack: Stack, storage: ObjectStorage, account: Account, changes: dict[str, Any], said: str
) -> None:
    storage.as_account(STRANGER).create_bucket(
        Bucket="taken-by-a-stranger", CreateBucketConfiguration={"LocationConstraint": storage.region}
    )
    stack.use(account)
    stack.want(**changes)
    printed = stack.up(check=False)
    assert said in printed
    assert "Traceback" not in printed


def _configuration(s3: Any) -> dict[str, Any]:
    return {
        "versioning": s3.get_bucket_versioning(Bucket=NAME)["Status"],
        "lifecycle": s3.get_bucket_lifecycle_configuration(Bucket=NAME)["Rules"],
        "policy": s3.get_bucket_policy(Bucket=NAME)["Policy"],
    }


def _refusal(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "allowed"


def _digest(account: Account) -> str:
    return sha256(account.access_key.encode()).hexdigest()[:12]
