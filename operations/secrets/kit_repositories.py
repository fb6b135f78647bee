"""The recovery kit's entries on backups: how to open each host's repository without this project, and whether it opens."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.backup import HostBackup
from operations.backups.prune import restic_program
from operations.table import table
from services import storage

_SECONDS = 120
"""Limit for one answer of a bucket."""


def repositories(hosts: Iterable[HostBackup], secrets: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """One entry for each host, with commands for a plain shell; `secrets` are all values of the stack.

    The entry's key reads every repository and deletes nothing, so that a stolen kit costs no backup.
    """
    key = secrets.get(storage.BACKUPS_ACCESS_KEY.name, ""), secrets.get(storage.BACKUPS_SECRET_KEY.name, "")
    return [_entry(to, *key, secrets[to.password.name]) for to in hosts]


def _entry(to: HostBackup, access_key: str, secret_key: str, password: str) -> Mapping[str, Any]:
    restic = f"restic -r {to.repository} -o s3.region={to.region} --no-lock"
    values = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key, "RESTIC_PASSWORD": password}
    return {
        "host": to.prefix,
        "repository": to.repository,
        "endpoint": to.endpoint,
        "region": to.region,
        "password": password,
        "access_key": access_key,
        "secret_key": secret_key,
        "commands": [
            "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items()),
            f"{restic} snapshots --tag complete",
            f"{restic} restore SNAPSHOT:/backup --target out",
        ],
        "how": "take the latest SNAPSHOT that is not from the future; out/manifest.json says what is in it; "
        "without a key here make one in the console of the object storage",
    }


def closed_repositories(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Hosts whose repository the commands of its entry do not open, or that holds no complete run; prints each."""
    answers = {entry["host"]: (entry["repository"], *_asked(entry)) for entry in entries}
    rows = [
        (host, repository, "opens" if opens else "FAILED", reported) for host, (repository, reported, opens) in answers.items()
    ]
    if rows:
        print(table(("host", "repository", "", "latest complete run"), rows))
    return [host for host, (_, _, opens) in answers.items() if not opens]


def _asked(entry: Mapping[str, Any]) -> tuple[str, bool]:
    export, snapshots, _ = entry["commands"]
    # The commands as the kit has them and an operator would type them; restic may be anywhere.
    program = Path(restic_program())
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    words = ["timeout", str(_SECONDS), "bash", "-c", f"{export}\n{snapshots} --json"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"no answer within {_SECONDS} s"]
        return said[-1][:160], False
    now = datetime.now(UTC)
    moments = [datetime.fromisoformat(snapshot["time"]) for snapshot in json.loads(done.stdout)]
    past = [moment for moment in moments if moment <= now]
    if not past:
        return "none: it opens and holds nothing to restore", False
    return f"{(now - max(past)).total_seconds() / 3600:.1f} h old, of {len(past)}", True
