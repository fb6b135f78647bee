"""A check before the mesh's hub is interrupted: the runner's path to the hub must not lead through the hub's relay."""

import hashlib
import shlex
from collections.abc import Sequence

import pulumi
import pulumi_command

from components.ssh.host_script import nothing_to_undo, text


class DirectPath(pulumi_command.local.Command):
    """Runs again whenever one of `guarded` changes, and before whatever depends on it; fails with the reason.

    A resource, not a hook: a hook that runs before a deletion would make a plain `pulumi destroy` impossible.
    """

    def __init__(self, name: str, *, hub: str, guarded: Sequence[object], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            name,
            create=shlex.join(["bash", "-s", "--", hub]),
            delete=nothing_to_undo("it only looks"),
            stdin=text("direct_path.sh"),
            triggers=[hashlib.sha256(repr(guarded).encode()).hexdigest()],
            logging=pulumi_command.local.Logging.STDERR,
            add_previous_output_in_env=False,
            opts=opts,
        )
