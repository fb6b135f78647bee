"""Files under a git ref of their own at a remote, as one commit without history. No branch shows them, no clone fetches them."""

import re
import shutil
from pathlib import Path

from operations.stack import output

_NAME = re.compile(r"[a-z][a-z.-]*")
_WHO = ("-c", "user.name=vpai", "-c", "user.email=vpai@localhost")


def put(directory: Path, ref: str, remote: str) -> None:
    """Push the files of `directory` as `ref`; replaces its former content."""
    listed = [
        f"100644 blob {output(['git', 'hash-object', '-w', '--no-filters', str(path)]).strip()}\t{path.name}\n"
        for path in sorted(directory.iterdir())
    ]
    tree = output(["git", "mktree"], "".join(listed)).strip()
    commit = output(["git", *_WHO, "commit-tree", tree, "-m", ref]).strip()
    output(["git", "push", "--quiet", remote, f"+{commit}:{ref}"])


def take(ref: str, directory: Path, remote: str) -> bool:
    """Write the files of `ref` into `directory`; replaces its former content. False when the remote has no such ref."""
    shutil.rmtree(directory, ignore_errors=True)
    if not output(["git", "ls-remote", remote, ref]).strip():
        return False
    output(["git", "fetch", "--quiet", "--depth", "1", remote, f"+{ref}:{ref}"])
    directory.mkdir(parents=True)
    for name in output(["git", "ls-tree", "--name-only", ref]).split():
        if not _NAME.fullmatch(name):
            continue  # not written by `put`: somebody else's tree may name a file outside `directory`
        (directory / name).write_text(output(["git", "show", f"{ref}:{name}"]))
    return True


def drop(ref: str, remote: str) -> None:
    """Delete `ref` at the remote."""
    output(["git", "push", "--quiet", remote, f":{ref}"])
    output(["git", "update-ref", "-d", ref])
