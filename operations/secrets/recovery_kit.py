"""The recovery kit: what a restore needs and no backup holds, encrypted to a public age key.

The private key is not on this machine; any `age -d -i KEY kit.age` opens the kit. A kit counts only after it has opened the
state.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage

from model.problem import Problem, Refused, refuse
from operations.secrets.kit_repositories import closed_repositories, repositories
from operations.stack import PROJECT, CommandFailed, Stack, output

PASSPHRASE, FILE = "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"


def write_recovery_kit(stack: Stack, recipient: str, path: Path) -> None:
    """Encrypt the passphrase and every irreplaceable secret of `stack` to `recipient`, and write them to `path`."""
    to = _recipient(stack, recipient)
    refuse(_problems(stack))
    kit = _contents(stack)
    refuse(_unopened(kit, _values(stack, kit["passphrase"])))
    written = datetime.now(UTC).isoformat(timespec="seconds")
    sealed = pyrage.encrypt(json.dumps({**kit, "written": written}, indent=2).encode(), [to])
    path.write_bytes(sealed)
    note = _note(stack)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"written": written, "contents": _fingerprint(kit), "file": hashlib.sha256(sealed).hexdigest()}))
    print(f"{path}: the passphrase and {len(kit['secrets'])} secrets, sealed. Keep a copy away from every host of the fleet.")


def stale(stack: Stack, path: Path) -> str:
    """Why the kit at `path` is out of date; empty when it holds the stack's present values."""
    if not _note(stack).exists():
        return "nothing here says what it holds"
    note = json.loads(_note(stack).read_text())
    if note["file"] != hashlib.sha256(path.read_bytes()).hexdigest():
        return "it is not the file that was sealed last"
    if note["contents"] != _fingerprint(_contents(stack)):
        return f"the passphrase, a secret or a repository has changed since {note['written']}"
    return ""


def check_recovery_kit(stack: Stack, path: Path, key: str) -> None:
    """Decrypt the kit at `path` with the private key in the file `key`, and open each repository and the state with its content.

    A kit that `age -d` has decrypted elsewhere needs no key. Raises `Refused` for what cannot be opened, or does not fit the
    state.
    """
    kit = opened(path, key)
    # Repositories come first: they also open on the day when the state is lost.
    closed = closed_repositories(kit.get("backups", ()))
    if kit["stack"] != stack.name:
        refuse([_useless(path, f"it is of the stack {kit['stack']}, not of {stack.name}")])
    try:
        values = _values(stack, kit["passphrase"])
    except CommandFailed as error:
        last = str(error).splitlines()[-1]
        raise Refused([_useless(path, f"the state of {stack.name} cannot be opened with its passphrase: {last}")]) from None
    refuse(_unopened(kit, values))
    refuse([_useless(path, f"{len(closed)} repositories cannot be restored from it: {', '.join(closed)}")] if closed else [])
    held = f"its passphrase opens the state, and its {len(kit['secrets'])} secrets are the state's"
    print(f"{path}, written {kit['written']}: {held}.")


def passphrase(environment: Mapping[str, str]) -> str:
    """The passphrase that the engine uses: PULUMI_CONFIG_PASSPHRASE if it is set, even if empty; else the content of the file.

    Source: pulumi v3.259.0, pkg/secrets/passphrase/manager.go, readPassphrase.
    """
    if PASSPHRASE in environment:
        return environment[PASSPHRASE]
    file = environment.get(FILE)
    try:
        return Path(file).read_text().strip() if file else ""
    except (OSError, UnicodeDecodeError) as error:
        refuse(
            [
                Problem(
                    what=f"{FILE} is {file}, which cannot be read: {error}",
                    why="nothing of the stack's secrets can be opened",
                    fix="name the file that holds the passphrase",
                    example=f"export {FILE}=~/.config/vpai/prod.passphrase",
                )
            ]
        )
        raise AssertionError("refused above") from None


def _values(stack: Stack, with_passphrase: str) -> Mapping[str, Any]:
    """The secrets of the state, decrypted by the engine with that passphrase and no other."""
    environment = {name: value for name, value in os.environ.items() if name != FILE} | {PASSPHRASE: with_passphrase}
    words = ["pulumi", "stack", "output", "--json", "--show-secrets", "--stack", stack.name, "--non-interactive"]
    found: Mapping[str, Any] = json.loads(output(words, environment=environment)).get("secrets", {})
    return found


