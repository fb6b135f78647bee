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

from components.difference import difference

HOST_KEY_LABEL = "vpai.host-key"
_PREFIX = "AAAAC3NzaC1lZDI1NTE5AAAAI"
"""Of every Ed25519 key (the length and name of its kind); 43 characters follow."""


def host_key_label(public: str) -> str:
    """A public Ed25519 key as a label's value: URL-safe, and between letters, because a dash may not be the first or last."""
    return f"k{public.split()[1].removeprefix(_PREFIX).replace('+', '-').replace('/', '_')}k"


def labelled_host_key(label: str) -> str:
    """The public key that `host_key_label` made the label of."""
    return f"ssh-ed25519 {_PREFIX}{label[1:-1].replace('-', '+').replace('_', '/')}"


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
        return difference(_olds, _news, ("host",), replaces=("host",))


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
