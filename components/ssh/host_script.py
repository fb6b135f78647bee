"""Scripts that run on a host over its SSH alias, with secrets and files on stdin."""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pulumi
import pulumi_command

from components import ssh

SCRIPTS = Path(__file__).parents[1] / "scripts"


@dataclass(frozen=True, kw_only=True)
class SshHost:
    """Address of a host: its alias in the ssh_config at `config` (relative to the project, the same on every machine)."""

    alias: str
    config: str
    new: bool = False
    """Open a new connection for each command: this proves that a login still works."""

    @property
    def as_handed_over(self) -> "SshHost":
        """The same machine as the provider handed it over."""
        return replace(self, alias=ssh.first_alias(self.alias))

    def command(self, arguments: Sequence[str]) -> tuple[str, ...]:
        """The argument vector that runs a script from stdin as root. The script's own input follows its text."""
        return ssh.command(self.config, self.alias, ("sh", "-c", _AS_ROOT, "sh", *arguments), new=self.new)

    def run(
        self, script: str, arguments: Sequence[str], payload: str = "", *, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of components/scripts now; after `seconds` it fails, and the error says so."""
        command = self.command(arguments)
        try:
            return subprocess.run(command, input=text(script) + payload, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, NO_ANSWER, "", f"no answer within {seconds:.0f} s")


NO_ANSWER = 255
"""ssh's own exit code when it cannot connect."""

# On some images the provider's root has no sudo.
_AS_ROOT = '[ "$(id -u)" = 0 ] && exec bash -s -- "$@"; exec sudo -n bash -s -- "$@"'


def text(script: str) -> str:
    """The text of a script in components/scripts, with `exit` at its end: bash does not run a payload that was not read."""
    return (SCRIPTS / script).read_text().rstrip("\n") + "; exit\n"


class HostScript(pulumi_command.local.Command):
    """A script of components/scripts as a resource: `create` at first and at each change, `delete` at the end.

    The script reads `payload` from stdin; the payload may be secret, the arguments may not. With `first_contact` the machine may
    be as its provider handed it over. Where nothing is to be undone at the end, `stays` says why.
    """

    def __init__(
        self,
        name: str,
        host: SshHost,
        script: str,
        create: pulumi.Input[Sequence[str]],
        *,
        delete: Sequence[str] = (),
        stays: str = "",
        payload: pulumi.Input[str] = "",
        triggers: Sequence[pulumi.Input[str]] = (),
        first_contact: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            name,
            create=pulumi.Output.from_input(create).apply(
                lambda arguments: _first_contact(host, arguments) if first_contact else shlex.join(host.command(arguments))
            ),
            delete=shlex.join(host.command(delete)) if delete else nothing_to_undo(stays),
            stdin=pulumi.Output.from_input(payload).apply(lambda payload: text(script) + payload),
            triggers=list(triggers) or None,
            logging=pulumi_command.local.Logging.STDERR,
            add_previous_output_in_env=False,
            opts=opts,
        )


def nothing_to_undo(reason: str) -> str:
    """A command that does nothing and gives the reason: shown when the resource is deleted, and in its state."""
    return shlex.join([":", reason])


def _first_contact(host: SshHost, arguments: Sequence[str]) -> str:
    known = shlex.join(ssh.command(host.config, host.alias, ("true",)))
    first = host.as_handed_over
    return (
        f"if {known} </dev/null 2>/dev/null; then exec {shlex.join(host.command(arguments))}; "
        f"else exec {shlex.join(first.command(arguments))}; fi"
    )
