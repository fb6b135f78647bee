"""`make reap`: destroys copies that have expired, and finds resources in the Hetzner project that belong to no stack any more."""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from hcloud import Client

from components.hetzner import api
from model.cloud import EXPIRES, NEVER
from model.kind import PROFILES, Kind
from model.problem import Problem, refuse
from operations.cloud.hetzner_project import Resource, labelled
from operations.stack import CommandFailed, Stack, output
from operations.table import table

_PRODUCTION = PROFILES[Kind.PRODUCTION].environment


@dataclass(frozen=True)
class Verdict:
    """What to destroy and what to report."""

    expired: tuple[str, ...]
    """Stacks to destroy."""
    orphans: tuple[Resource, ...]
    """Resources of no stack that the backend knows, without production's and those that never expire."""
    unreadable: tuple[Resource, ...]
    """Resources of a copy whose expiry is not a time: the stack is not destroyed."""


def decide(resources: Iterable[Resource], known: Iterable[str], now: datetime) -> Verdict:
    """A stack has expired when the latest expiry of its resources has passed, and each expiry of its resources is a time."""
    names = frozenset(known)
    moments: dict[str, list[datetime]] = {}
    orphans, unreadable = [], []
    for resource in resources:
        if resource.environment == _PRODUCTION:
            continue
        if resource.stack not in names:
            # A stack that never expires may be in another backend.
            orphans += [resource] if resource.expires != NEVER else []
        elif resource.expires:
            try:
                moments.setdefault(resource.stack, []).append(_moment(resource.expires))
            except ValueError:
                unreadable.append(resource)
    doubtful = {resource.stack for resource in unreadable}
    expired = sorted(stack for stack, found in moments.items() if stack not in doubtful and max(found) <= now)
    return Verdict(tuple(expired), tuple(orphans), tuple(unreadable))


def _moment(label: str) -> datetime:
    if label == NEVER:
        return datetime.max.replace(tzinfo=UTC)
    return datetime.strptime(label, "%Y-%m-%dT%H.%MZ").replace(tzinfo=UTC)


def reap(*, dry_run: bool) -> int:
    """Destroy what has expired and report the rest; 1 when a person must act."""
    token = os.environ.get("HCLOUD_TOKEN", "")
    if not token:
        refuse(
            [
                Problem(
                    what="HCLOUD_TOKEN is not set",
                    why="only the cloud knows what is paid for",
                    fix="give the token of the project, one that may read and write",
                    example="HCLOUD_TOKEN=... make reap DRY_RUN=1",
                )
            ]
        )
    # The cloud comes before the backend: a stack that is made in between is then known, not an orphan.
    client = api.client(token)
    verdict = decide(_there(client), _known(), datetime.now(UTC))
    rows = [(stack, *(("would be destroyed", "") if dry_run else _destroy(stack))) for stack in verdict.expired]
    failed = [row for row in rows if row[2]]
    rows += [
        (resource.stack, "kept", f"{resource.kind} {resource.name}: {EXPIRES}={resource.expires} is no moment")
        for resource in verdict.unreadable
    ]
    print(table(("stack", "done", "why"), rows) if rows else "No stack has expired.")
    # A destroyed stack may leave resources that its state never knew, after an `up` that was killed.
    orphans = decide(_there(client), _known(), datetime.now(UTC)).orphans if rows else verdict.orphans
    if orphans:
        print(f"\n{len(orphans)} resources belong to no stack that the backend knows:")
        print(
            table(
                ("stack", "kind", "name", "remove with"),
                ((orphan.stack, orphan.kind, orphan.name, orphan.removal) for orphan in orphans),
            )
        )
    return int(bool(orphans or verdict.unreadable or failed))


def _there(client: Client) -> tuple[Resource, ...]:
    try:
        return labelled(client)
    except api.NO_ANSWER as refused:
        refuse(
            [
                Problem(
                    what=f"Hetzner's cloud does not answer: {refused}",
                    why="only the cloud knows what is paid for",
                    fix="try again, or correct the token: the one of the project, with read and write access",
                    example="HCLOUD_TOKEN=... make reap DRY_RUN=1",
                )
            ]
        )
        raise


def _known() -> list[str]:
    return [entry["name"].rpartition("/")[2] for entry in json.loads(output(["pulumi", "stack", "ls", "--json"]))]


def _destroy(stack: str) -> tuple[str, str]:
    try:
        Stack(stack).pulumi("destroy", "--yes", "--skip-preview", "--remove")
    except CommandFailed as error:
        print(error, file=sys.stderr)
        return "FAILED", f"see above; where an earlier run was killed: make recover STACK={stack}"
    return "destroyed", ""
