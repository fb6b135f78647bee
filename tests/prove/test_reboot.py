"""Each host restarted: back over the mesh by itself, and its doors as closed as before. Writes docs/proofs/reboots.md."""

import time
from collections.abc import Iterator

import pytest

from lab import Lab, Machine
from tests.lab.deployment import Deployment, healthy
from tests.lab.test_outside_view import planned, rules, scan
from tests.prove import proof
from tests.support.waiting import until

Results = list[tuple[str, str, str, str]]


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    rows: Results = []
    yield rows
    how = (
        "Seconds from `systemctl reboot` until the operator logs in over the mesh again, and until every service is healthy; "
        "then all TCP ports were scanned from outside."
    )
    proof.write("reboots", "Hosts restarted", how, ("host", "SSH over the mesh", "services healthy", "open to strangers"), rows)


@pytest.mark.parametrize("host", ["sese", "seko", "waza"])
def test_a_restarted_host_comes_back_over_the_mesh_with_its_rules(
    lab: Lab, stack: Deployment, results: Results, host: str
) -> None:
    machine = next(machine for machine in lab.hosts if machine.name == host)
    before, booted, containers = rules(machine), _booted(machine), set(stack.containers())
    start = time.monotonic()
    machine.run(["systemctl", "reboot"], check=False)
    until(lambda: _booted(machine) not in {booted, ""}, 60)
    until(lambda: _logs_in(stack, host), 120)
    ssh = time.monotonic() - start
    until(lambda: healthy(machine), 180)
    recovered = time.monotonic() - start

    assert set(stack.containers()) == containers, "nothing was replaced"
    assert rules(machine) == before
    machine.run(["vpai-forward", "check"])
    found = scan(lab, [host])
    assert found == planned(lab, [host])
    stack.smoke()
    stack.up("--expect-no-changes")
    ports = ", ".join(str(port) for port in sorted(set().union(*found.values())))
    results.append((host, f"{ssh:.1f} s", f"{recovered:.1f} s", ports or "nothing"))


def _booted(machine: Machine) -> str:
    """What differs between two starts of a host; empty while it does not answer."""
    return machine.run(["systemctl", "show", "-P", "UserspaceTimestampMonotonic"], check=False).stdout.strip()


def _logs_in(stack: Deployment, host: str) -> bool:
    """A new connection over the mesh, or none."""
    ask = ("ssh", "-F", ".vpai/lab/ssh_config", "-o", "ControlPath=none", "-o", "ConnectTimeout=3", f"{host}-mesh", "true")
    return stack.run("timeout", "5", *ask, check=False).returncode == 0
