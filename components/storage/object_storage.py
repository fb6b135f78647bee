"""Calls of an S3 service for a bucket, over boto3, with errors that say what to do."""

import base64
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from components.storage.properties import ACCESS_KEY, FOUND, SECRET_KEY
from model import bucket as model
from model.problem import Problem
from model.secret import references, resolve

_ELSEWHERE = (
    *("IllegalLocationConstraintException", "InvalidLocationConstraint"),
    *("PermanentRedirect", "AuthorizationHeaderMalformed"),
)
_CHECKSUM_NEEDED = (
    *("PutBucketLifecycleConfiguration", "PutBucketPolicy", "PutObjectLockConfiguration", "PutBucketVersioning"),
    "DeleteObjects",
)


class S3Refused(Exception):
    """Ends the operation on this bucket; operations on other buckets go on."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))


class ObjectStorage:
    """Buckets as the stack's admin key sees them; `secret` gives the value of a secret by its name. Raises `S3Refused`."""

    def __init__(self, secret: Callable[[str], str]) -> None:
        self._secret = secret

    def create(self, props: Mapping[str, Any]) -> None:
        """Make the bucket, or adopt it. A new bucket whose settings fail is deleted again."""
        name = props["bucket"]
        with self._reported(props) as s3:
            try:
                found = self._read(s3, name, props)
            except ClientError as error:
                raise S3Refused(_taken(name)) if _code(error) == "AccessDenied" else error from None
            if found is not None:
                _adopt(props, found)
                self._apply(s3, props)
            else:
                _make(s3, props)
                try:
                    self._apply(s3, props)
                except (ClientError, BotoCoreError, S3Refused):
                    # Without this no state would know the bucket, and the next run would find it as somebody else's.
                    with suppress(ClientError, BotoCoreError):
                        s3.delete_bucket(Bucket=name)
                    raise

    def read(self, name: str, props: Mapping[str, Any]) -> dict[str, Any] | None:
        """The bucket's properties in the form of its inputs; None when there is no bucket."""
        with self._reported(props) as s3:
            return self._read(s3, name, props)

    def update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> None:
        """Apply `news` to the bucket."""
        with self._reported(news) as s3:
            if bool(olds.get("lock_days")) != bool(news["lock_days"]):
                raise S3Refused(_lock_at_birth(news["bucket"]))
            self._apply(s3, news)

    def delete(self, name: str, props: Mapping[str, Any]) -> None:
        """Delete the bucket when it is empty, or may be emptied."""
        with self._reported(props) as s3:
            try:
                if props.get("emptied"):
                    _empty(s3, name)
                found = s3.list_object_versions(Bucket=name, MaxKeys=1)
                if found.get("Versions") or found.get("DeleteMarkers"):
                    raise S3Refused(_not_empty(name, props["endpoint"]))
                s3.delete_bucket(Bucket=name)
            except ClientError as error:
                if _code(error) != "NoSuchBucket":
                    raise

    def _read(self, s3: Any, name: str, props: Mapping[str, Any]) -> dict[str, Any] | None:
        """The bucket's properties in the form of its inputs; None when there is no bucket."""
        found = _read(s3, name)
        if found is None:
            return None
        policy = found["policy"]
        for reference, value in self._keys(props["policy"]).items():
            policy = policy.replace(value, f"${{secret:{reference}}}")
        return {**found, "policy": policy}

    def _apply(self, s3: Any, props: Mapping[str, Any]) -> None:
        _apply(s3, {**props, "policy": resolve(props["policy"], self._keys(props["policy"]))})

    def _keys(self, policy: str) -> Mapping[str, str]:
        """Name of the secret -> access key, for all keys that a policy refers to."""
        values = {name: self._secret(name) for name in references(policy)}
        if missing := sorted(name for name, value in values.items() if not value):
            raise S3Refused(_unknown_keys(missing))
        return values

    @contextmanager
    def _reported(self, props: Mapping[str, Any]) -> Iterator[Any]:
        """A client. Errors of its calls are raised as `S3Refused`."""
        access_key, secret_key = self._secret(ACCESS_KEY), self._secret(SECRET_KEY)
        try:
            if not access_key or not secret_key:
                raise S3Refused(_no_credentials())
            yield client(props["endpoint"], props["region"], access_key, secret_key)
        except (ClientError, BotoCoreError) as error:
            raise S3Refused(_problem(error, props)) from None


def differences(s3: Any, bucket: model.Bucket, keys: Mapping[str, str]) -> list[str]:
    """The properties of a bucket that differ from `bucket`; `keys` are the values of those that its policy refers to."""
    found = _read(s3, bucket.name)
    if found is None:
        return ["does not exist"]
    wanted = {
        "versioning": bucket.versioning,
        "lifecycle": model.lifecycle(bucket),
        "policy": resolve(model.policy(bucket), keys),
        "lock_days": bucket.lock_days,
    }
    return [name for name in FOUND if found[name] != wanted[name]]


