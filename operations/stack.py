"""A stack as the Pulumi CLI and the hosts show it."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from components import ssh
from components.docker_host import LABEL_STACK
from components.host_script import SshHost
from model.placement import Placement
from model.problem import refuse
from operations.standing import Standing, problems, standing
from stacks import inputs
from stacks.deployment import client_config

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
        """Run pulumi on the operator's terminal, with `environment` besides our own; its exit code."""
        words = ["pulumi", *arguments, "--stack", self.name]
        return subprocess.run(words, cwd=directory, env={**os.environ, **(environment or {})}).returncode

    @cached_property
    def inputs(self) -> inputs.Inputs:
        """The inputs of the program as it would read them now; raises `Refused` first for a state that nothing may be run on."""
        there = self.standing()
        refuse(problems(there) if there else ())
        entries = json.loads(self.pulumi("config", "--json", "--show-secrets"))
        raw = {key.removeprefix("vpai:"): entry["value"] for key, entry in entries.items() if key.startswith("vpai:")}
        encrypted = {key.removeprefix("vpai:") for key, entry in entries.items() if entry["secret"]}
        return inputs.read(self.name, raw, encrypted, PROJECT)

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
        """The stack's outputs, secrets in plain text."""
        found: Mapping[str, Any] = json.loads(self.pulumi("stack", "output", "--json", "--show-secrets"))
        return found

    def containers(self, host: SshHost) -> list[Mapping[str, Any]]:
        """`docker inspect` of every container of this stack on `host`, running or not."""
        ids = on_host(host, ["docker", "ps", "-aq", "--no-trunc", "--filter", f"label={LABEL_STACK}={self.name}"]).split()
        found: list[Mapping[str, Any]] = json.loads(on_host(host, ["docker", "inspect", *ids])) if ids else []
        return found


def on_host(host: SshHost, command: Sequence[str], stdin: str | None = None) -> str:
    """What `command` prints on `host`; raises `CommandFailed` with its errors."""
    return output(ssh.command(host.config, host.alias, command), stdin)


def output(command: Sequence[str], stdin: str | None = None, environment: Mapping[str, str] = os.environ) -> str:
    """What `command` prints; raises `CommandFailed` with its errors."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=PROJECT, env=environment)
    if done.returncode:
        raise CommandFailed(
            f"{command[0]} {command[1] if len(command) > 1 else ''} failed:\n{(done.stderr or done.stdout).strip()}"
        )
    return done.stdout
