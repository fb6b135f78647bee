"""The stack's buckets: the list, and their problems."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from model import bucket as model
from model.bucket import Bucket
from model.placement import Placement
from model.problem import Problem
from model.secret import references
from model.settings import Settings
from services import storage


def wanted(settings: Settings, placements: Sequence[Placement], *, copy: bool) -> tuple[Bucket, ...]:
    """Production's buckets, with a key for each host that is backed up; with `copy` those of a stack that will be destroyed."""
    if copy:
        return storage.preproduction(settings.bucket_prefix, settings.bucket_principal)
    hosts = [placement.host.name for placement in placements if placement.backup]
    return storage.production(settings.bucket_prefix, settings.bucket_principal, settings.backup_lock_days, hosts)


def problems(stack: str, buckets: Sequence[Bucket], hosts: Iterable[str], external: Mapping[str, str]) -> Iterator[Problem]:
    """Invalid buckets, and keys that are not set; `hosts` are the fleet's."""
    for bucket in buckets:
        yield from model.problems(bucket)
    if not buckets:
        return
    named = {name for bucket in buckets for name in references(model.policy(bucket))}
    for secret in storage.secrets(hosts):
        # A secret key is needed if the policy refers to its access key.
        if secret.name.replace("_secret_key", "_access_key") in named and not external.get(secret.name):
            yield Problem(
                what=f"the secret {secret.name} is missing",
                why="vpai:bucketPrefix asks for buckets, and their policies name who may do what",
                fix=f"get it: {getattr(secret.source, 'obtain', '')}; or leave vpai:bucketPrefix empty: no buckets",
                example=f"pulumi config set -s {stack} --secret vpai:{secret.name}",
            )
