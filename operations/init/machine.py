"""Facts of a machine before its first `up`: whether sshd answers, its host key, its memory and its release."""

import re
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components import ssh
from components.ssh import ssh_proxy_command
from model import ssh_key
from model.host import Host
from operations.init.dialogue import Wrong

_SECONDS = 20
_KIB = re.compile(r"^(MemTotal|MemAvailable): +([0-9]+) kB$", re.MULTILINE)
_OF_RELEASE = re.compile(r"""^(ID|VERSION_ID)=["']?([^"'\n]*)""", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts of a machine that accepted our login."""

    memory_mib: int
    free_mib: int
    """Memory that its programs do not use now."""
    release: str
    """ID and VERSION_ID of its operating system: debian-13."""


def answers(address: str, port: int) -> None:
    """Raises `Wrong` when no sshd answers at that port."""
    try:
        with socket.create_connection((address, port), timeout=_SECONDS / 4) as connection:
            said = ssh_proxy_command.greeting(connection)
    except TimeoutError:
        said_of_it = "nobody answers: a firewall is in between, or the machine does not run"
    except socket.gaierror:
        said_of_it = "no resolver knows that name"
    except OSError as error:
        said_of_it = (error.strerror or str(error)).lower()
    else:
        if ssh_proxy_command.is_sshd(said):
            return
        said_of_it = "something answers there, but not sshd"
    raise Wrong(f"No SSH at {address}, port {port}: {said_of_it}.")


def host_key(address: str, port: int) -> str:
    """The machine's host key of the type that we pin; raises `Wrong` when it has none."""
    command = ["ssh-keyscan", "-T", "5", "-p", str(port), "-t", ssh_key.HOST_KEY_TYPE.removeprefix("ssh-"), address]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS)
        shown = [line.partition(" ")[2] for line in done.stdout.splitlines() if not line.startswith("#")]
    except (subprocess.TimeoutExpired, FileNotFoundError):
        shown = []
    for key in shown:
        if key.startswith(f"{ssh_key.HOST_KEY_TYPE} ") and not ssh_key.fault(key):
            return key
    raise Wrong(
        f"{address} shows no {ssh_key.HOST_KEY_TYPE} host key. If sshd answers there: sudo ssh-keygen -A, and start it again."
    )


def facts(host: Host, known_hosts: Path, directory: Path) -> Facts:
    """The machine's facts, by the SSH connection of a first `up`; raises `Wrong` when it refuses the login."""
    config = ssh.write_client_config(directory, [host], known_hosts)
    words = ssh.command(str(config), ssh.first_alias(host.name), ("cat", "/proc/meminfo", "/etc/os-release"), new=True)
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise Wrong(f"{host.first_user}@{host.address} does not answer within {_SECONDS} s.") from None
    memory = dict(_KIB.findall(done.stdout))
    if done.returncode or len(memory) < 2:
        said = done.stderr.strip().splitlines() or ["it says nothing of its memory"]
        raise Wrong(f"{host.first_user}@{host.address} does not let you in: {said[-1]}")
    of: Mapping[str, str] = dict(_OF_RELEASE.findall(done.stdout))
    return Facts(
        memory_mib=int(memory["MemTotal"]) // 1024,
        free_mib=int(memory["MemAvailable"]) // 1024,
        release=f"{of.get('ID', '')}-{of.get('VERSION_ID', '')}",
    )
