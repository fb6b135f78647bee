"""A commit: as it was typed, which git understands and nothing else does; and as an update of the stack tells it."""

from collections.abc import Mapping
from typing import Any

from model.problem import Problem, Refused
from operations.stack import CommandFailed, output


def commit_of(revision: str, example: str) -> str:
    """The commit that `revision` names, in full; raises `Refused` for what names none, an option of git's above all."""
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
    """What the engine keeps of an update whose code is not the checkout's head."""
    return f"{_ROLLBACK}{commit}"


def commit_of_update(update: Mapping[str, Any]) -> str:
    """The commit that an update of a stack's history deployed: a rollback says it in its message, else it is the head."""
    message = str(update.get("message", ""))
    if message.startswith(_ROLLBACK):
        return message.removeprefix(_ROLLBACK)
    return str(update.get("environment", {}).get("git.head", ""))
