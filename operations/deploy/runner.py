"""`make runner`: gives a CI machine access to the fleet: an SSH key, and membership of the mesh."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from model.problem import Problem, refuse
from operations.stack import CommandFailed, Stack

_SCRIPT = Path(__file__).with_name("join_mesh.sh")
SOCKET = "/var/run/tailscale/tailscaled.sock"
"""Where the tailscale command looks for its daemon by default."""
DEPLOY_KEY, MESH_KEY = "DEPLOY_KEY", "MESH_KEY"


def prepare(stack: Stack, environment: Mapping[str, str] = os.environ) -> None:
    """Write ~/.ssh/id_ed25519 from DEPLOY_KEY and join the mesh with MESH_KEY."""
    refuse(_missing(environment))
    key = Path.home() / ".ssh" / "id_ed25519"
    key.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(environment[DEPLOY_KEY].strip() + "\n")
    if mesh := stack.inputs.fleet.mesh:
        name = f"ci-{environment.get('GITHUB_RUN_ID', 'run')}"
        command = ["bash", str(_SCRIPT), mesh.login_server, name, SOCKET]
        done = subprocess.run(command, input=environment[MESH_KEY], text=True)
        if done.returncode:
            raise CommandFailed(f"not in the mesh of {mesh.login_server}; what tailscale said stands above")


def _missing(environment: Mapping[str, str]) -> Iterator[Problem]:
    for name, what in ((DEPLOY_KEY, "the private key that deploys"), (MESH_KEY, "an ephemeral key of the mesh")):
        if not environment.get(name, "").strip():
            yield Problem(
                what=f"{name} is not set: {what}",
                why="no host can be reached from here",
                fix="set it as a secret of the environment of the workflow",
                example="docs/runbooks/workflows.md",
            )