def client(endpoint: str, region: str, access_key: str, secret_key: str) -> Any:
    """A boto3 client for Ceph: no checksums in trailers, but a Content-MD5 for documents that must arrive intact."""
    s3 = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
            retries={"max_attempts": 5, "mode": "standard"},
            connect_timeout=10,
        ),
    )
    for operation in _CHECKSUM_NEEDED:
        s3.meta.events.register(f"before-sign.s3.{operation}", _add_md5)
    return s3


def _add_md5(request: Any, **_: Any) -> None:
    data = request.data if isinstance(request.data, bytes) else str(request.data or "").encode()
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()


def _make(s3: Any, props: Mapping[str, Any]) -> None:
    more = {} if props["region"] == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": props["region"]}}
    s3.create_bucket(Bucket=props["bucket"], ObjectLockEnabledForBucket=bool(props["lock_days"]), **more)


def _apply(s3: Any, props: Mapping[str, Any]) -> None:
    """Set every property, whatever its value: each call is idempotent."""
    name = props["bucket"]
    if not props["lock_days"]:  # A lock has enabled versioning, and would refuse the call.
        status = "Enabled" if props["versioning"] else "Suspended"
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
    if props["lifecycle"]:
        rules = [_rule(rule) for rule in props["lifecycle"]]
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    else:
        s3.delete_bucket_lifecycle(Bucket=name)
    if props["lock_days"]:
        retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": int(props["lock_days"])}}
        locked = {"ObjectLockEnabled": "Enabled", "Rule": retention}
        s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=locked)
    # Last, because the policy may take rights from the key that applies it.
    if props["policy"]:
        s3.put_bucket_policy(Bucket=name, Policy=props["policy"])
    else:
        s3.delete_bucket_policy(Bucket=name)


