"""Deploy a former commit again. Its images are still on the host; data stays as it is."""

import json
import shutil
import subprocess
from pathlib import Path

from model.problem import Problem, Refused
from operations.revision import commit_of
from operations.stack import PROJECT, Stack, output

_SHARED = (".lab", ".venv")
"""What a commit does not hold and the program needs."""


def rollback(stack: Stack, commit: str = "") -> int:
    """Run `pulumi up` from `commit`, or from the commit deployed before the present one; pulumi's exit code."""
    commit = commit_of(commit or _previous(stack), example=f"make rollback STACK={stack.name} COMMIT=HEAD~1")
    directory = PROJECT / ".vpai" / "rollback" / commit
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit], cwd=PROJECT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=directory, input=archive, check=True)
    for name in _SHARED:
        if (PROJECT / name).exists() and not (directory / name).exists():
            (directory / name).symlink_to(PROJECT / name)
    print(f"deploying {output(['git', 'log', '-1', '--format=%h %s', commit]).strip()}", flush=True)
    try:
        return stack.pulumi_live("up", "--yes", "--skip-preview", "--message", f"rollback to {commit}", directory=Path(directory))
    finally:
        shutil.rmtree(directory)


def _previous(stack: Stack) -> str:
    """The commit of the newest successful update that differs from the one deployed now."""
    history = json.loads(stack.pulumi("stack", "history", "--json"))
    commits = [
        _commit(update)
        for update in history
        if update["kind"] == "update" and update["result"] == "succeeded" and _commit(update)
    ]
    for commit in commits:
        if commit != commits[0]:
            return commit
    raise Refused(
        [
            Problem(
                what=f"the history of {stack.name} knows no earlier commit",
                why="there is nothing to go back to",
                mend="name the commit",
                example=f"make rollback STACK={stack.name} COMMIT=HEAD~1",
            )
        ]
    )


def _commit(update: dict[str, dict[str, str]]) -> str:
    """The commit an update deployed: what a rollback says in its message, else the checkout's head."""
    message = str(update.get("message", ""))
    if message.startswith("rollback to "):
        return message.removeprefix("rollback to ")
    return update.get("environment", {}).get("git.head", "")
