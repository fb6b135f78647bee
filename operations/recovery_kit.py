"""The recovery kit: what a restore needs and no backup holds, sealed to a public age key.

Its private half stays off this machine; any `age -d -i KEY kit.age` opens it.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pyrage

from model.problem import Problem, refuse
from operations.kit_repositories import repositories
from operations.stack import Stack


def write_recovery_kit(stack: Stack, recipient: str, path: Path) -> None:
    """Seal the passphrase and every irreplaceable secret of `stack` to `recipient` and write them to `path`."""
    refuse(_problems(stack, recipient))
    secrets = stack.outputs["secrets"]
    kept = (placement.backup for placement in stack.inputs.fleet.placements if placement.backup)
    kit = {
        "stack": stack.name,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "passphrase": _passphrase(),
        "secrets": {name: {"value": secrets[name], "why": why} for name, why in stack.outputs["irreplaceable"].items()},
        "backups": repositories(kept, {**secrets, **stack.inputs.external}),
        "how": "set PULUMI_CONFIG_PASSPHRASE, restore the state (or set vpai:kept), then the data; docs/runbooks/restore.md",
    }
    sealed = pyrage.encrypt(json.dumps(kit, indent=2).encode(), [pyrage.x25519.Recipient.from_str(recipient)])
    path.write_bytes(sealed)
    print(f"{path}: the passphrase and {len(kit['secrets'])} secrets, sealed. Keep a copy away from every host of the fleet.")


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
