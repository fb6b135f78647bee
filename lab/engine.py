"""Docker on this machine, which runs the lab; installed and started if missing."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess

from lab.errors import LabError

_PACKAGES = {
    "dockerd": "docker.io",
    "docker": "docker.io",  # docker-cli, where Debian packages it separately
    "debootstrap": "debootstrap",
    "ssh-keygen": "openssh-client",
    "openssl": "openssl",
}


def prepare() -> None:
    """Make sure that a Docker engine answers and that the programs for the lab are installed."""
    install({program: package for program, package in _PACKAGES.items() if not _found(program)})
    if not _answers():
        _start()


def install(missing: Mapping[str, str]) -> None:
    """Install the packages of `missing`, a mapping of programs to Debian packages."""
    if not missing:
        return
    packages = sorted(set(missing.values()))
    if not shutil.which("apt-get"):
        raise LabError(
            f"{', '.join(missing)} not found, and this machine has no apt-get to install {', '.join(packages)}: the lab's "
            "hosts are Debian systems in containers. Use a Debian or Ubuntu machine, or install the programs yourself."
        )
    if "docker.io" in packages and _apt_knows("docker-cli"):
        packages.append("docker-cli")
    as_root(["apt-get", "update", "-qq"])
    as_root(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])


def docker(*arguments: str, input: str | bytes | None = None, check: bool = True) -> CompletedProcess[str]:
    """Run the docker command; with `check`, a failure raises `LabError` with what docker said."""
    done = subprocess.run(
        [*command(), *arguments],
        input=input.encode() if isinstance(input, str) else input,
        capture_output=True,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},  # the builder in every docker.io package
    )
    result = CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"))
    if check and result.returncode:
        said = (result.stderr.strip() or result.stdout.strip())[-2000:]
        raise LabError(f"docker {' '.join(arguments[:3])} failed; docker says:\n{said}")
    return result


@cache
def command() -> tuple[str, ...]:
    """The docker command, with sudo where this user needs it."""
    if subprocess.run(["docker", "version"], capture_output=True).returncode and os.getuid() != 0:
        return ("sudo", "docker")
    return ("docker",)


def as_root(arguments: Sequence[str]) -> None:
    """Run a command as root, with sudo when this user is not root."""
    done = subprocess.run([*([] if os.getuid() == 0 else ["sudo"]), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(arguments)} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")


def _found(program: str) -> bool:
    return bool(shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin"))


def _apt_knows(package: str) -> bool:
    shown = subprocess.run(["apt-cache", "show", package], capture_output=True)
    return shown.returncode == 0 and bool(shown.stdout)


def _answers() -> bool:
    return docker("version", check=False).returncode == 0


def _start() -> None:
    if Path("/run/systemd/system").exists():
        as_root(["systemctl", "start", "docker"])
    else:
        # A session of its own: Ctrl-C in the lab must not stop the engine for all other users.
        subprocess.Popen(
            [*([] if os.getuid() == 0 else ["sudo"]), "sh", "-c", "exec dockerd >>/var/log/dockerd.log 2>&1"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    deadline = time.monotonic() + 60
    while not _answers():
        if time.monotonic() > deadline:
            raise LabError(
                "dockerd was started and does not answer after 60 s, so no container can run. Its reasons are in "
                "/var/log/dockerd.log (or: journalctl -u docker)."
            )
        time.sleep(0.3)
    command.cache_clear()
