"""What stands behind a server: nothing in a test, a host of the lab where the cloud is the lab's own machine.

The cloud's container has the socket of the Docker engine that the lab itself stands on: it is one of the lab's machines, its
API can only be reached on the lab's network, and a watcher outside would be one more process that has to outlive `make lab`.
A server is a container like any other host of the lab, of the image `server`, configured by cloud-init from the server's own
user data and keys (NoCloud). It has the lab's label, so that `make lab-down` removes it.

Every image boots the same Debian: no other distribution can be had where the lab is built.
"""

import ipaddress
import json
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

SETTINGS = Path("/etc/lab/servers.json")
"""Written by lab/machines.py: how a host is run."""

LABEL = "vpai.lab.server"
_SEED = "var/lib/cloud/seed/nocloud"
Json = dict[str, Any]


class Machines(Protocol):
    """The computers that a cloud's servers are."""

    def boot(self, server: Json, ipv4: str) -> None:
        """Make the machine of a new server, and start it unless the server is off."""

    def power(self, server: Json, verb: str) -> None:
        """`start`, `stop` or `restart` it."""

    def remove(self, server: Json) -> None:
        """The machine and its disk are gone."""


class NoMachines:
    """Servers that exist in the API alone."""

    def boot(self, server: Json, ipv4: str) -> None: ...
    def power(self, server: Json, verb: str) -> None: ...
    def remove(self, server: Json) -> None: ...


@dataclass(frozen=True)
class LabMachines:
    """Containers on the lab's Internet. Their state is as old as the API's: what an earlier process left is removed."""

    options: tuple[str, ...]
    """Of `docker create`, for any host of the lab."""
    image: str
    prefix: str
    """Of the containers' names."""
    resolvers: Path
    """A directory that the engine's own machine has at the same path, for each server's resolv.conf."""
    nameserver: str
    network_v6: str

    @classmethod
    def of_settings(cls, path: Path = SETTINGS) -> "LabMachines":
        known = json.loads(path.read_text())
        machines = cls(
            options=tuple(known["options"]),
            image=known["image"],
            prefix=known["prefix"],
            resolvers=Path(known["resolvers"]),
            nameserver=known["nameserver"],
            network_v6=known["network_v6"],
        )
        mine = ("--filter", f"name=^{machines.prefix}", "--filter", f"label={LABEL}")
        for left in _docker("ps", "--all", "--quiet", *mine).split():
            _docker("rm", "--force", "--volumes", left)
        return machines

    def boot(self, server: Json, ipv4: str) -> None:
        container = self._container(server)
        resolver = self.resolvers / container
        resolver.write_text(f"nameserver {self.nameserver}\n")
        last = int(ipaddress.IPv4Address(ipv4)) & 0xFF
        _docker(
            *("create", "--name", container, "--hostname", server["name"], "--label", f"{LABEL}={server['id']}"),
            *("--ip", ipv4, "--ip6", str(ipaddress.IPv6Network(self.network_v6)[last])),
            *("--volume", "/var/lib/docker", "--mount", f"type=bind,source={resolver},target=/etc/resolv.conf"),
            *self.options,
            self.image,
        )
        _docker("cp", "-", f"{container}:/", data=_archive(_seed(server)))
        if server["status"] == "running":
            _docker("start", container)

    def power(self, server: Json, verb: str) -> None:
        _docker(verb, self._container(server))

    def remove(self, server: Json) -> None:
        _docker("rm", "--force", "--volumes", self._container(server))
        (self.resolvers / self._container(server)).unlink(missing_ok=True)

    def _container(self, server: Json) -> str:
        return f"{self.prefix}{server['id']}"


def _seed(server: Json) -> dict[str, str]:
    """What Hetzner's metadata service would tell cloud-init."""
    about = {"instance-id": str(server["id"]), "local-hostname": server["name"], "public-keys": server["_keys"]}
    return {f"{_SEED}/meta-data": json.dumps(about), f"{_SEED}/user-data": server["_user_data"] or "#cloud-config\n{}\n"}


def _archive(files: dict[str, str]) -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            data = content.encode()
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, BytesIO(data))
    return buffer.getvalue()


def _docker(*arguments: str, data: bytes | None = None) -> str:
    """What docker prints; a failure is told on the cloud's own log and to nobody else: such a server never answers."""
    command: Sequence[str] = ("docker", *arguments)
    done = subprocess.run(command, input=data, capture_output=True)
    if done.returncode:
        print(json.dumps({"docker": arguments[0], "error": done.stderr.decode(errors="replace").strip()}), flush=True)
    return done.stdout.decode()
