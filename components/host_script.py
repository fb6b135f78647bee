"""Scripts that run on a host over its SSH alias, secrets and files on stdin."""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_command

from components import ssh

SCRIPTS = Path(__file__).with_name("scripts")


@dataclass(frozen=True, kw_only=True)
class SshHost:
    """How to reach a host: its alias in the ssh_config at `config` (relative to the project, the same on every machine)."""

    alias: str
    config: str

    def command(self, arguments: Sequence[str]) -> tuple[str, ...]:
        """The argument vector that runs a script, read from stdin, as root; its own stdin follows the script's text."""
        return ssh.command(self.config, self.alias, ("sudo", "bash", "-s", "--", *arguments))

    def run(
        self, script: str, arguments: Sequence[str], payload: str = "", *, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of components/scripts now; raises `subprocess.TimeoutExpired` after `seconds`."""
        return subprocess.run(
            self.command(arguments), input=text(script) + payload, capture_output=True, text=True, timeout=seconds
        )


def text(script: str) -> str:
    """The text of a script in components/scripts."""
    return (SCRIPTS / script).read_text()


class HostScript(pulumi_command.local.Command):
    """A script of components/scripts as a resource: `create` at first and at each change, `delete` at the end.

    `payload` is what the script reads from its stdin; it may be secret, the arguments may not.
    """

    def __init__(
        self,
        name: str,
        host: SshHost,
        script: str,
        create: pulumi.Input[Sequence[str]],
        *,
        delete: Sequence[str] = (),
        payload: pulumi.Input[str] = "",
        triggers: Sequence[pulumi.Input[str]] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            name,
            create=pulumi.Output.from_input(create).apply(lambda arguments: shlex.join(host.command(arguments))),
            delete=shlex.join(host.command(delete)) if delete else None,
            stdin=pulumi.Output.from_input(payload).apply(lambda payload: text(script) + payload),
            triggers=list(triggers) or None,
            logging=pulumi_command.local.Logging.STDERR,
            add_previous_output_in_env=False,
            opts=opts,
        )