def _read(s3: Any, name: str) -> dict[str, Any] | None:
    """The bucket's properties as S3 shows them; None when there is no bucket."""
    try:  # Not head_bucket: the answer to HEAD has no body, so no error code that gives the reason.
        versioning = s3.get_bucket_versioning(Bucket=name).get("Status")
    except ClientError as error:
        if _code(error) == "NoSuchBucket":
            return None
        raise
    rules = _or_nothing(lambda: s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"], "NoSuchLifecycleConfiguration", [])
    text = _or_nothing(lambda: s3.get_bucket_policy(Bucket=name)["Policy"], "NoSuchBucketPolicy", "")
    lock = _or_nothing(
        lambda: s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"],
        "ObjectLockConfigurationNotFoundError",
        {},
    )
    return {
        "versioning": versioning == "Enabled",
        "lifecycle": sorted((_flat(rule) for rule in rules), key=lambda rule: str(rule["id"])),
        "policy": json.dumps(json.loads(text), sort_keys=True) if text else "",
        "lock_days": lock.get("Rule", {}).get("DefaultRetention", {}).get("Days", 0),
    }


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A lifecycle rule in S3's form."""
    shape: dict[str, Any] = {"ID": rule["id"], "Status": "Enabled", "Filter": {"Prefix": rule["prefix"]}}
    if days := rule.get("days"):
        shape["Expiration"] = {"Days": int(days)}
    if days := rule.get("noncurrent_days"):
        shape["NoncurrentVersionExpiration"] = {"NoncurrentDays": int(days)}
    if days := rule.get("abort_days"):
        shape["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": int(days)}
    return shape


def _flat(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A lifecycle rule of S3 in our form. A disabled rule is shown as disabled."""
    prefix = rule.get("Filter", {}).get("Prefix", rule.get("Prefix", ""))
    found: dict[str, Any] = {"id": rule.get("ID", ""), "prefix": prefix}
    if days := rule.get("Expiration", {}).get("Days"):
        found["days"] = days
    if days := rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"):
        found["noncurrent_days"] = days
    if days := rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"):
        found["abort_days"] = days
    return found if rule.get("Status") == "Enabled" else {**found, "status": str(rule.get("Status"))}


def _adopt(props: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Take over an existing bucket, or raise with how to do so."""
    differences = "; ".join(f"{key}: {_brief(found[key])} -> {_brief(props[key])}" for key in FOUND if found[key] != props[key])
    if not props["adopt"]:
        raise S3Refused(_there_already(props["bucket"], differences or "nothing"))
    if bool(found["lock_days"]) != bool(props["lock_days"]):
        raise S3Refused(_lock_at_birth(props["bucket"]))
    print(f"adopting the bucket {props['bucket']}: {differences or 'nothing changes'}", file=sys.stderr, flush=True)


def _brief(value: Any) -> str:
    """A property in one line: of a policy the names of its statements, of rules their names and days."""
    if isinstance(value, str):
        return ", ".join(statement.get("Sid", "unnamed") for statement in json.loads(value)["Statement"]) if value else "none"
    if isinstance(value, list):
        rules = (
            f"{rule['id']} {max(int(number) for number in rule.values() if isinstance(number, int | float))} d" for rule in value
        )
        return ", ".join(rules) or "none"
    return str(value).lower() if isinstance(value, bool) else f"{value:.0f}"


def _or_nothing(ask: Any, absent: str, nothing: Any) -> Any:
    try:
        return ask()
    except ClientError as error:
        # MinIO, moto and Ceph have different codes for a missing thing; all answer 404.
        if _code(error) == absent or _status(error) == 404:
            return nothing
        raise


def _empty(s3: Any, name: str) -> None:
    """Delete every version and abort every unfinished upload."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        gone = [
            {"Key": version["Key"], "VersionId": version["VersionId"]}
            for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]
        if gone:
            left = s3.delete_objects(Bucket=name, Delete={"Objects": gone, "Quiet": True}).get("Errors")
            if left:
                raise S3Refused(_still_there(name, left[0]))
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=name):
        for upload in page.get("Uploads", ()):
            s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _there_already(name: str, changes: str) -> Problem:
    return Problem(
        what=f"the bucket {name} is there already, and no state knows it",
        why="it may be somebody's, with what they keep in it",
        fix=f"let it be adopted, or take another name; adopting it changes: {changes}",
        example="pulumi config set vpai:adoptBuckets true",
    )


def _no_credentials() -> Problem:
    return Problem(
        what="there are no credentials for the buckets",
        why="buckets are made with a key of the project, which only the console makes",
        fix="make one in Hetzner's console (Security, S3 credentials) and set both halves",
        example=f"pulumi config set --secret vpai:{ACCESS_KEY}; pulumi config set --secret vpai:{SECRET_KEY}",
    )


def _unknown_keys(names: list[str]) -> Problem:
    return Problem(
        what=f"the bucket's policy names keys that are not set: {', '.join(names)}",
        why="a policy without them would deny nothing to nobody",
        fix="set them, encrypted",
        example=f"pulumi config set --secret vpai:{names[0]}",
    )


def _still_there(name: str, error: Mapping[str, str]) -> Problem:
    return Problem(
        what=f"{name}: {error.get('Key')} could not be deleted: {error.get('Message', error.get('Code'))}",
        why="a bucket goes only when it is empty",
        fix="destroy again with a key that may delete versions",
        example=f"pulumi config set --secret vpai:{ACCESS_KEY}",
    )


def _taken(name: str) -> Problem:
    return Problem(
        what=f"the name {name} is taken",
        why="names of buckets are unique among all customers; or it is yours, and denies this key everything",
        fix="take a name with your own in it, or use the key that the bucket's policy names as admin",
        example=f"example-org-{name}",
    )


def _lock_at_birth(name: str) -> Problem:
    return Problem(
        what=f"{name}: a lock can neither be added to a bucket nor taken from it",
        why="S3 decides that when a bucket is made",
        fix="make a bucket with another name, copy what is needed, and let this one go",
        example='Bucket(name="example-org-backups-locked", lock_days=14)',
    )


def _not_empty(name: str, endpoint: str) -> Problem:
    return Problem(
        what=f"the bucket {name} is not empty, so it is not deleted",
        why="what is in it, older versions included, would be gone for good",
        fix="empty it yourself if that is what you want, then destroy again",
        example=f"rclone purge remote:{name}   # of {endpoint}; then its versions",
    )


def _problem(error: ClientError | BotoCoreError, props: Mapping[str, Any]) -> Problem:
    """An S3 error as a `Problem`."""
    name, endpoint, region = props["bucket"], props["endpoint"], props["region"]
    if not isinstance(error, ClientError):
        return Problem(
            what=f"{endpoint} does not answer: {error}",
            why=f"the bucket {name} is there",
            fix="check the endpoint and the way to it",
            example="https://fsn1.your-objectstorage.com",
        )
    said = error.response.get("Error", {})
    code, status = _code(error), _status(error)
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"):
        return Problem(
            what=f"{endpoint} does not take the credentials ({code})",
            why=f"the bucket {name} cannot be asked nor changed",
            fix="set both halves of one key of this project again",
            example=f"pulumi config set --secret vpai:{ACCESS_KEY}; pulumi config set --secret vpai:{SECRET_KEY}",
        )
    if code in _ELSEWHERE or status == 301:
        return Problem(
            what=f"{name}: {region} is not the region of {endpoint} ({code or status})",
            why="a bucket lives in one region, and its endpoint is that region's",
            fix="let the region be the first part of the endpoint's name",
            example="https://fsn1.your-objectstorage.com and fsn1",
        )
    if code in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
        return _taken(name)
    if status == 403:
        return Problem(
            what=f"{name}: the key may not do that ({said.get('Message', code)})",
            why="the bucket belongs to somebody else, or its policy denies it to this key",
            fix="use the key that the policy names as admin, or another name",
            example=f"pulumi config set --secret vpai:{ACCESS_KEY}",
        )
    return Problem(what=f"{name}: {error}", why="S3 refused it", fix="see the error's code", example="")
