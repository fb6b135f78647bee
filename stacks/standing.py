"""`python3 -m stacks.standing --stack STACK`: what can be said of a stack before anything is set up or run.

Read where it lies, a directory or a bucket, and not through the engine, which needs a state that is well. Files need no package.
Format: pulumi v3.259.0, pkg/backend/diy (stacks/<project>/<stack>.json, locks/organization/<project>/<stack>/<id>.json).
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from model.kind import DESTROY_GUARD, Kind
from model.problem import Problem, Refused, refuse
from model.urn import resource_name

_PROJECT = Path(__file__).parent.parent
_NAME = "vpai"
_RUNBOOK = "docs/runbooks/state.md"
SCHEMA = "docs/reference/stack.schema.json"
LAB = "lab"
"""The lab's stack. Its state is on the lab's own operator machine."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The run that changes the stack, or was killed while doing so."""

    identity: str
    user: str
    machine: str
    process: int
    since: str

    def __str__(self) -> str:
        return f"{self.user}@{self.machine}, process {self.process}, since {self.since[:19]} (lock {self.identity})"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The stored state of a stack."""

    stack: str
    backend: str
    others: tuple[str, ...] = ()
    """The project's other stacks in the same backend."""
    size: int | None = None
    """Size of the state in bytes; None where there is no state."""
    resources: int | None = None
    """Number of resources; None where the state cannot be read."""
    pending: tuple[str, ...] = ()
    """Operations that a killed run had begun."""
    salt: str = ""
    configured_salt: str = ""
    """The salt in Pulumi.<stack>.yaml."""
    locks: tuple[Lock, ...] = ()
    generated: frozenset[str] = frozenset()
    """Names of the secrets that the state has."""
    hosts: frozenset[str] = frozenset()
    """Names of the hosts that the state manages."""
    project: str = ""
    """Name of the data's directory on the hosts; empty where the state has no data."""
    guarded: bool = False
    """Whether it was deployed as production, or as another kind that is guarded (model/kind.py)."""

    @property
    def file(self) -> str:
        return f".pulumi/stacks/{_NAME}/{self.stack}.json"


def standing(stack: str, environment: Mapping[str, str] = os.environ, project: Path = _PROJECT) -> Standing | None:
    """The stored state; None for a backend that cannot be read from here."""
    url = environment.get("PULUMI_BACKEND_URL") or f"file://{project}/.state"
    place = _place(url, environment)
    return None if place is None else _seen(place, url, stack, project)


def _seen(place: "_Files | _Bucket", url: str, stack: str, project: Path) -> Standing | None:
    name = f"stacks/{_NAME}/{stack}.json"
    listed = place.names(f"stacks/{_NAME}/")
    data = place.read(name)
    zipped = f"{name}.gz" if f"{stack}.json.gz" in listed else ""
    others = tuple(
        sorted({file_name.partition(".json")[0] for file_name in listed if file_name.endswith((".json", ".json.gz"))} - {stack})
    )
    file = project / f"Pulumi.{stack}.yaml"
    configured = re.search(r"^encryptionsalt: *(\S+)", file.read_text() if file.exists() else "", re.MULTILINE)
    found = Standing(stack=stack, backend=url, others=others, configured_salt=configured[1] if configured else "")
    if data is None:
        return None if zipped else found
    locks = f"locks/organization/{_NAME}/{stack}/"
    taken = tuple(
        lock for name in place.names(locks) if name.endswith(".json") and (lock := _lock(name, place.read(locks + name)))
    )
    return read(found, data, taken)


