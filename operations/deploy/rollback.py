"""Deploys a former commit's code with the present configuration. Its images are still on the host; data is not touched.

From the commit come the code and its image lock. From the present come the stack's file (secrets, rotations, what is done with
data, addresses), and the files that say who may log in, which host keys are right, and who signs (docs/adr/0060).
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from model.problem import Problem, refuse
from model.settings import Settings
from operations.deploy.revision import commit_of, commit_of_update
from operations.deploy.terminal import Terminal, of_up
from operations.deploy.up import Code, up
from operations.stack import PROJECT, Stack, output
from stacks.standing import SCHEMA

_SHARED = (".lab", ".venv")
"""Directories that git does not hold and the program needs."""


def rollback(stack: Stack, commit: str = "", may_lose: str = "", *, yes: bool = False) -> int:
    """Preview, refuse or ask once, apply, like `make up`; pulumi's exit code. Without `commit`: the one deployed before."""
    refuse(of_up(stack.name, Terminal.here(), guarded=stack.profile.guarded, yes=yes, target="rollback"))
    example = f"make rollback STACK={stack.name} COMMIT=HEAD~1"
    commit = commit_of(commit or _previous(stack, example), example=example)
    directory = PROJECT / ".vpai" / "rollback" / commit
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        archive = subprocess.run(["git", "archive", commit], cwd=PROJECT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x"], cwd=directory, input=archive, check=True)
        for name in _SHARED:
            if (PROJECT / name).exists() and not (directory / name).exists():
                (directory / name).symlink_to(PROJECT / name)
        unknown = with_present_configuration(directory, PROJECT, stack.name, stack.inputs.settings)
        named = output(["git", "log", "-1", "--format=%h %s", commit]).strip()
        print(f"the code of {named}, with the present configuration", flush=True)
        if unknown:
            print(f"That code does not know, and so does without: {', '.join(unknown)}")
        return up(stack, may_lose, ["--yes"] if yes else [], Code(directory=directory, former=commit))
    finally:
        shutil.rmtree(directory)


def with_present_configuration(former: Path, present: Path, stack: str, settings: Settings) -> tuple[str, ...]:
    """Copy the configuration of `present` into `former`; returns the settings and secrets that the former code does not know."""
    file = f"Pulumi.{stack}.yaml"
    written: dict[str, Any] = yaml.safe_load((present / file).read_text())
    known = _known(former)
    unknown = tuple(sorted(key for key in written["config"] if key.startswith("vpai:") and not known.fullmatch(key)))
    for key in unknown:
        del written["config"][key]
    for key, name in (
        ("knownHosts", settings.known_hosts),
        ("authorizedKeys", settings.authorized_keys),
        ("certificateAuthority", settings.certificate_authority),
    ):
        if name:
            written["config"][f"vpai:{key}"] = str(present / name)
    (former / file).write_text(yaml.safe_dump(written, sort_keys=False))
    return unknown


def _known(project: Path) -> re.Pattern[str]:
    """The settings and secrets that the code of `project` knows. Those that are named after hosts are only in its schema."""
    names = yaml.safe_load((project / "Pulumi.yaml").read_text()).get("config") or {}
    schema = project / SCHEMA
    named_after_hosts = json.loads(schema.read_text())["properties"]["config"]["patternProperties"] if schema.exists() else {}
    return re.compile("|".join((*map(re.escape, names), *named_after_hosts)))


def previous(history: Iterable[Mapping[str, Any]]) -> str:
    """The commit to go back to: the newest one deployed with success, without the last one deployed; "" where there is none.

    `history` is newest first. An update that failed half-way has changed hosts too: the commit before it is the right one.
    """
    updates = [update for update in history if update["kind"] == "update" and commit_of_update(update)]
    present = commit_of_update(updates[0]) if updates else ""
    commits = (commit_of_update(update) for update in updates if update["result"] == "succeeded")
    return next((commit for commit in commits if commit != present), "")


def _previous(stack: Stack, example: str) -> str:
    commit = previous(json.loads(stack.pulumi("stack", "history", "--json")))
    if not commit:
        refuse(
            [
                Problem(
                    what=f"the history of {stack.name} knows no earlier commit",
                    why="there is nothing to go back to",
                    fix="name the commit",
                    example=example,
                )
            ]
        )
    return commit
