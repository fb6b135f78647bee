"""Retention and integrity checks of repositories. They need the admin key, which no host has; a host's key deletes no backup."""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from model.backup import KEPT, HostBackup
from model.problem import Problem, refuse
from operations.backups.host_program import on_host_words
from operations.stack import CommandFailed, Stack, on_host
from operations.table import table
from services import storage

AHEAD = timedelta(minutes=10)
MOST_A_DAY = 12
"""Most runs of one host in a day: the timer makes one, an operator the others."""
MOST_OF_DATABASES = 30
"""Most runs of the databases alone in a day: the timer makes one an hour."""
PARTS = 4
"""Parts of a repository. Each weekly check reads the next part: four weeks read all of it."""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A host's repository, opened with the admin key."""

    to: HostBackup
    access_key: str
    secret_key: str
    password: str

    def ask(self, *arguments: str) -> str:
        """Run restic and return its output; raises `CommandFailed` with its errors."""
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "RESTIC_PASSWORD": self.password,
            "RESTIC_REPOSITORY": self.to.repository,
        }
        words = [restic_program(), "--option", f"s3.region={self.to.region}", "--retry-lock", "35m", *arguments]
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise CommandFailed(
                f"restic {arguments[0]} of {self.to.repository} failed ({done.returncode}):\n{done.stderr.strip()}"
            )
        return done.stdout

    def snapshots(self) -> list[Mapping[str, Any]]:
        """Every snapshot, from any writer."""
        found: list[Mapping[str, Any]] = json.loads(self.ask("snapshots", "--json"))
        return found

    def prune(self, now: datetime) -> tuple[int, int]:
        """Delete what the retention does not keep; the number of snapshots before and after. Raises `Refused` first."""
        before = self.snapshots()
        refuse(objections(self.to.prefix, before, now))
        kept = (
            *("--keep-within-daily", KEPT.daily, "--keep-within-weekly", KEPT.weekly),
            *("--keep-within-monthly", KEPT.monthly, "--keep-within-yearly", KEPT.yearly),
        )
        self.ask("forget", "--quiet", "--group-by", "host", "--tag", "complete", *kept)
        self.ask("forget", "--quiet", "--group-by", "host", "--tag", "partial", "--keep-within", KEPT.daily)
        self.ask("forget", "--quiet", "--group-by", "host", "--tag", "databases", "--keep-within", KEPT.databases)
        self.ask("prune", "--quiet")
        return len(before), len(self.snapshots())

    def check(self, now: datetime) -> str:
        """Read one part of the data, the next one each week, and return which. Raises `CommandFailed` on damage."""
        part = f"{now.isocalendar().week % PARTS + 1}/{PARTS}"
        self.ask("check", "--quiet", "--read-data-subset", part)
        return part


def objections(host: str, snapshots: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[Problem]:
    """Reasons to delete nothing: snapshots that may be forged, in whose favour the retention would drop the real backups."""
    why = "whoever has the host's key can add snapshots, so that the retention gives up the real ones in their place"
    look = "look at them, forget them by hand with the admin key, and replace the host's key (docs/runbooks/restore.md)"
    example = f"restic snapshots --host {host}"
    moments = {snapshot["short_id"]: datetime.fromisoformat(snapshot["time"]).astimezone(UTC) for snapshot in snapshots}
    if ahead := sorted(name for name, at in moments.items() if at > now + AHEAD):
        yield Problem(what=f"{host}: snapshots from the future: {', '.join(ahead)}", why=why, fix=look, example=example)
    strange = sorted(
        snapshot["short_id"]
        for snapshot in snapshots
        if snapshot["hostname"] != host or not any(tag.startswith("run=") for tag in snapshot.get("tags") or ())
    )
    if strange:
        yield Problem(what=f"{host}: snapshots that no run made: {', '.join(strange)}", why=why, fix=look, example=example)
    hourly = {snapshot["short_id"] for snapshot in snapshots if "databases" in (snapshot.get("tags") or ())}
    for (day, alone), number in sorted(Counter((at.date(), name in hourly) for name, at in moments.items()).items()):
        if number > (MOST_OF_DATABASES if alone else MOST_A_DAY):
            yield Problem(what=f"{host}: {number} runs on {day}", why=why, fix=look, example=example)


def prune(stack: Stack, host: str) -> int:
    """Apply the retention to each repository, or to one host's, and check it."""
    rows = []
    now = datetime.now(UTC)
    for repository in repositories(stack, host):
        before, after = repository.prune(now)
        rows.append((repository.to.prefix, str(before), str(after), f"part {repository.check(now)} read, no errors"))
        on_host(stack.machines[repository.to.prefix], on_host_words(stack, "checked"))
    print(table(("host", "runs before", "after", "check"), rows))
    return 0


def repositories(stack: Stack, host: str) -> Iterator[Repository]:
    """The repository of each host with a backup, or of `host` alone, opened with the admin key."""
    keys = {name: stack.inputs.external.get(name, "") for name in (storage.ADMIN_ACCESS_KEY.name, storage.ADMIN_SECRET_KEY.name)}
    access_key, secret_key = keys.values()
    for placement in stack.placements:
        if placement.backup and host in ("", placement.host.name):
            password = stack.secret(placement.backup.password.name)
            yield Repository(to=placement.backup, access_key=access_key, secret_key=secret_key, password=password)


def restic_program() -> str:
    """Path of restic on this machine; raises `Refused` when it is missing."""
    if not (found := shutil.which("restic")):
        refuse(
            [
                Problem(
                    what="there is no restic on this machine",
                    why="a repository is pruned from outside, with a key that no host has",
                    fix="install it, or build the one that the lab has",
                    example="python3 -m toolchain, then: source toolchain/env.sh",
                )
            ]
        )
    assert found
    return found
