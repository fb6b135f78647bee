"""Buckets with the real engine against moto, an S3 with versions, lifecycle rules, policies and locks over HTTP."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from components.storage.bucket import Bucket as Resource
from components.storage.bucket import BucketProvider
from components.storage.object_storage import client
from lab.storage import Account
from model.bucket import Bucket, policy
from policy.program import BUCKET
from tests.engine.project import Project

PROGRAM = """
    import json
    from pathlib import Path
    from components.storage.bucket import Bucket
    from model.bucket import Bucket as Wanted, Expiry, Keys

    wanted = json.loads(Path("wanted.json").read_text())
    fields = dict(wanted.get("fields", {}))
    fields["expiries"] = tuple(Expiry(**each) for each in fields.get("expiries", ()))
    if keys := fields.pop("keys", None):
        fields["keys"] = Keys(**keys)
    Bucket("backups", Wanted(name=wanted["name"], **fields), endpoint=wanted["endpoint"], region=wanted["region"],
           keys=wanted.get("keys", ""), adopt=wanted.get("adopt", False))
"""
NAME, SECRET = "example-org-backups", "never-in-a-state"
ADMIN = Account("KEEPER", SECRET)
EARLIER = Path(__file__).parent / "facts/bucket_state.json"
"""The state that commit 66b77a6 wrote, exported; only times and stack traces of resources are removed."""
KEYS = {"admin": "KEEPER", "limited": {"SECOND": "nc-attachments/"}, "principal": "arn:aws:iam:::user/p1234567:{key}"}


class Stack(Project):
    """A stack of one bucket."""

    def __init__(
        self, directory: Path, toolchain: Path, endpoint: str, region: str = "eu-central-1", admin: Account = ADMIN
    ) -> None:
        super().__init__(directory, toolchain, "test")
        self.s3: Any = client(endpoint, region, admin.access_key, admin.secret_key)
        self.wanted: dict[str, Any] = {"name": NAME, "endpoint": endpoint, "region": region}
        (self.directory / "__main__.py").write_text(textwrap.dedent(PROGRAM))
        self.use(admin)

    def use(self, admin: Account) -> None:
        """Set the credentials that create buckets."""
        self.configure({}, {"s3_admin_access_key": admin.access_key, "s3_admin_secret_key": admin.secret_key})

    def want(self, **changes: Any) -> None:
        """Change the program's input."""
        self.wanted |= changes
        (self.directory / "wanted.json").write_text(json.dumps(self.wanted))

    def up(self, *arguments: str, check: bool = True) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", *arguments, check=check).stdout

    def destroy(self, check: bool = True) -> str:
        return self.pulumi("destroy", "--yes", "--skip-preview", check=check).stdout


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    s3_backends.reset()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def stack(tmp_path: Path, toolchain: Path, endpoint: str) -> Stack:
    return Stack(tmp_path, toolchain, endpoint)


