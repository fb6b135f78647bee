"""The recovery kit: what a restore needs and no backup holds, sealed to a public age key.

Its private half stays off this machine; any `age -d -i KEY kit.age` opens it.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyrage

from model.backup import HostBackup
from model.problem import Problem, refuse
from operations.stack import Stack


def write_recovery_kit(stack: Stack, recipient: str, path: Path) -> None:
    """Seal the passphrase and every irreplaceable secret of `stack` to `recipient` and write them to `path`."""
    refuse(_problems(stack, recipient))
    secrets = stack.outputs["secrets"]
    kit = {
        "stack": stack.name,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "passphrase": _passphrase(),
        "secrets": {name: {"value": secrets[name], "why": why} for name, why in stack.outputs["irreplaceable"].items()},
        "backups": [_repository(placement.backup, secrets) for placement in stack.inputs.fleet.placements if placement.backup],
        "how": "set PULUMI_CONFIG_PASSPHRASE, restore the state (or set vpai:kept), then the data; docs/runbooks/restore.md",
    }
    sealed = pyrage.encrypt(json.dumps(kit, indent=2).encode(), [pyrage.x25519.Recipient.from_str(recipient)])
    path.write_bytes(sealed)
    print(f"{path}: the passphrase and {len(kit['secrets'])} secrets, sealed. Keep a copy away from every host of the fleet.")


def _repository(to: HostBackup, secrets: Mapping[str, str]) -> Mapping[str, object]:
    """What opens a host's backups on a day on which this project cannot be used; keys of the bucket are made in the console."""
    restic = f"restic -r {to.repository} -o s3.region={to.region}"
    return {
        "host": to.prefix,
        "repository": to.repository,
        "region": to.region,
        "password": secrets[to.password.name],
        "commands": [
            "export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... RESTIC_PASSWORD=...",
            f"{restic} snapshots --tag complete",
            f"{restic} restore SNAPSHOT --target out   # out/backup/manifest.json says what is in it",
        ],
    }


def _problems(stack: Stack, recipient: str) -> list[Problem]:
    found = []
    if not recipient:
        found.append(
            Problem(
                what="nobody to seal the recovery kit to",
                why="without the kit a lost state means n8n's credentials and LiteLLM's keys are unreadable for ever",
                mend="make a key pair off this machine and set its public half",
                example=f"age-keygen -o recovery.key; pulumi config set -s {stack.name} vpai:recoveryRecipient age1...",
            )
        )
    if not _passphrase():
        found.append(
            Problem(
                what="the passphrase is unknown to this shell",
                why="it is the first thing a restore needs",
                mend="set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
            )
        )
    if "irreplaceable" not in stack.outputs:
        found.append(
            Problem(
                what=f"the stack {stack.name} has not been deployed",
                why="its secrets do not exist yet",
                mend="run `pulumi up` first",
                example=f"make up STACK={stack.name}",
            )
        )
    return found


def _passphrase() -> str:
    file = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    return Path(file).read_text().strip() if file else os.environ.get("PULUMI_CONFIG_PASSPHRASE", "")
