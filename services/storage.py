"""Hetzner's object storage: two buckets, the rights of each key in them, and the endpoint for services."""

import re
from collections.abc import Iterable, Sequence

from model.bucket import Bucket, Expiry, Keys
from model.secret import External, Secret

REGION = "fsn1"
"""Falkenstein; part of the endpoint's name."""
ENDPOINT = f"https://{REGION}.your-objectstorage.com"
ATTACHMENTS = "nc/"
"""Prefix below which NocoDB puts uploads/ and thumbnails/. The specification says nc-attachments/, but NocoDB has no setting for
it (nocodb/nocodb, src/plugins/s3/S3.ts); an endpoint with a path would work for uploads but break the clean-up, which lists."""

_CONSOLE = "Hetzner console > Object Storage > S3 credentials"


def _key(name: str, use: str) -> Secret:
    return Secret(name=name, source=External(obtain=f"{_CONSOLE}; {use}", optional=True))


ADMIN_ACCESS_KEY = _key("s3_admin_access_key", "makes the buckets, and alone deletes versions")
ADMIN_SECRET_KEY = _key("s3_admin_secret_key", "makes the buckets, and alone deletes versions")
SHARED_ACCESS_KEY = _key("s3_access_key", "for NocoDB's attachments")
SHARED_SECRET_KEY = _key("s3_secret_key", "for NocoDB's attachments")
BACKUPS_ACCESS_KEY = _key("s3_backups_access_key", "for Zerobyte, which only looks at backups")
BACKUPS_SECRET_KEY = _key("s3_backups_secret_key", "for Zerobyte, which only looks at backups")
_ELSEWHERE = "another project or provider than the buckets': its console; reads and writes the bucket of vpai:attachmentsCopy"
COPY_ACCESS_KEY = Secret(name="s3_copy_access_key", source=External(obtain=_ELSEWHERE, optional=True))
COPY_SECRET_KEY = Secret(name="s3_copy_secret_key", source=External(obtain=_ELSEWHERE, optional=True))


BACKUP_KEY = re.compile(r"s3_backups_([a-z][a-z0-9_]*)_(?:access|secret)_key")
"""Pattern of the name of one half of a host's key; the group is the host."""


def backup_keys(host: str) -> tuple[Secret, Secret]:
    """The two halves of the key for a host's repository."""
    name = f"s3_backups_{host.replace('-', '_')}"
    use = f"for the backups of {host}"
    return _key(f"{name}_access_key", use), _key(f"{name}_secret_key", use)


def secrets(hosts: Iterable[str]) -> tuple[Secret, ...]:
    """The secrets of a stack with both buckets, with a key for each of `hosts`; no service gets the admin key."""
    return (
        *(ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY),
        *(SHARED_ACCESS_KEY, SHARED_SECRET_KEY),
        *(BACKUPS_ACCESS_KEY, BACKUPS_SECRET_KEY),
        *(key for host in hosts for key in backup_keys(host)),
    )


def shared_name(prefix: str) -> str:
    """The bucket of NocoDB's attachments; empty without a `prefix`: there is no bucket."""
    return f"{prefix}-shared" if prefix else ""


def backups_name(prefix: str) -> str:
    """The bucket of the backups; empty without a `prefix`."""
    return f"{prefix}-backups" if prefix else ""


def production(prefix: str, principal: str, lock_days: int, hosts: Sequence[str]) -> tuple[Bucket, ...]:
    """Backups of `hosts`, whose versions cannot be deleted for `lock_days`, and services' files; none without a `prefix`."""
    if not prefix:
        return ()
    backups = Bucket(
        name=backups_name(prefix),
        lock_days=lock_days,
        keys=Keys(
            admin=f"{ADMIN_ACCESS_KEY}",
            appending={f"{backup_keys(host)[0]}": f"{host}/" for host in hosts},
            looking=(f"{BACKUPS_ACCESS_KEY}",),
            excluded=(f"{SHARED_ACCESS_KEY}",),
            principal=principal,
        ),
    )
    # Exports are for download, not an archive: 30 days, as in the predecessor.
    shared = Bucket(
        name=shared_name(prefix),
        expiries=(Expiry(prefix="exports/", days=30),),
        keys=Keys(
            admin=f"{ADMIN_ACCESS_KEY}",
            limited={f"{SHARED_ACCESS_KEY}": ATTACHMENTS},
            excluded=(f"{BACKUPS_ACCESS_KEY}", *(f"{backup_keys(host)[0]}" for host in hosts)),
            principal=principal,
        ),
    )
    return backups, shared


def preproduction(prefix: str, principal: str) -> tuple[Bucket, ...]:
    """A separate bucket for attachments, which a destroy empties. A copy of production has no backups."""
    if not prefix:
        return ()
    keys = Keys(admin=f"{ADMIN_ACCESS_KEY}", limited={f"{SHARED_ACCESS_KEY}": ATTACHMENTS}, principal=principal)
    return (Bucket(name=shared_name(prefix), noncurrent_days=1, keys=keys, emptied=True),)
