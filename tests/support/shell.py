"""Runs the hosts' shell scripts here: the real script, with its paths below a directory and stub programs on its PATH."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from components.ssh.host_script import text


def stub(directory: Path, name: str, body: str = "") -> None:
    """Create a program `name` in `directory` with `body` in bash; each call appends a line to `directory`/calls."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f'#!/bin/bash\necho "{name} $*" >>"{directory}/calls"\n{body}\n')
    path.chmod(0o755)


def calls(directory: Path) -> list[str]:
    """The calls of the programs of `stub`, in order."""
    path = directory / "calls"
    return path.read_text().splitlines() if path.exists() else []


def run(
    script: str, *arguments: str, payload: str = "", programs: Path, below: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `script` of components/scripts as a host does, with `payload` on stdin; `below` replaces the host's root directory."""
    words = text(script) if below is None else _moved(script, below, programs)
    return subprocess.run(
        ["bash", "-s", "--", *arguments],
        input=words + payload,
        env=_environment(programs),
        capture_output=True,
        text=True,
        timeout=60,
    )


def _moved(script: str, below: Path, programs: Path) -> str:
    found = text(script)
    for old, new in (("/usr/local/sbin", programs), *((place, f"{below}{place}") for place in ("/etc/", "/var/lib/", "/run/"))):
        found = found.replace(old, str(new))
    for place in ("etc", "var/lib", "run/lock"):
        (below / place).mkdir(parents=True, exist_ok=True)
    return found


def _environment(programs: Path) -> Mapping[str, str]:
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
