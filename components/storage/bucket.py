"""Buckets as resources with a real difference: what was changed by hand is named by a refresh and fixed by an up.

Dynamic, because none of the bridged providers converges on Ceph's S3 (ADR 20). This module's path is part of the state
(the engine imports the provider by name): moving it breaks `destroy`. The credentials are the stack's
vpai:s3_admin_access_key and vpai:s3_admin_secret_key; no bucket has them among its properties. A policy names keys by
references to secrets; their values are put in on the way to S3 and taken out on the way back, so that no state has them.
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
    """Makes a bucket what it is to be, and reads what it is."""

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
        # boto3 takes as long to import as pulumi, and a program that declares buckets asks nothing of them.
        from components.storage.object_storage import ObjectStorage

        return ObjectStorage(lambda name: (self._config.get(name) or "") if self._config else "")


class Bucket(Resource, module="s3", name="Bucket"):
    """A bucket at an S3 `endpoint`. With `adopt` one that is there already is taken over; what changes in it is printed.

    `keys` is a digest of the access keys that its policy refers to: with a new one the policy is written again.
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
