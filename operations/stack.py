"""A stack as the Pulumi CLI and the hosts show it."""

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
    """A command that had to succeed did not; carries what it printed."""


@dataclass(frozen=True)
class Stack:
    """One stack, by name."""

    name: str

    def pulumi(self, *arguments: str, stdin: str | None = None) -> str:
        """What `pulumi ARGUMENTS --stack NAME` prints; raises `CommandFailed` with its errors."""
        return output(["pulumi", *arguments, "--stack", self.name, "--non-interactive"], stdin)

    def pulumi_live(self, *arguments: str, directory: Path = PROJECT, environment: Mapping[str, str] | None = None) -> int:
        """Run pulumi on the operator's terminal, with `environment` besides our own; its exit code.

        Ctrl-C is for pulumi, which ends in order then: this program waits for it.
        """
        words = ["pulumi", *arguments, "--stack", self.name]
        former = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            return subprocess.run(words, cwd=directory, env={**os.environ, **(environment or {})}).returncode
        finally:
            signal.signal(signal.SIGINT, former)

    @cached_property
    def profile(self) -> Profile:
        """What follows from its kind; raises `Refused` where its file says none."""
        return profile(self.name, PROJECT)

    @cached_property
    def inputs(self) -> inputs.Inputs:
        """The inputs of the program as it would read them now; raises `Refused` first for a state that nothing may be run on."""
        there = self.standing()
        refuse(problems(there) if there else ())
        entries = json.loads(self.pulumi("config", "--json", "--show-secrets"))
        raw = {key.removeprefix("vpai:"): entry["value"] for key, entry in entries.items() if key.startswith("vpai:")}
        encrypted = {key.removeprefix("vpai:") for key, entry in entries.items() if entry["secret"]}
        found = inputs.read(self.name, raw, encrypted, PROJECT)
        refuse(of_settings(there, found.fleet.project, guarded=found.profile.guarded) if there else ())
        return found

    def standing(self) -> Standing | None:
        """Where the state lies and how it is; None where that cannot be seen from here."""
        return standing(self.name, project=PROJECT)

    @cached_property
    def machines(self) -> Mapping[str, SshHost]:
        """Every host of the stack by name, those switched off too, with an ssh_config that fits them."""
        config = client_config(self.inputs, PROJECT)
        if self.inputs.rents:
            from stacks import rented

            rented.note(self.inputs, PROJECT / Path(config).parent)
        names = [host.name for host in self.inputs.fleet.hosts]
        return {name: SshHost(alias=name, config=config) for name in names}

    @property
    def placements(self) -> tuple[Placement, ...]:
        """What stands on each host that is switched on and has services."""
        return tuple(placement for placement in self.inputs.fleet.placements if placement.services and not placement.host.offline)

    @property
    def hosts(self) -> tuple[SshHost, ...]:
        """The hosts of `placements`."""
        return tuple(self.machines[placement.host.name] for placement in self.placements)

    @cached_property
    def outputs(self) -> Mapping[str, Any]:
        """The stack's outputs, secrets in plain text; none of a stack of which no `up` has come to its end."""
        found: Mapping[str, Any] = json.loads(self.pulumi("stack", "output", "--json", "--show-secrets"))
        return found

    @property
    def secrets(self) -> Mapping[str, str]:
        """The values of all generated secrets; raises `Refused` for a stack that was never deployed whole."""
        if "secrets" not in self.outputs:
            refuse([_not_deployed(self.name)])
        found: Mapping[str, str] = self.outputs["secrets"]
        return found

    def secret(self, name: str) -> str:
        """The value of a generated secret; raises `Refused` for one that the next `up` is still to make."""
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
    """What `command` prints on `host`; raises `CommandFailed` with its errors."""
    return output(ssh.command(host.config, host.alias, command), stdin)


def output(
    command: Sequence[str], stdin: str | None = None, environment: Mapping[str, str] = os.environ, *, apart: bool = False
) -> str:
    """What `command` prints; raises `CommandFailed` with its errors. Where it runs `apart`, a Ctrl-C does not reach it."""
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
