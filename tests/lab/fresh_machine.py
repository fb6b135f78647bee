"""A host of the lab is destroyed with its disk, and another machine stands in its place."""

import subprocess
from pathlib import Path

from lab import Lab, Machine


def destroy(lab: Lab, name: str) -> None:
    """The machine and all that it kept are gone."""
    of(lab, name).remove(forget=True)


def stand(lab: Lab, name: str) -> str:
    """A machine as a provider hands it over, at the same address; its host key, which is another one."""
    host_key(lab.layout.directory / "hosts" / name / "ssh_host_ed25519_key")
    machine = of(lab, name)
    machine.start()
    return machine.files["/etc/ssh/ssh_host_ed25519_key.pub"].content.strip()


def host_key(path: Path) -> None:
    """Make a pair of keys there, in place of what there was."""
    for old in (path, path.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def of(lab: Lab, name: str) -> Machine:
    """The host of that name, as its files describe it now."""
    return next(machine for machine in lab.hosts if machine.name == name)