def read(found: Standing, data: bytes, locks: tuple[Lock, ...] = ()) -> Standing:
    """`found`, completed from the state file's `data`."""
    whole = {**vars(found), "size": len(data), "locks": locks}
    try:
        latest = json.loads(data)["checkpoint"]["latest"] or {}
        resources = latest.get("resources") or ()
        whole["resources"] = len(resources)
        whole["salt"] = ((latest.get("secrets_providers") or {}).get("state") or {}).get("salt", "")
        whole["generated"] = frozenset(
            resource_name(resource) for resource in resources if resource["type"].startswith("random:")
        )
        whole["hosts"] = frozenset(
            resource_name(resource).removesuffix(_OURS) for resource in resources if resource_name(resource).endswith(_OURS)
        )
        whole["project"] = next((named[1] for resource in resources if (named := _DATA.search(_directories(resource)))), "")
        whole["guarded"] = any(resource_name(resource) == DESTROY_GUARD and resource.get("protect") for resource in resources)
        whole["pending"] = tuple(
            f"{operation['type']} {resource_name(operation['resource'])}" for operation in latest.get("pending_operations") or ()
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        whole["resources"] = None
    return Standing(**whole)


def problems(found: Standing) -> Iterator[Problem]:
    """Why the stack may not be changed."""
    if found.size is None:
        beside = f"; there are: {', '.join(found.others)}" if found.others else ", nor any other"
        yield Problem(
            what=f"there is no stack {found.stack} in {found.backend}{beside}",
            why="nothing was deployed from there; or its state lies elsewhere, and a new one would not know what stands",
            fix="for a first deployment let `make init` make the stack (docs/runbooks/first-deploy.md, step 4); if it was "
            f"deployed, say where its state lies; if that is lost, bring it back: {_RUNBOOK}",
            example=f"make init STACK={found.stack}; or: export PULUMI_BACKEND_URL=...",
        )
    elif found.resources is None:
        yield Problem(
            what=f"the state of {found.stack} is damaged: {found.size} bytes of {found.file} in {found.backend} are no state",
            why="the engine cannot tell what stands, and an empty state would make everything a second time",
            fix=f"put the last good version back, as {_RUNBOOK} says under 'A damaged state'",
            example=f"make state STACK={found.stack}",
        )
    elif found.salt and not found.configured_salt:
        yield Problem(
            what=f"Pulumi.{found.stack}.yaml has no encryptionsalt, and the state has one",
            why="the next command would write another, and no secret of the file could be opened any more",
            fix="take the file out of git as it was; or put this line at its end: it is the state's, and no secret",
            example=f"encryptionsalt: {found.salt}",
        )


def of_configuration(stack: str, project: Path = _PROJECT) -> Iterator[Problem]:
    """Required settings that the stack's file lacks. The file is read line by line, before there is a package that reads YAML."""
    schema = json.loads((project / SCHEMA).read_text())
    file = project / f"Pulumi.{stack}.yaml"
    text = file.read_text() if file.exists() else ""
    said = set(re.findall(r"""^\s+["']?(vpai:\w+)["']?:""", text, re.MULTILINE))
    missing = [key for key in schema["properties"]["config"]["required"] if key not in said]
    if missing:
        yield Problem(
            what=f"{file.name} does not say {', '.join(missing)}" if file.exists() else f"there is no {file.name}",
            why="it is the stack's configuration: what is to be deployed, and where",
            fix="answer the questions of `make init`, which checks each answer; or set each by hand: "
            "docs/runbooks/first-deploy.md, step 4",
            example=f"make init STACK={stack}",
        )


def of_pending(found: Standing) -> Iterator[Problem]:
    """Problems: operations of a killed run whose result is unknown."""
    if found.pending:
        yield Problem(
            what=f"a run of {found.stack} was killed while it was {_listed(found.pending)}",
            why="the state does not know whether that was done, and a plan would say 'no changes'",
            fix="make state and hosts agree first",
            example=f"make recover STACK={found.stack}",
        )


def of_settings(found: Standing, project: str, *, guarded: bool) -> Iterator[Problem]:
    """Problems: settings that differ from the deployed ones and cannot change: the data's directory, and the guard."""
    if found.project and found.project != project:
        yield Problem(
            what=f"vpai:project is {project}, and what stands of {found.stack} is {found.project}'s",
            why=f"the data lies in /opt/{found.project}/data: every service would be made anew, on empty directories",
            fix="set it back. A new name is a new deployment: back up, destroy, deploy under the new name, restore",
            example=f"pulumi config set -s {found.stack} vpai:project {found.project}",
        )
    if found.guarded and not guarded:
        yield Problem(
            what=f"vpai:kind makes {found.stack} a stack that nothing guards, and what stands of it was deployed as production",
            why="the same up would take the protection of its data away, and ask for no plan, no pushed commit and no name",
            fix="set it back. What is to be no production any more is destroyed as such, and deployed anew",
            example=f"pulumi config set -s {found.stack} vpai:kind {Kind.PRODUCTION}",
        )


def of_locks(found: Standing, dead: Mapping[str, bool], breaks: str) -> Iterator[Problem]:
    """Each lock whose run may not have ended (`dead`: by identity), except the lock that `breaks` names."""
    for lock in found.locks:
        if not dead[lock.identity] and lock.identity != breaks:
            yield Problem(
                what=f"{found.stack} is locked by {lock}",
                why="two runs at once damage the state, and what one makes the other does not know",
                fix="wait until that run has ended, or ask who runs it; only if it has died for certain, name its lock",
                example=f"make recover STACK={found.stack} LOCK={lock.identity}",
            )


def has_ended(lock: Lock, user: str, machine: str, processes: Path = Path("/proc")) -> bool:
    """Whether the run that took the lock was one of `user` on this `machine` and no longer exists."""
    if (lock.user, lock.machine) != (user, machine):
        return False
    try:
        name, _, rest = (processes / str(lock.process) / "stat").read_text().partition("(")[2].rpartition(")")
    except FileNotFoundError:
        return processes.exists()
    return name != "pulumi" or rest.split()[:1] == ["Z"]


def said(found: Standing) -> str:
    """The stored state as text, one fact a line."""
    lines = [f"state    {found.backend}, {found.file}"]
    if found.size is not None:
        held = "not readable" if found.resources is None else f"{found.resources} resources"
        lines.append(f"holds    {found.size} bytes, {held}")
        lines.append(f"pending  {_listed(found.pending) or 'nothing'}")
        lines += [f"locked   {lock}" for lock in found.locks] or ["locked   by nobody"]
        if found.salt and found.configured_salt:
            same = "the same" if found.salt == found.configured_salt else "another: each opens what was sealed with it"
            lines.append(f"salt     of the state and of Pulumi.{found.stack}.yaml: {same}")
    lines += [f"beside   {', '.join(found.others)}"] if found.others else []
    return "\n".join(lines)


_SHOWN = 5
_OURS = "-access"
"""Ending of the resource name of a host's SSH and firewall (components/host/managed_host.py)."""
_DATA = re.compile(r"/opt/([a-z][a-z0-9]*)/data/")
"""A service's data directory, as directories.sh gets it."""


def _directories(resource: Mapping[str, Any]) -> str:
    create = (resource.get("inputs") or {}).get("create", "") if resource_name(resource).endswith("-data") else ""
    return create if isinstance(create, str) else ""


def _listed(pending: tuple[str, ...]) -> str:
    more = f" and {len(pending) - _SHOWN} more" if len(pending) > _SHOWN else ""
    return ", ".join(pending[:_SHOWN]) + more


def _lock(name: str, data: bytes | None) -> Lock | None:
    if data is None:
        return None  # released just now
    try:
        says: Mapping[str, Any] = json.loads(data)
    except ValueError:
        says = {}
    return Lock(
        identity=name.removesuffix(".json"),
        user=str(says.get("username", "?")),
        machine=str(says.get("hostname", "?")),
        process=int(says.get("pid", 0)),
        since=str(says.get("timestamp", "?")),
    )


class _Files:
    """A backend in a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root / ".pulumi"

    def names(self, under: str) -> list[str]:
        place = self._root / under
        return sorted(path.name for path in place.iterdir() if path.is_file()) if place.is_dir() else []

    def read(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None


class _Bucket:
    """A backend in an S3 bucket. Raises `Refused` where the bucket does not answer."""

    def __init__(self, bucket: str, prefix: str, asked: Any) -> None:
        self._bucket, self._prefix, self._s3 = bucket, f"{prefix}/.pulumi/".lstrip("/"), asked

    def names(self, under: str) -> list[str]:
        with self._reported():
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + under)
            keys = [entry["Key"].removeprefix(self._prefix + under) for page in pages for entry in page.get("Contents", ())]
        return [key for key in keys if "/" not in key]

    def read(self, name: str) -> bytes | None:
        try:
            with self._reported():
                data: bytes = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            return None
        return data

    @contextmanager
    def _reported(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except self._s3.exceptions.NoSuchKey:
            raise
        except (BotoCoreError, ClientError) as error:
            raise Refused([_silent(self._bucket, str(error))]) from None


def _silent(bucket: str, said: str) -> Problem:
    return Problem(
        what=f"the bucket {bucket} cannot be asked for the state: {said}",
        why="nothing can be said of what stands, and nothing may be run",
        fix="check the network, PULUMI_BACKEND_URL, and the two keys of the bucket",
        example="export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...; pulumi whoami --verbose",
    )


def _place(url: str, environment: Mapping[str, str]) -> _Files | _Bucket | None:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _Files(Path(unquote(parts.netloc + parts.path)).expanduser())
    if parts.scheme != "s3":
        return None
    try:
        from components.storage.object_storage import client
    except ImportError:
        return None  # no packages yet: the command that was called asks again
    options = {key: values[0] for key, values in parse_qs(parts.query).items()}
    endpoint, region = options.get("endpoint", ""), options.get("region", "")
    keys = [environment.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    if not endpoint or not all(keys):
        return None  # the engine finds the bucket its own way, or names what is missing
    return _Bucket(parts.netloc, parts.path.strip("/"), client(endpoint, region, *keys))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m stacks.standing", description=__doc__)
    parser.add_argument("-s", "--stack", required=True)
    stack = parser.parse_args().stack
    try:
        found = None if stack == LAB else standing(stack)
        refuse([*(problems(found) if found else ()), *(() if stack == LAB else of_configuration(stack))])
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
