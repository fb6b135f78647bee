"""One generated ssh_config for all hosts: aliases, pinned host keys, one shared connection.

`sese` is the host once it is ours, in the mesh or in public; `sese-mesh` and `sese-public` are one way each. `sese-first`
is the machine as the provider hands it over, with its first user. No alias tries two users: a login that must fail is what
fail2ban bans for, and the lab's first deployment locked itself out that way.

Addresses stand only in that file, never in a resource's inputs: a host that moves from port 22 to 804 to the mesh makes
no difference (docs/adr/0006-generated-ssh-config.md). A rented server's address and key are known when it stands: they
are looked up at each connection, in two files beside the ssh_config that `note_server` writes.
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
    """Write `ssh_config` into `directory` if it differs from what is there; return its path."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / "ssh_config"
    place = directory.resolve()
    text = client_config(place, hosts, known_hosts.resolve(), _control_directory(place, hosts, known_hosts))
    if not path.exists() or path.read_text() != text:
        _write(path, text)
    return path


def note_server(directory: Path, name: str, address: str, host_key: str) -> None:
    """Keep where a rented server is and the key that it shows; connections to an earlier one of the name are forgotten."""
    (directory / _SERVERS).mkdir(mode=0o700, parents=True, exist_ok=True)
    at, key = _server_files(directory, name)
    known = f"{name} {' '.join(host_key.split()[:2])}\n"
    if at.exists() and (at.read_text(), key.read_text()) == (address, known):
        return
    _write(key, known)
    _write(at, address)
    hang_up(str(directory / "ssh_config"), name)


def forget_server(directory: Path, name: str) -> None:
    """A server that is gone has no address."""
    for path in _server_files(directory, name):
        path.unlink(missing_ok=True)


def knows_server(directory: Path, name: str) -> bool:
    """Whether a rented server has been noted."""
    return _server_files(directory, name)[0].exists()


def hang_up(config: str, name: str) -> None:
    """Forget shared connections: whoever comes next dials anew."""
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
    """`text` where ssh replaces %-tokens."""
    return text.replace("%", "%%")


def _quoted(path: Path) -> str:
    """A file's path where ssh takes several; a quotation mark or a backslash in it is ssh's to unquote, `${` it would replace."""
    text = _literal(str(path)).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def mesh_alias(host: str) -> str:
    """The alias that goes over the mesh or nowhere."""
    return f"{host}-mesh"


def public_alias(host: str) -> str:
    """The alias that goes to the public address or nowhere."""
    return f"{host}-public"


def first_alias(host: str) -> str:
    """The alias for a machine that is not ours yet."""
    return f"{host}-first"


def _ways(host: Host) -> Iterator[tuple[str, str, Sequence[Endpoint]]]:
    yield host.name, host.user, host.endpoints
    if host.in_mesh:
        yield mesh_alias(host.name), host.user, (host.in_mesh,)
    yield public_alias(host.name), host.user, (host.in_public,)
    yield first_alias(host.name), host.first_user, (host.first_contact,)


def command(config: str, alias: str, remote: Sequence[str], *, new: bool = False) -> tuple[str, ...]:
    """The argument vector that runs `remote` on the host `alias`, over a connection of its own when it has to be `new`."""
    return ("ssh", "-F", config, *(("-o", "ControlPath=none") if new else ()), alias, "--", shlex.join(remote))


def _proxy_arguments(directory: Path, host: Host, endpoints: Sequence[Endpoint]) -> list[str]:
    """Each as host:port, or as @file:port where the address stands in a file."""
    at = f"@{_server_files(directory, host.name)[0]}"
    return [str(endpoint) if endpoint.address else f"{at}:{endpoint.port}" for endpoint in endpoints]


def why_unreachable(directory: Path, host: Host) -> str:
    """What keeps `host` from answering; ssh itself hides it while it shares connections. Empty when sshd answers."""
    words = [*_PROXY_COMMAND, *_proxy_arguments(directory.resolve(), host, host.endpoints)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


def _control_directory(directory: Path, hosts: Sequence[Host], known_hosts: Path) -> Path:
    """A private directory with a short name (a socket's path has at most 108 bytes).

    One for each ssh_config, each set of endpoints and of pinned keys: a connection made under others is not used again.
    """
    pins = known_hosts.read_bytes() if known_hosts.exists() else b""
    name = hashlib.sha256(repr((directory, hosts, pins)).encode()).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"vpai-{os.getuid()}-{name}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{path} is not a private directory of this user; remove it: someone else may have made it")
    return path
