"""Every systemd unit that a host gets, as systemd itself reads it: not a word of it, and one of what the edge keeps out."""

import shutil
import subprocess
from pathlib import Path

import pytest

from components.host.backup import Schedule, nightly
from components.host.files import HostFile
from tests.support.fleets import inputs

DIRECTORY = "/etc/systemd/system/"
PLANS = inputs("prod").host_plans
HOSTS = {name: (*plan.baseline.files, *plan.access.files(ssh_public=False)) for name, plan in PLANS.items()}
OTHERS = ("docker.service", "ssh.socket", "auditd.service", "audit-rules.service")
"""Units of Debian's packages to which we add."""


def verify(files: tuple[HostFile, ...], root: Path) -> str:
    """What systemd says of the units among `files` on a host that has them all; nothing when they are in order."""
    shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True, dirs_exist_ok=True)
    for other in OTHERS:
        kind = "[Socket]\nListenStream=22\n" if other.endswith("socket") else "[Service]\nExecStart=/usr/bin/true\n"
        if other.startswith("audit"):
            kind += "[Unit]\nDefaultDependencies=no\n"
        (root / "usr/lib/systemd/system" / other).write_text(kind)
    (root / "usr/lib/systemd/system/ssh.service").write_text("[Service]\nExecStart=/usr/bin/true\n")
    for file in (*files, HostFile("/usr/bin/true", "", 0o755)):
        path = root / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content)
        path.chmod(file.mode)
    units = [file.path.removeprefix(DIRECTORY) for file in files if file.path.startswith(DIRECTORY)]
    ours = [unit.partition(".d/")[0] for unit in units]
    command = ("systemd-analyze", "verify", "--man=no", "--generators=no", f"--root={root}", *dict.fromkeys(ours))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or done.stderr
    # Debian's own units name others that are not on this machine.
    return "".join(f"{line}\n" for line in done.stderr.splitlines() if DIRECTORY in line or any(unit in line for unit in ours))


@pytest.mark.parametrize("host", HOSTS)
def test_systemd_has_nothing_to_say_of_a_hosts_units(host: str, tmp_path: Path) -> None:
    assert sum(file.path.startswith(DIRECTORY) for file in HOSTS[host]) > 8
    assert verify(HOSTS[host], tmp_path) == ""


def schedule(**other: object) -> tuple[HostFile, ...]:
    return nightly(Schedule(**{"base": "/opt/x", "time": "03:00", "timezone": "Europe/Paris", "delay_minutes": 1, **other}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [
        {"base": "/opt/x%z"},
        {"base": '/opt/"x'},
        {"base": "/opt/x\n[Service]\nUser"},
        {"base": "/opt/x\\q"},
        {"time": "25:00"},
        {"timezone": "Europe/Pariss"},
        {"timezone": "Europe/Paris\nPersistent=maybe"},
        {"delay_minutes": -1},
    ],
)
def test_systemd_tells_of_what_the_edge_keeps_out_of_units(other: dict[str, object], tmp_path: Path) -> None:
    """Were the project, a time or a zone not typed (tests/unit/stacks/test_inputs.py), the test above would be red."""
    assert verify(schedule(), tmp_path / "sound") == ""
    assert verify(schedule(**other), tmp_path / "broken") != ""
