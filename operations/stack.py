"""A stack, through the Pulumi CLI and the hosts."""

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from components import ssh
from components.docker.docker_host import LABEL_STACK
from components.ssh.host_script import SshHost
from model.kind import Profile
from model.placement import Placement
from model.problem import Problem, refuse
from stacks import inputs
from stacks.deployment import client_config
from stacks.kinds import profile
from stacks.standing import Standing, of_settings, problems, standing

PROJECT = Path(__file__).parent.parent


class CommandFailed(Exception):
    """A required command failed; carries its output."""


@dataclass(frozen=True)
class Stack:
    """One stack, by name."""

    name: str

    def pulumi(self, *arguments: str, stdin: str | None = None) -> str:
        """The output of `pulumi ARGUMENTS --stack NAME`; raises `CommandFailed` with its errors."""
        return output(["pulumi", *arguments, "--stack", self.name, "--non-interactive"], stdin)

    def pulumi_live(self, *arguments: str, directory: Path = PROJECT, environment: Mapping[str, str] | None = None) -> int:
        """Run pulumi on the operator's terminal, with `environment` added to our own; returns its exit code.

        Ctrl-C goes to pulumi, which then ends in order; this program waits for it.
        """
        words = ["pulumi", *arguments, "--stack", self.name]
        former = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            return subprocess.run(words, cwd=directory, env={**os.environ, **(environment or {})}).returncode
        finally:
            signal.signal(signal.SIGINT, former)

    @cached_property
    def profile(self) -> Profile:
        """The profile of the stack's kind; raises `Refused` when its file names no kind."""
        return profile(self.name, PROJECT)

    @cached_property
    def inputs(self) -> inputs.Inputs:
        """The program's inputs as it would read them now; raises `Refused` first for a state that no run may use."""
        state = self.standing()
        refuse(problems(state) if state else ())
        entries = json.loads(self.pulumi("config", "--json", "--show-secrets"))
        raw = {key.removeprefix("vpai:"): entry["value"] for key, entry in entries.items() if key.startswith("vpai:")}
        encrypted = {key.removeprefix("vpai:") for key, entry in entries.items() if entry["secret"]}
        found = inputs.read(self.name, raw, encrypted, PROJECT)
        refuse(of_settings(state, found.fleet.project, guarded=found.profile.guarded) if state else ())
        return found

    def standing(self) -> Standing | None:
        """Place and condition of the state; None when that cannot be seen from here."""
        return standing(self.name, project=PROJECT)

    @cached_property
    def machines(self) -> Mapping[str, SshHost]:
        """Every host of the stack by name, switched off or not, with an ssh_config for all."""
        config = client_config(self.inputs, PROJECT)
        if self.inputs.rents:
            from stacks import rented

            rented.note(self.inputs, PROJECT / Path(config).parent)
        names = [host.name for host in self.inputs.fleet.hosts]
        return {name: SshHost(alias=name, config=config) for name in names}

    @property
    def placements(self) -> tuple[Placement, ...]:
        """Placements of the hosts that are switched on and have services."""
        return tuple(placement for placement in self.inputs.fleet.placements if placement.services and not placement.host.offline)

    @property
    def hosts(self) -> tuple[SshHost, ...]:
        """The hosts of `placements`."""
        return tuple(self.machines[placement.host.name] for placement in self.placements)

    @cached_property
    def outputs(self) -> Mapping[str, Any]:
        """The stack's outputs, secrets in plain text; empty before the first complete `up`."""
        found: Mapping[str, Any] = json.loads(self.pulumi("stack", "output", "--json", "--show-secrets"))
        return found

    @property
    def secrets(self) -> Mapping[str, str]:
        """The values of all generated secrets; raises `Refused` before the first complete `up`."""
        if "secrets" not in self.outputs:
            refuse([_not_deployed(self.name)])
        found: Mapping[str, str] = self.outputs["secrets"]
        return found

    def secret(self, name: str) -> str:
        """The value of a generated secret; raises `Refused` when the next `up` has yet to create it."""
        if name not in self.secrets:
            refuse([_not_made(self.name, name)])
        return str(self.secrets[name])

    def containers(self, host: SshHost) -> list[Mapping[str, Any]]:
        """`docker inspect` of every container of this stack on `host`, running or not."""
        ids = on_host(host, ["docker", "ps", "-aq", "--no-trunc", "--filter", f"label={LABEL_STACK}={self.name}"]).split()
        found: list[Mapping[str, Any]] = json.loads(on_host(host, ["docker", "inspect", *ids])) if ids else []
        return found


def _not_made(stack: str, secret: str) -> Problem:
    return Problem(
        what=f"the stack {stack} has no {secret} yet",
        why="the code asks for it, and the code that is deployed did not",
        fix="deploy first",
        example=f"make up STACK={stack}",
    )


def _not_deployed(stack: str) -> Problem:
    return Problem(
        what=f"the stack {stack} has not been deployed, or no up of it has ever come to its end",
        why="its secrets do not exist yet",
        fix="deploy it; where that fails, what stands is said by `make state`",
        example=f"make up STACK={stack}",
    )


def on_host(host: SshHost, command: Sequence[str], stdin: str | None = None) -> str:
    """The output of `command` on `host`; raises `CommandFailed` with its errors."""
    return output(ssh.command(host.config, host.alias, command), stdin)


def output(
    command: Sequence[str], stdin: str | None = None, environment: Mapping[str, str] = os.environ, *, apart: bool = False
) -> str:
    """The output of `command`; raises `CommandFailed` with its errors. With `apart`, Ctrl-C does not reach the command."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, cwd=PROJECT, env=environment, start_new_session=apart
        )
    except FileNotFoundError:
        raise CommandFailed(f"{command[0]} is not installed on this machine; this project's own: make venv engine") from None
    if done.returncode:
        raise CommandFailed(
            f"{command[0]} {command[1] if len(command) > 1 else ''} failed:\n{(done.stderr or done.stdout).strip()}"
        )
    return done.stdout
