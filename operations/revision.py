"""A commit as it was typed, as git understands it and nothing else does."""

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
                    mend="name one that `git log` shows, or fetch it first",
                    example=example,
                )
            ]
        ) from None
