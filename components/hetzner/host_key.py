"""The host key of a new server, generated before the server: the first contact accepts only a machine that shows this key.

The resource is dynamic because no available provider makes SSH keys. The module's path is part of the state (the engine
imports the provider by name): moving the module breaks `destroy`.
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
"""Start of every Ed25519 key in base64 (length and name of the type); 43 characters follow."""


def host_key_label(public: str) -> str:
    """A public Ed25519 key as a label's value: URL-safe base64 between letters: a label may not start or end with a dash."""
    return f"k{public.split()[1].removeprefix(_PREFIX).replace('+', '-').replace('/', '_')}k"


def labelled_host_key(label: str) -> str:
    """The public key of a label that `host_key_label` made."""
    return f"ssh-ed25519 {_PREFIX}{label[1:-1].replace('-', '+').replace('_', '/')}"


class HostKeyProvider(ResourceProvider):
    """Runs ssh-keygen once; the key pair stays in the state."""

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
    """An Ed25519 key pair. `private` is a secret; `public` is what known_hosts pins."""

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
