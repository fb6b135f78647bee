"""A stack's state moves from a directory into a bucket, with the real engine against versitygw."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.storage import ADMIN
from model.problem import Refused
from operations import stack
from operations.deploy import state_backend
from tests.engine.project import Project
from tests.support.object_storage import ObjectStorage, running

BUCKET = "example-org-state"
PROGRAM = """
    import pulumi
    import pulumi_random
    kept = pulumi_random.RandomPassword("kept", length=20)
    pulumi.export("kept", kept.result)
"""


@pytest.fixture
def storage(tmp_path: Path, toolchain: Path) -> Iterator[ObjectStorage]:
    with running(tmp_path / "s3", toolchain) as object_storage:
        yield object_storage


def test_a_state_moves_into_a_versioned_bucket_and_is_readable_with_the_passphrase_alone(
    tmp_path: Path, toolchain: Path, storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path, toolchain, "test")
    (project.directory / "__main__.py").write_text(textwrap.dedent(PROGRAM))
    project.pulumi("up", "--yes", "--skip-preview")
    kept = project.pulumi("stack", "output", "kept", "--show-secrets").stdout
    monkeypatch.setattr(stack, "PROJECT", project.directory)
    with pytest.raises(Refused, match="AWS_ACCESS_KEY_ID is not set"):
        state_backend.move("test", BUCKET, {**project.environment, "AWS_ACCESS_KEY_ID": ""}, storage.endpoint)
    keys = {"AWS_ACCESS_KEY_ID": ADMIN.access_key, "AWS_SECRET_ACCESS_KEY": ADMIN.secret_key}

    url = state_backend.move("test", BUCKET, {**project.environment, **keys}, storage.endpoint)
    before = dict(project.environment)
    project.environment |= {**keys, "PULUMI_BACKEND_URL": url}
    assert project.pulumi("stack", "output", "kept", "--show-secrets").stdout == kept
    project.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    s3 = storage.as_account(ADMIN)
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    objects = [content["Key"] for content in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    (checkpoint,) = [key for key in objects if key.startswith(".pulumi/stacks/") and key.endswith("test.json")]
    text = s3.get_object(Bucket=BUCKET, Key=checkpoint)["Body"].read().decode()
    assert kept.strip() not in text
    assert "incorrect passphrase" in project.pulumi("preview", check=False, PULUMI_CONFIG_PASSPHRASE="x").stdout
    with pytest.raises(Refused, match="has a state of test already"):
        state_backend.move("test", BUCKET, {**before, **keys}, storage.endpoint)

    # The lock of a killed run is reported, and `pulumi cancel` removes it.
    lock = ".pulumi/locks/organization/vpai/test/00000000-0000-4000-8000-000000000000.json"
    s3.put_object(
        Bucket=BUCKET,
        Key=lock,
        Body=b'{"pid": 1, "username": "killed", "hostname": "runner", "timestamp": "2026-01-01T00:00:00Z"}',
    )
    refused = project.pulumi("up", "--yes", "--skip-preview", check=False)
    assert refused.returncode != 0
    assert "the stack is currently locked" in refused.stdout
    project.pulumi("cancel", "--yes")
    project.pulumi("up", "--yes", "--skip-preview")

    # The former version of a damaged checkpoint is still there.
    s3.put_object(Bucket=BUCKET, Key=checkpoint, Body=b"damaged")
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=checkpoint)["Versions"]
    former = next(version["VersionId"] for version in versions if not version["IsLatest"] and version["Key"] == checkpoint)
    whole = s3.get_object(Bucket=BUCKET, Key=checkpoint, VersionId=former)["Body"].read()
    s3.put_object(Bucket=BUCKET, Key=checkpoint, Body=whole)
    assert project.pulumi("stack", "output", "kept", "--show-secrets").stdout == kept