def test_a_bucket_is_made_fixed_kept_and_given_up(stack: Stack) -> None:
    stack.want(fields={"expiries": [{"prefix": "exports/", "days": 30}], "keys": KEYS, "https_only": False})
    stack.up()
    s3 = stack.s3
    assert s3.get_bucket_versioning(Bucket=NAME)["Status"] == "Enabled"
    rules = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=NAME)["Rules"]}
    assert set(rules) == {"abort-multipart", "expire-exports", "noncurrent"}
    assert rules["expire-exports"]["Expiration"] == {"Days": 30}
    assert json.loads(s3.get_bucket_policy(Bucket=NAME)["Policy"])["Statement"]
    stack.up("--refresh", "--expect-no-changes")
    assert SECRET not in stack.pulumi("stack", "export").stdout

    # A change by hand is reported and undone.
    s3.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket_lifecycle(Bucket=NAME)
    s3.delete_bucket_policy(Bucket=NAME)
    shown = stack.pulumi("preview", "--refresh", "--diff").stdout
    for name in ("versioning", "lifecycle", "policy"):
        assert name in shown
    stack.up("--refresh")
    assert s3.get_bucket_versioning(Bucket=NAME)["Status"] == "Enabled"
    assert len(s3.get_bucket_lifecycle_configuration(Bucket=NAME)["Rules"]) == 3
    assert s3.get_bucket_policy(Bucket=NAME)["Policy"]

    # Objects survive a change, small ones and a large upload in parts; a bucket with objects is not deleted.
    for number in range(200):
        s3.put_object(Bucket=NAME, Key=f"small/{number}", Body=b"x")
    upload = s3.create_multipart_upload(Bucket=NAME, Key="large")["UploadId"]
    part = s3.upload_part(Bucket=NAME, Key="large", UploadId=upload, PartNumber=1, Body=b"y" * (64 << 20))
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=NAME, Key="large", UploadId=upload, MultipartUpload=parts)
    stack.want(fields={"noncurrent_days": 90, "https_only": False})
    stack.up()
    assert s3.list_objects_v2(Bucket=NAME)["KeyCount"] == 201
    assert s3.head_object(Bucket=NAME, Key="large")["ContentLength"] == 64 << 20
    refused = stack.destroy(check=False)
    assert "is not empty, so it is not deleted" in refused
    for version in s3.list_object_versions(Bucket=NAME)["Versions"]:
        s3.delete_object(Bucket=NAME, Key=version["Key"], VersionId=version["VersionId"])
    stack.destroy()
    assert s3.list_buckets()["Buckets"] == []


def test_a_bucket_that_is_there_is_adopted_only_when_asked_and_says_what_changes(stack: Stack) -> None:
    place = {"LocationConstraint": "eu-central-1"}
    stack.s3.create_bucket(Bucket=NAME, CreateBucketConfiguration=place)
    stack.want()
    refused = stack.up(check=False)
    assert "is there already, and no state knows it" in refused
    assert "versioning: false -> true" in refused
    stack.want(adopt=True)
    assert "adopting the bucket" in stack.up()
    stack.up("--refresh", "--expect-no-changes")
    # A bucket that was deleted by hand is created again.
    stack.s3.delete_bucket(Bucket=NAME)
    stack.up("--refresh")
    assert stack.s3.get_bucket_versioning(Bucket=NAME)["Status"] == "Enabled"


def test_a_lock_is_for_a_new_bucket(stack: Stack) -> None:
    stack.want(fields={"lock_days": 14})
    stack.up()
    lock = stack.s3.get_object_lock_configuration(Bucket=NAME)["ObjectLockConfiguration"]
    assert (lock["Rule"]["DefaultRetention"]["Mode"], lock["Rule"]["DefaultRetention"]["Days"]) == ("GOVERNANCE", 14)
    stack.up("--refresh", "--expect-no-changes")
    stack.want(fields={})
    assert "can neither be added to a bucket nor taken from it" in stack.up(check=False)


def test_what_s3_says_is_said_in_words_that_help(stack: Stack) -> None:
    stack.want(endpoint="http://127.0.0.1:9")
    assert "does not answer" in stack.up(check=False)


def test_a_state_of_an_earlier_commit_is_destroyed_by_this_one(stack: Stack, endpoint: str) -> None:
    state = json.loads(EARLIER.read_text())
    (resource,) = [resource for resource in state["deployment"]["resources"] if resource["type"] == BUCKET]
    assert {"keys", "emptied"}.isdisjoint(resource["inputs"]), "it is of before these were there"
    for values in (resource["inputs"], resource["outputs"]):
        values["endpoint"] = endpoint
    stack.s3.create_bucket(Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    (stack.directory / "earlier.json").write_text(json.dumps(state))
    stack.pulumi("stack", "import", "--file", "earlier.json")
    stack.destroy()
    assert stack.s3.list_buckets()["Buckets"] == []


def test_a_state_of_an_earlier_commit_names_this_module() -> None:
    """The engine finds the provider by this path: moving the module would orphan every bucket in a state."""
    assert f"pulumi-python:{Resource._resource_type_name}" == BUCKET == "pulumi-python:dynamic/s3:Bucket"
    assert BucketProvider.__module__ == "components.storage.bucket"
    assert policy(Bucket(name=NAME, https_only=False)) == ""
