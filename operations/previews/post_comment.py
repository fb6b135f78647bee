"""`make comment NUMBER=`: posts a preview's text to its pull request with GitHub's `gh`, in place of the former comment."""

import json
import os

from model.problem import Problem, refuse
from operations.deploy.preview_text import MARK
from operations.stack import output

_LONGEST = 65_000
"""Characters; GitHub refuses a comment of more than 65536."""
_OURS = f'.[] | select(.user.type == "Bot" and (.body | startswith("{MARK}"))) | .id'


def publish(number: int, text: str) -> None:
    """Update the comment that begins with our mark, or create it."""
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    if not repository:
        refuse(
            [
                Problem(
                    what="GITHUB_REPOSITORY is not set",
                    why="it says where the pull request is; a workflow of GitHub has it",
                    fix="name the repository",
                    example="make preview-pull-request | GITHUB_REPOSITORY=owner/name make comment NUMBER=12",
                )
            ]
        )
    of = f"repos/{repository}/issues"
    found = output(["gh", "api", "--paginate", f"{of}/{number}/comments", "--jq", _OURS]).split()
    where = ["PATCH", f"{of}/comments/{found[0]}"] if found else ["POST", f"{of}/{number}/comments"]
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST].rpartition(chr(10))[0]}\n\n... and more: the whole text is in the job's summary\n"
    output(["gh", "api", "--silent", "--method", *where, "--input", "-"], json.dumps({"body": text}))
