"""`make state-backend STACK= BUCKET=`: copies a stack's state into a bucket with versioning."""

import json
import os
import re
from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError

from components.storage.object_storage import client
from model.problem import Problem, refuse
from operations.stack import CommandFailed, output
from services.storage import ENDPOINT, REGION

BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def backend_url(bucket: str, endpoint: str = ENDPOINT, region: str = REGION) -> str:
    """The value for PULUMI_BACKEND_URL; a shell needs it quoted."""
    return f"s3://{bucket}?endpoint={endpoint}&region={region}&s3ForcePathStyle=true"


def move(stack: str, bucket: str, environment: Mapping[str, str], endpoint: str = ENDPOINT, region: str = REGION) -> str:
    """Copy the state of `stack` into `bucket`, which is created with versioning if missing; returns the new backend's URL.

    The old state stays where it is. Raises `Refused` without keys, or when the bucket already has a state of this stack.
    """
    refuse(
        Problem(
            what=f"{name} is not set",
            why="the bucket is asked with a key of its own, which the engine takes from the environment",
            fix="make one in Hetzner's console (Object Storage > S3 credentials)",
            example=f"export {name}=...",
        )
        for name in KEYS
        if not environment.get(name)
    )
    if not BUCKET.fullmatch(bucket):
        refuse([_no_bucket(stack, bucket)])
    s3 = client(endpoint, region, *(environment[name] for name in KEYS))
    try:
        if bucket not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    except (ClientError, BotoCoreError) as error:
        raise CommandFailed(f"the bucket {bucket} at {endpoint} cannot be used: {error}") from None
    url = backend_url(bucket, endpoint, region)
    target = {**environment, "PULUMI_BACKEND_URL": url}
    if stack in {entry["name"].rpartition("/")[2] for entry in json.loads(_pulumi(target, "stack", "ls", "--json"))}:
        refuse([_there_already(stack, bucket)])
    state = _pulumi(environment, "stack", "export", "--stack", stack)
    _pulumi(target, "stack", "init", stack)
    _pulumi(target, "stack", "import", "--stack", stack, stdin=state)
    return url


def state_backend(stack: str, bucket: str) -> None:
    """Copy the state and print what to set from then on."""
    url = move(stack, bucket, os.environ)
    print(f"the state of {stack} is in {bucket}, its former versions are kept; from now on:\n\nexport PULUMI_BACKEND_URL='{url}'")


def _pulumi(environment: Mapping[str, str], *arguments: str, stdin: str | None = None) -> str:
    return output(["pulumi", *arguments, "--non-interactive"], stdin, environment)


def _no_bucket(stack: str, bucket: str) -> Problem:
    return Problem(
        what=f"BUCKET is {bucket[:80]!r}, which names no bucket",
        why="the state is to lie in it",
        fix="give 3 to 63 small letters, digits and dashes; the name is unique among all customers",
        example=f"make state-backend STACK={stack} BUCKET=example-org-state",
    )


def _there_already(stack: str, bucket: str) -> Problem:
    return Problem(
        what=f"{bucket} has a state of {stack} already",
        why="importing over it would forget what it knows",
        fix="use it as it is, or remove it there first if you know that nothing stands on it",
        example=f"PULUMI_BACKEND_URL='{backend_url(bucket)}' pulumi stack --stack {stack}",
    )
