"""A host moves to another machine and back, by the runbook's own commands: cut off, undone, gone on with."""

import re
import subprocess
from collections.abc import Iterator, Mapping

import pytest

from lab import Lab, Machine
from lab.layout import SESE
from lab.rehearsal import remember_hosts
from operations.table import table
from tests.lab import fresh_machine
from tests.lab.deployment import Deployment, healthy
from tests.lab.test_backups import data, fill
from tests.prove import proof
from tests.support import runbook
from tests.support.waiting import until

PAGE = "restore.md"


@pytest.fixture(scope="module")
def next_machine(lab: Lab) -> Iterator[tuple[Machine, str, str]]:
    found = fresh_machine.beside(lab, SESE)
    yield found
    found[0].remove(forget=True)


@pytest.fixture(scope="module")
def known(_deployment: Deployment) -> Mapping[str, object]:
    """Every datum, before anything moves."""
    fill(_deployment)
    return data(_deployment)


@pytest.fixture(scope="module")
def downtimes() -> list[tuple[str, str]]:
    return []


def test_a_host_moves_to_another_machine_refused_undone_and_gone_on_with(
    deployed: Deployment,
    lab: Lab,
    next_machine: tuple[Machine, str, str],
    known: Mapping[str, object],
    downtimes: list[tuple[str, str]],
) -> None:
    stack = deployed
    machine, address, key = next_machine
    shown, move = (_filled(line, address, key) for line in runbook.below(PAGE, "A larger machine"))
    # Refused before anything stops.
    machine.run(["mkdir", "-p", "/opt/javisi/data/redis"])
    other = stack.type(_filled(move, address, key).replace(key, _another_key(lab)), check=False).stdout
    assert "no machine answers there as its provider hands it over" in other
    assert "the new machine is not empty: there is /opt/javisi/data" in stack.type(shown, check=False).stdout
    machine.run(["rm", "-r", "/opt/javisi"])
    said = stack.type(shown, check=False).stdout
    assert "Nothing was stopped, nothing was changed; REPLACE=yes does it." in said, said
    assert healthy(lab.sese)

    # Cut off when the old machine stands still, and undone: it serves again.
    _cut_off(stack, move, r"from now on.*bucket +answers")
    until(lambda: not _runs(lab.sese, "vpai-backup-last"), 300)
    stack.type(runbook.one(PAGE, "make move-host STACK=prod HOST=sese UNDO=yes"))
    until(lambda: healthy(lab.sese), 120)
    assert data(stack) == known

    # Cut off in its restore, and gone on with.
    _cut_off(stack, move, r"restore of the run")
    said = stack.type(runbook.one(PAGE, "make move-host STACK=prod HOST=sese REPLACE=yes")).stdout
    assert f"sese: moved from sese.vpai.test to {address}" in said, said
    first = _downtime(said)
    assert not lab.sese.run(["docker", "ps", "-q"]).stdout, "the old machine stands still"
    assert lab.sese.run(["test", "-s", "/opt/javisi/data/n8n/binaryData/known"]).returncode == 0, "and keeps its data"
    refused = lab.sese.run(["/usr/local/sbin/vpai-backup", "/opt/javisi/config/backup/current", "run"], check=False)
    assert "the data has moved to another machine" in refused.stderr
    stack.make("backup", "STACK=lab", "HOST=sese")
    downtimes.append(("cut off in its restore, gone on with", f"{first} s"))
    print(table(("move", "downtime"), downtimes))


def test_it_moves_back_undisturbed_with_every_datum(
    deployed: Deployment,
    lab: Lab,
    next_machine: tuple[Machine, str, str],
    known: Mapping[str, object],
    downtimes: list[tuple[str, str]],
) -> None:
    """To a fresh machine at the address of the lab's own, which is the lab's from then on."""
    fresh_machine.destroy(lab, SESE)
    key = fresh_machine.stand(lab, SESE)
    move = runbook.below(PAGE, "A larger machine")[1]
    said = deployed.type(_filled(move, "sese.vpai.test", key)).stdout
    downtimes.append(("undisturbed, back again", f"{_downtime(said)} s"))
    until(lambda: healthy(lab.sese), 120)
    remember_hosts(lab)
    found = data(deployed)
    for part in known.keys() - {"members"}:
        assert found[part] == known[part], part
    deployed.smoke()
    print(table(("move", "downtime"), downtimes))
    how = "Sese-AI to another machine of the lab and back; downtime is from the first service stopped to the last one healthy."
    proof.write("moved-host", "A host moves", how, ("move", "downtime"), downtimes)


def _filled(line: str, address: str, key: str) -> str:
    return line.replace("203.0.113.20", address).replace("ssh-ed25519 AAAA...", key)


def _another_key(lab: Lab) -> str:
    return " ".join(fresh_machine.of(lab, "waza").files["/etc/ssh/ssh_host_ed25519_key.pub"].content.split()[:2])


def _cut_off(stack: Deployment, line: str, words: str) -> str:
    """Run `line` in the operator until what it says is like `words`, then kill all of it there. What it said so far."""
    command = ["vpai-python", "-m", "operations", *_arguments(line)]
    marked = [*stack.lab.operator.exec_command({"CUT_OFF": "yes"}, str(stack.directory)), *command]
    said = ""
    with subprocess.Popen(marked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        for out in process.stdout:
            said += out
            if re.search(words, said, re.DOTALL):
                break
        stack.lab.operator.run(["sh", "-c", _KILL], check=False)
    assert re.search(words, said, re.DOTALL), said
    return said


_KILL = """
for each in /proc/[0-9]*; do
  tr '\\0' '\\n' <$each/environ 2>/dev/null | grep -qx CUT_OFF=yes && kill -9 ${each#/proc/}
done
"""


def _arguments(line: str) -> list[str]:
    found = dict(re.findall(r"([A-Z]+)=('[^']*'|\S+)", line))
    options = (word for name, value in found.items() if name != "STACK" for word in (f"--{name.lower()}", value.strip("'")))
    return ["move-host", "--stack", "lab", *options]


def _runs(machine: Machine, unit: str) -> bool:
    return machine.run(["systemctl", "is-active", "--quiet", unit], check=False).returncode == 0


def _downtime(said: str) -> str:
    return str(re.findall(r"it stood still for (\d+) s", said)[0])