def _unopened(kit: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Problem]:
    """Each secret of the kit whose value is not the state's."""
    for name, secret in kit["secrets"].items():
        if values.get(name) != secret["value"]:
            yield Problem(
                what=f"{name} is another one in the state than in the kit",
                why=secret["why"],
                fix="seal a new kit, and replace each copy of the former one",
                example=f"make recovery-kit STACK={kit['stack']} RECIPIENT=age1...",
            )


def _contents(stack: Stack) -> dict[str, Any]:
    secrets = stack.secrets
    kept = [placement.backup for placement in stack.inputs.fleet.placements if placement.backup]
    passwords = {to.password.name: stack.secret(to.password.name) for to in kept}
    return {
        "stack": stack.name,
        "passphrase": passphrase(os.environ),
        "secrets": {name: {"value": secrets[name], "why": why} for name, why in stack.outputs["irreplaceable"].items()},
        "backups": repositories(kept, {**stack.inputs.external, **passwords}),
        "how": f"set {PASSPHRASE}, restore the state (or set vpai:kept), then the data; docs/runbooks/restore.md",
    }


def _fingerprint(kit: Mapping[str, Any]) -> str:
    """Identifies a kit. It reveals nothing, since random secrets are part of its input."""
    return hashlib.sha256(json.dumps(kit, sort_keys=True).encode()).hexdigest()


def _note(stack: Stack) -> Path:
    return PROJECT / ".vpai" / stack.name / "recovery-kit.json"


def opened(path: Path, key: str) -> Mapping[str, Any]:
    """The kit's content; raises `Refused` when the private key in the file `key` does not decrypt it."""
    try:
        data = path.read_bytes()
        if not data.startswith(b"{"):
            refuse([] if key else [_no_key(path)])
            lines = (line.strip() for line in Path(key).read_text().splitlines())
            identities = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
            data = pyrage.decrypt(data, identities)
        kit: Mapping[str, Any] = json.loads(data)
        if not {"stack", "passphrase", "secrets", "written"} <= kit.keys():
            raise ValueError("it holds something else")
    except OSError as error:
        raise Refused([_useless(path, f"{error.filename} cannot be read: {error.strerror}")]) from None
    except (pyrage.IdentityError, UnicodeDecodeError):
        raise Refused([_useless(path, f"{key} is no file with an age key (AGE-SECRET-KEY-1...)")]) from None
    except pyrage.DecryptError as error:
        raise Refused([_useless(path, f"{key} does not open it: {error}")]) from None
    except (ValueError, AttributeError):
        raise Refused([_useless(path, "what is in it is no recovery kit")]) from None
    return kit


def _no_key(path: Path) -> Problem:
    return Problem(
        what=f"{path} is sealed, and no key is named",
        why="only the private half of the recipient's key opens it",
        fix="name the file of the key; or open the kit where the key is, and check what came out of it",
        example=f"make recovery-kit CHECK={path} KEY=recovery.key",
    )


def _useless(path: Path, said: str) -> Problem:
    return Problem(
        what=f"{path} is of no use: {said}",
        why="a restore after the loss of the state would stand on it",
        fix="check another copy, or seal a new kit while the stack stands, and replace each copy",
        example="make recovery-kit RECIPIENT=age1... && make recovery-kit CHECK=recovery-kit-prod.age KEY=recovery.key",
    )


def _recipient(stack: Stack, recipient: str) -> pyrage.x25519.Recipient:
    example = f"age-keygen -o recovery.key; pulumi config set -s {stack.name} vpai:recoveryRecipient age1..."
    fix = "make a key pair off this machine and set its public half"
    if not recipient:
        why = "without the kit a lost state means n8n's credentials and LiteLLM's keys are unreadable for ever"
        refuse([Problem(what="nobody to seal the recovery kit to", why=why, fix=fix, example=example)])
    try:
        return pyrage.x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError:
        secret = recipient.upper().startswith("AGE-SECRET-KEY-")
        what = "RECIPIENT is a private key" if secret else f"RECIPIENT is {recipient[:80]!r}, which is no public age key"
        why = "whoever reads this terminal can open the kit now" if secret else "nobody could open what is sealed to it"
        raise Refused([Problem(what=what, why=why, fix=fix, example=example)]) from None


def _problems(stack: Stack) -> Iterator[Problem]:
    if not passphrase(os.environ):
        yield Problem(
            what="the passphrase is unknown to this shell",
            why="it is the first thing a restore needs",
            fix=f"set {PASSPHRASE} or {FILE}",
        )
