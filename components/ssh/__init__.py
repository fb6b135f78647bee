"""One generated ssh_config for all hosts: aliases, pinned host keys, one shared connection.

For a host named `sese`: the alias `sese` is the host under our management, over the mesh or the public address; `sese-mesh` and
`sese-public` use one of the two. `sese-first` is the machine as the provider hands it over, with its first user. No alias tries
two users: fail2ban bans for failed logins, and the lab's first deployment locked itself out that way.

Addresses are only in that file, never in a resource's inputs: a host that moves from port 22 to 804 to the mesh makes
no difference (docs/adr/0006-generated-ssh-config.md). A rented server's address and key are known only when the server exists:
ssh reads them at each connection, from two files beside the ssh_config that `note_server` writes.
"""

import hashlib
import os
import shlex
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from model.host import Endpoint, Host

_PROXY_COMMAND = (sys.executable, "-SE", str(Path(__file__).with_name("ssh_proxy_command.py")))


def write_client_config(directory: Path, hosts: Sequence[Host], known_hosts: Path) -> Path:
    """Write `ssh_config` into `directory` if its text changed; return its path."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / "ssh_config"
    place = directory.resolve()
    text = client_config(place, hosts, known_hosts.resolve(), _control_directory(place, hosts, known_hosts))
    if not path.exists() or path.read_text() != text:
        _write(path, text)
    return path


def note_server(directory: Path, name: str, address: str, host_key: str) -> None:
    """Write address and host key of a rented server; connections to an earlier server of the same name are closed."""
    (directory / _SERVERS).mkdir(mode=0o700, parents=True, exist_ok=True)
    at, key = _server_files(directory, name)
    known = f"{name} {' '.join(host_key.split()[:2])}\n"
    if at.exists() and (at.read_text(), key.read_text()) == (address, known):
        return
    _write(key, known)
    _write(at, address)
    hang_up(str(directory / "ssh_config"), name)


def forget_server(directory: Path, name: str) -> None:
    """Remove the address and host key of a server that was deleted."""
    for path in _server_files(directory, name):
        path.unlink(missing_ok=True)


def knows_server(directory: Path, name: str) -> bool:
    """Whether address and host key of a rented server are known."""
    return _server_files(directory, name)[0].exists()


def hang_up(config: str, name: str) -> None:
    """Close the shared connections to a host: the next command opens a new one."""
    for alias in (name, mesh_alias(name), public_alias(name), first_alias(name)):
        subprocess.run(["ssh", "-F", config, "-O", "exit", alias], stdin=subprocess.DEVNULL, capture_output=True)


_SERVERS = "servers"


def _server_files(directory: Path, name: str) -> tuple[Path, Path]:
    place = directory / _SERVERS
    return place / name, place / f"{name}.known_hosts"


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)


def client_config(directory: Path, hosts: Sequence[Host], known_hosts: Path, control_directory: Path) -> str:
    """The text of the ssh_config in `directory`."""
    blocks = [
        f"""Host {alias}
    User {user}
    HostKeyAlias {host.name}
    UserKnownHostsFile {_quoted(_server_files(directory, host.name)[1] if host.rented else known_hosts)}
    ProxyCommand {_literal(shlex.join([*_PROXY_COMMAND, *_proxy_arguments(directory, host, endpoints)]))}
"""
        for host in hosts
        for alias, user, endpoints in _ways(host)
    ]
    return (
        "# Written at every run of the program; changes are lost.\n"
        + "".join(blocks)
        + f"""Host *
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
    ConnectTimeout 15
    ServerAliveInterval 5
    ServerAliveCountMax 3
    ControlMaster auto
    ControlPath "{_literal(str(control_directory))}/%C"
    ControlPersist 120
    LogLevel ERROR
"""
    )


def _literal(text: str) -> str:
    """`text` with % escaped, for options in which ssh replaces %-tokens."""
    return text.replace("%", "%%")


def _quoted(path: Path) -> str:
    """A path for an option that takes several; ssh unquotes an escaped quotation mark or backslash, and would replace `${`."""
    text = _literal(str(path)).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def mesh_alias(host: str) -> str:
    """The alias that uses only the mesh."""
    return f"{host}-mesh"


def public_alias(host: str) -> str:
    """The alias that uses only the public address."""
    return f"{host}-public"


def first_alias(host: str) -> str:
    """The alias for a machine that has no baseline yet."""
    return f"{host}-first"


def _ways(host: Host) -> Iterator[tuple[str, str, Sequence[Endpoint]]]:
    yield host.name, host.user, host.endpoints
    if host.in_mesh:
        yield mesh_alias(host.name), host.user, (host.in_mesh,)
    yield public_alias(host.name), host.user, (host.in_public,)
    yield first_alias(host.name), host.first_user, (host.first_contact,)


def command(config: str, alias: str, remote: Sequence[str], *, new: bool = False) -> tuple[str, ...]:
    """The argument vector that runs `remote` on the host `alias`; with `new` over a connection of its own."""
    return ("ssh", "-F", config, *(("-o", "ControlPath=none") if new else ()), alias, "--", shlex.join(remote))


def _proxy_arguments(directory: Path, host: Host, endpoints: Sequence[Endpoint]) -> list[str]:
    """Each endpoint as host:port, or as @file:port where a file has the address."""
    at = f"@{_server_files(directory, host.name)[0]}"
    return [str(endpoint) if endpoint.address else f"{at}:{endpoint.port}" for endpoint in endpoints]


def why_unreachable(directory: Path, host: Host) -> str:
    """The reason why `host` does not answer, which ssh hides while it shares connections. Empty when sshd answers."""
    words = [*_PROXY_COMMAND, *_proxy_arguments(directory.resolve(), host, host.endpoints)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


def _control_directory(directory: Path, hosts: Sequence[Host], known_hosts: Path) -> Path:
    """A private directory with a short name (a socket's path has at most 108 bytes).

    There is one for each ssh_config, set of endpoints and set of pinned keys: a connection made with others is not used again.
    """
    pins = known_hosts.read_bytes() if known_hosts.exists() else b""
    name = hashlib.sha256(repr((directory, hosts, pins)).encode()).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"vpai-{os.getuid()}-{name}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{path} is not a private directory of this user; remove it: someone else may have made it")
    return path
