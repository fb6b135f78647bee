"""Buckets as resources with a real difference: a refresh names manual changes and an up reverts them.

The resources are dynamic because none of the bridged providers converges on Ceph's S3 (ADR 20). This module's path is part of
the state (the engine imports the provider by name): moving the module breaks `destroy`. The credentials are the stack's
vpai:s3_admin_access_key and vpai:s3_admin_secret_key; they are no properties of a bucket. A policy refers to keys as secrets;
the references are replaced by values on the way to S3 and restored on the way back, so that no state has the values.
"""

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import (
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from components.difference import difference
from components.storage.properties import FOUND
from model import bucket as model
from model.problem import refuse

if TYPE_CHECKING:
    from components.storage.object_storage import ObjectStorage

_COMPARED = (*FOUND, "keys", "emptied")
_PLACE = ("bucket", "endpoint", "region")


class BucketProvider(ResourceProvider):
    """Creates, updates and reads a bucket."""

    serialize_as_secret_always = False
    _config: Any = None

    def configure(self, req: ConfigureRequest) -> None:
        self._config = req.config

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        return CheckResult(news, [])

    def create(self, props: dict[str, Any]) -> CreateResult:
        self._storage.create(props)
        return CreateResult(id_=props["bucket"], outs=props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        found = self._storage.read(id_, props)
        return ReadResult(None, {}) if found is None else ReadResult(id_, {**props, **found})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return difference(_olds, _news, (*_PLACE, *_COMPARED), replaces=_PLACE)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        self._storage.update(_olds, _news)
        return UpdateResult(outs=_news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        self._storage.delete(_id, _props)

    @property
    def _storage(self) -> "ObjectStorage":
        # boto3 takes as long to import as pulumi, and a program that only declares buckets does not need it.
        from components.storage.object_storage import ObjectStorage

        return ObjectStorage(lambda name: (self._config.get(name) or "") if self._config else "")


class Bucket(Resource, module="s3", name="Bucket"):
    """A bucket at an S3 `endpoint`. With `adopt` an existing bucket is taken over, and its changes are printed.

    `keys` is a digest of the access keys that the policy refers to: a new digest makes S3 get the policy again.
    """

    def __init__(
        self,
        name: str,
        bucket: model.Bucket,
        *,
        endpoint: str,
        region: str,
        keys: str = "",
        adopt: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        refuse(model.problems(bucket))
        super().__init__(
            BucketProvider(),
            name,
            {
                "bucket": bucket.name,
                "endpoint": endpoint,
                "region": region,
                "versioning": bucket.versioning,
                "lifecycle": model.lifecycle(bucket),
                "policy": model.policy(bucket),
                "lock_days": bucket.lock_days,
                "keys": keys,
                "emptied": bucket.emptied,
                "adopt": adopt,
            },
            opts,
        )
