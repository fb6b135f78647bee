"""Shell that runs on hosts, run here: the real script, with programs of the test's before all others on its PATH."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from components.host_script import SCRIPTS, text


def stub(directory: Path, name: str, body: str) -> None:
    """A program `name` in `directory`, of `body` in bash; each call is a line in `directory`/calls."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f'#!/bin/bash\necho "{name} $*" >>"{directory}/calls"\n{body}\n')
    path.chmod(0o755)


def calls(directory: Path) -> list[str]:
    """What the programs of `stub` were called with, in order."""
    path = directory / "calls"
    return path.read_text().splitlines() if path.exists() else []


def run(
    script: str, *arguments: str, payload: str = "", programs: Path, environment: Mapping[str, str] | None = None, body: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `script` of components/scripts as `HostScript` does, its text and then `payload` on stdin; `body` in its place."""
    return subprocess.run(
        ["bash", "-s", "--", *arguments],
        input=(body or text(script)) + payload,
        env={**os.environ, **(environment or {}), "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def moved(script: str, **places: str) -> str:
    """The text of `script` with paths of a host replaced by others: each keyword's text is `old=new`."""
    found = (SCRIPTS / script).read_text()
    for change in places.values():
        old, _, new = change.partition("=")
        assert old in found, f"{script} has no {old}"
        found = found.replace(old, new)
    return found
