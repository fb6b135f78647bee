"""The host key that a new server starts with, made before the server is: whoever answers the first contact has to show it.

Dynamic, because no provider that can be had here makes SSH keys. The module's path is part of the state (the engine imports
the provider by name): moving it breaks `destroy`.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider


class HostKeyProvider(ResourceProvider):
    """Runs ssh-keygen once; what it made stays in the state."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "key"
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
            private, public = path.read_text(), path.with_suffix(".pub").read_text().strip()
        return CreateResult(id_=props["host"], outs={**props, "private": private, "public": public})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        changed = _olds["host"] != _news["host"]
        return DiffResult(changes=changed, replaces=["host"] if changed else [])


class HostKey(Resource, module="hetzner", name="HostKey"):
    """`private` is a secret; `public` is what known_hosts pins."""

    private: pulumi.Output[str]
    public: pulumi.Output[str]

    def __init__(self, name: str, *, host: str, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["private"])
        super().__init__(
            HostKeyProvider(),
            name,
            {"host": host, "private": None, "public": None},
            pulumi.ResourceOptions.merge(opts, secret),
        )
