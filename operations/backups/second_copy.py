"""A second copy of the attachments, in another account's bucket: backups do not hold them, and one provider could lose them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from components.storage.object_storage import client
from model.problem import Problem, refuse
from operations.stack import Stack
from services import storage


def copy_attachments(stack: Stack) -> int:
    """Copy new and changed objects; deletions are not copied. Raises `Refused` when no second copy is configured."""
    settings, external = stack.inputs.settings, stack.inputs.external
    keys = [external.get(secret.name, "") for secret in (storage.COPY_ACCESS_KEY, storage.COPY_SECRET_KEY)]
    refuse(_problems(stack, keys))
    admin = [external[secret.name] for secret in (storage.ADMIN_ACCESS_KEY, storage.ADMIN_SECRET_KEY)]
    endpoint, _, bucket = settings.attachments_copy.rpartition("/")
    destination = client(endpoint, settings.attachments_copy_region or "us-east-1", *keys)
    here = client(storage.ENDPOINT, storage.REGION, *admin)
    copied, size, kept = copy(here, storage.shared_name(settings.bucket_prefix), destination, bucket, storage.ATTACHMENTS)
    print(f"{settings.attachments_copy}: {copied} objects copied, {size / 2**20:.1f} MiB; {kept} were there already")
    return 0


def missing(stack: Stack) -> str:
    """A warning for attachments that exist in one place only; empty when there is a second copy or no attachment."""
    settings = stack.inputs.settings
    if settings.attachments_copy or not settings.bucket_prefix:
        return ""
    return (
        f"attachments in {storage.shared_name(settings.bucket_prefix)} have NO second copy: set vpai:attachmentsCopy "
        "(docs/runbooks/buckets.md)"
    )


def copy(here: Any, source: str, there: Any, target: str, prefix: str) -> tuple[int, int, int]:
    """Copy each object below `prefix` that `target` lacks, or has older or in another size; objects, bytes, and those left."""
    known = {key: (size, at) for key, size, at in _listed(there, target, prefix)}
    copied = total = kept = 0
    for key, size, changed in _listed(here, source, prefix):
        if key in known and known[key][0] == size and known[key][1] >= changed:
            kept += 1
            continue
        found = here.get_object(Bucket=source, Key=key)
        more = {"ContentType": found["ContentType"]} if "ContentType" in found else {}
        there.upload_fileobj(found["Body"], target, key, ExtraArgs=more)
        copied, total = copied + 1, total + size
    return copied, total, kept


def _listed(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, int, datetime]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for content in page.get("Contents", ()):
            yield content["Key"], content["Size"], content["LastModified"]


def _problems(stack: Stack, keys: list[str]) -> Iterator[Problem]:
    settings = stack.inputs.settings
    why = "attachments are in no backup; whoever loses that bucket, or its account, loses them"
    if not settings.bucket_prefix:
        yield Problem(
            what=f"the stack {stack.name} has no bucket of attachments",
            why="NocoDB keeps them in its directory, which the host's backup has",
            fix="nothing is to be done",
        )
    elif not settings.attachments_copy:
        yield Problem(
            what="no second copy is set up",
            why=why,
            fix="make a bucket at another provider, or in another project, and name it",
            example=f"pulumi config set -s {stack.name} vpai:attachmentsCopy https://ENDPOINT/BUCKET",
        )
    elif not all(keys):
        yield Problem(
            what="the keys of vpai:attachmentsCopy are missing",
            why=why,
            fix="make a key there that reads and writes the bucket, and set both halves",
            example=f"pulumi config set -s {stack.name} --secret vpai:{storage.COPY_ACCESS_KEY.name}",
        )
