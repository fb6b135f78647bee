"""`make lab`: from nothing to a deployed and checked stack; prints the duration of each step."""

import json
import shutil
import subprocess
import time
from collections.abc import Mapping

from lab.errors import LabError
from lab.lab import Lab
from toolchain.progress import step

STACK = "lab"
_INTERRUPTED = "deploying"
"""A file that exists while a deployment runs. Found at the start, it shows that the last deployment was killed."""


def rehearse(lab: Lab) -> None:
    """Start the lab, deploy its stack, check it, back it up; raises `LabError` when a step fails."""
    start = time.monotonic()
    deploy(lab)
    print(flush=True)
    with step("live checks"):
        _operate(lab, "smoke", "--chat")
    back_up(lab)
    print(f"\nfrom nothing to checked: {time.monotonic() - start:.0f} s")


def deploy(lab: Lab) -> None:
    """Start the lab and deploy its stack."""
    lab.up()
    forget_a_lost_host(lab)
    marker = lab.layout.directory / _INTERRUPTED
    _select_stack(lab)
    if marker.exists():
        with step("recover from an interrupted deployment"):
            _operate(lab, "recover")
    marker.touch()
    print(f"\npulumi up -s {STACK}", flush=True)
    with step("pulumi up"):
        _operate(lab, "up", "--", "--yes", "--skip-preview", "--refresh")
    marker.unlink()


def back_up(lab: Lab) -> None:
    """Back up every host with the operator's command."""
    print(f"\nmake backup STACK={STACK}", flush=True)
    with step("backup of every host"):
        _operate(lab, "backup")


def forget_a_lost_host(lab: Lab) -> None:
    """Recreate operator, hosts and state after a host was recreated: it lacks what state, other hosts and mesh know of it."""
    seen = lab.layout.directory / "machine-ids.json"
    before: Mapping[str, str] = json.loads(seen.read_text()) if seen.exists() else {}
    fresh = {name for name, id in _machine_ids(lab).items() if before.get(name, id) != id}
    if fresh:
        with step("a host was made anew: all are"):
            for machine in (lab.operator, *(host for host in lab.hosts if host.name not in fresh)):
                machine.remove(forget=True)
            shutil.rmtree(lab.layout.directory / "state")
        lab.up()
    remember_hosts(lab)


def remember_hosts(lab: Lab) -> None:
    """Record that the state knows the present hosts."""
    (lab.layout.directory / "machine-ids.json").write_text(json.dumps(_machine_ids(lab)))


def _select_stack(lab: Lab) -> None:
    with step("stack"):
        directory = str(lab.layout.checkout)
        lab.operator.run(["pulumi", "stack", "select", "--create", STACK], directory=directory)
        lab.operator.run(["vpai-python", "-m", "operations", "ssh-config", "--stack", STACK], directory=directory)


def _machine_ids(lab: Lab) -> Mapping[str, str]:
    return {host.name: host.run(["cat", "/etc/machine-id"]).stdout.strip() for host in lab.hosts}


def _operate(lab: Lab, command: str, *arguments: str) -> None:
    """Run an operator's command in the operator machine and show its output as it comes."""
    words = ["vpai-python", "-m", "operations", command, "--stack", STACK, *arguments]
    if subprocess.run([*lab.operator.exec_command(directory=str(lab.layout.checkout)), *words]).returncode:
        raise LabError(
            f"`{' '.join(words)}` failed; what it said stands above. The lab keeps running: fix the cause and run "
            "`make lab` again, or look around with `make shell STACK=lab`."
        )
