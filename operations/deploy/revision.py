"""Git revisions: a commit as an operator types it, and as a stack's history records it."""

from collections.abc import Mapping
from typing import Any

from model.problem import Problem, Refused
from operations.stack import CommandFailed, output


def commit_of(revision: str, example: str) -> str:
    """Full hash of the commit that `revision` names; raises `Refused` where it names none, for an option of git's above all."""
    try:
        return output(["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]).strip()
    except CommandFailed:
        raise Refused(
            [
                Problem(
                    what=f"{revision!r} is no commit of this repository",
                    why="only a commit can be deployed again or compared with",
                    fix="name one that `git log` shows, or fetch it first",
                    example=example,
                )
            ]
        ) from None


_ROLLBACK = "rollback to "


def message_of_rollback(commit: str) -> str:
    """The engine's update message for a deployment of another commit than the checkout's head."""
    return f"{_ROLLBACK}{commit}"


def commit_of_update(update: Mapping[str, Any]) -> str:
    """The commit that an update of the history deployed: from a rollback's message, else git's head."""
    message = str(update.get("message", ""))
    if message.startswith(_ROLLBACK):
        return message.removeprefix(_ROLLBACK)
    return str(update.get("environment", {}).get("git.head", ""))
