"""The resources of the stack's buckets, apart from their list: who only places a fleet does not wait for Pulumi's import."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import pulumi

from components.storage.bucket import Bucket as Resource
from model import bucket as model
from model.bucket import Bucket
from model.secret import references
from model.settings import Settings
from services import storage


def register(buckets: Sequence[Bucket], external: Mapping[str, str], settings: Settings) -> None:
    """Register a resource for each bucket, under its name without the prefix.

    A destroy keeps a bucket, as it keeps data directories, unless the bucket belongs to a copy or data may be deleted.
    A bucket with a lock is never emptied: the S3 service refuses its deletion, whatever the settings are.
    """
    for bucket in buckets:
        deleted = bucket.emptied or settings.delete_data
        keys = sorted(references(model.policy(bucket)))
        digest = sha256("\n".join(f"{name}={external.get(name, '')}" for name in keys).encode()).hexdigest()[:12]
        Resource(
            f"bucket-{bucket.name.removeprefix(settings.bucket_prefix).strip('-')}",
            replace(bucket, emptied=deleted and not bucket.lock_days),
            endpoint=storage.ENDPOINT,
            region=storage.REGION,
            keys=digest,
            adopt=settings.adopt_buckets,
            opts=pulumi.ResourceOptions(protect=settings.protect_data and not bucket.emptied, retain_on_delete=not deleted),
        )
