"""Destroys a host of the lab with its disk, and puts a fresh machine in its place."""

import subprocess
from dataclasses import replace
from pathlib import Path

from lab import Lab, Machine, machines

_PUBLIC = "/etc/ssh/ssh_host_ed25519_key.pub"
_OCTET = 20
"""Last part of an address that no machine of the lab has (lab/layout.py)."""


def destroy(lab: Lab, name: str) -> None:
    """Remove the machine and its volumes."""
    of(lab, name).remove(forget=True)


def stand(lab: Lab, name: str) -> str:
    """Start a machine as a provider hands it over, at the same address; returns its new host key."""
    host_key(lab.layout.directory / "hosts" / name / "ssh_host_ed25519_key")
    machine = of(lab, name)
    machine.start()
    return machine.files[_PUBLIC].content.strip()


def beside(lab: Lab, name: str) -> tuple[Machine, str, str]:
    """Start another machine as a provider hands it over, which is not yet a host; returns it, its address and its host key."""
    key = lab.layout.directory / "hosts" / f"{name}-next" / "ssh_host_ed25519_key"
    host_key(key)
    described = machines.host(lab.layout, lab.record, name, key, lab.layout.directory / "deploy-key")
    container = f"{described.container}-next"
    assert described.resolver
    resolver = (described.resolver[0].with_name(f"{name}-next"), described.resolver[1])
    v4, v6 = (f"{address.rpartition(sep)[0]}{sep}{_OCTET}" for address, sep in zip(described.addresses, (".", ":"), strict=True))
    volumes = (f"{container}-docker:/var/lib/docker",)
    machine = replace(described, container=container, addresses=(v4, v6), volumes=volumes, resolver=resolver)
    machine.start()
    return machine, v4, machine.files[_PUBLIC].content.strip()


def host_key(path: Path) -> None:
    """Create a key pair at `path`; replaces the old one."""
    for old in (path, path.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def of(lab: Lab, name: str) -> Machine:
    """The host of that name, as its files describe it now."""
    return next(machine for machine in lab.hosts if machine.name == name)
