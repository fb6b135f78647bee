"""Servers of the lab's cloud as sshd processes on this machine, with the host key from their user data and nothing else."""

import getpass
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ADDRESSES = "127.77.0.0/24"
PORT = 2204
USER = getpass.getuser()


class Sshds:
    """Servers that log every command and let it succeed; their first boot is over. With `silent` no server answers."""

    def __init__(self, directory: Path) -> None:
        self._directory, self.silent = directory, False
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def boot(self, server: dict[str, Any], ipv4: str) -> None:
        if self.silent:
            return
        place = Path(tempfile.mkdtemp(dir=self._directory))
        reported = json.loads(server["_user_data"].removeprefix("#cloud-config\n"))
        (place / "key").write_text(reported["ssh_keys"]["ed25519_private"])
        (place / "key").chmod(0o600)
        (place / "authorized_keys").write_text("".join(f"{key}\n" for key in server["_keys"]))
        command = f'cat >/dev/null; echo "$SSH_ORIGINAL_COMMAND" >>{self._log(server["id"])}'
        self._running[server["id"]] = serve(ipv4, place / "key", place / "authorized_keys", command)

    def ran(self, number: int) -> str:
        """The commands that this server received, one a line."""
        log = self._log(number)
        return log.read_text() if log.exists() else ""

    def _log(self, number: int) -> Path:
        return self._directory / f"server-{number}.log"

    def power(self, server: dict[str, Any], verb: str) -> None:
        if verb == "stop":
            self.remove(server)

    def remove(self, server: dict[str, Any]) -> None:
        if process := self._running.pop(server["id"], None):
            process.terminate()
            process.wait()

    def __enter__(self) -> "Sshds":
        return self

    def __exit__(self, *_: object) -> None:
        for number in list(self._running):
            self.remove({"id": number})


def serve(address: str, key: Path, authorized_keys: Path, command: str) -> subprocess.Popen[bytes]:
    """sshd on PORT of `address` that runs `command` for every login."""
    options = {
        "ListenAddress": f"{address}:{PORT}",
        "HostKey": str(key),
        "AuthorizedKeysFile": str(authorized_keys),
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
        "ForceCommand": command,
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    Path("/run/sshd").mkdir(exist_ok=True)
    return subprocess.Popen([sshd, "-D", "-f", "/dev/null", *words])


@contextmanager
def agent(directory: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """A public key, and the environment of an ssh-agent with its private key."""
    key, socket = directory / "operator", directory / "agent"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    environment = {"SSH_AUTH_SOCK": str(socket)}
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            time.sleep(0.01)
        subprocess.run(["ssh-add", "-q", str(key)], check=True, env=environment, stderr=subprocess.DEVNULL)
        yield key.with_suffix(".pub").read_text().strip(), environment
    finally:
        process.terminate()
        process.wait()
