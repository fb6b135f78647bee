"""A fleet of one machine, stack and hub at once, on a lab of its own: deployed, and nothing locks its operator out.

What tests/prove/test_lockouts.py and test_reboot.py do to a host of three is done to this one.
Writes docs/proofs/single-machine.md.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab.layout import SEKO, SESE, WAZA
from lab.rehearsal import rehearse
from tests.graph.test_choice import CHOICES
from tests.lab import test_access
from tests.lab.deployment import Deployment, further_lab
from tests.prove import proof, test_lockouts, test_reboot
from tests.prove.test_lockouts import Rehearsal

MEMORY_MIB = 12288
Rows = list[tuple[str, str, str, str]]


@pytest.fixture(scope="module")
def rows() -> Iterator[Rows]:
    found: Rows = []
    yield found
    how = (
        f"One machine of {MEMORY_MIB} MiB is stack and hub, with the services of the runbook's choice for it. Seconds: of the "
        "deployment, or from the first new login over the mesh that failed to the first that worked again."
    )
    proof.write("single-machine", "A single machine", how, ("what", "what was done", "what was seen", "seconds"), found)


@pytest.fixture(scope="module")
def alone(pytestconfig: pytest.Config, rows: Rows) -> Iterator[Deployment]:
    """Deployed from nothing and checked as by `make lab`."""
    lab = further_lab("alone", hub=SESE)
    _configure(lab.layout.checkout / "Pulumi.lab.yaml")
    began = time.monotonic()
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        rehearse(lab)
    done = f"{time.monotonic() - began:.0f}"
    rows.append(("from nothing", "`make lab` with its configuration", "deployed, live checks passed, backed up", done))
    yield Deployment(lab)
    lab.down()


@pytest.fixture
def stack(alone: Deployment) -> Iterator[Deployment]:
    yield alone
    alone.put_back()


@pytest.fixture
def rehearsal(stack: Deployment, rows: Rows) -> Rehearsal:
    return Rehearsal(stack, rows)


def test_one_machine_is_deployed_and_a_second_up_and_a_refresh_find_nothing_to_do(alone: Deployment) -> None:
    hosts = {urn.rpartition("::")[2].partition("-")[0] for urn, (kind, _, _) in alone.resources().items() if "Container" in kind}
    assert hosts == {SESE}
    assert alone.lab.seko.run(["test", "-e", "/opt/javisi"], check=False).returncode == 1, "another machine was touched"
    alone.up("--expect-no-changes")
    alone.up("--refresh", "--expect-no-changes")
    alone.smoke()


def test_ssh_answers_in_the_mesh_alone_and_to_the_key_alone(alone: Deployment) -> None:
    test_access.test_sshd_answers_at_one_port_and_in_the_mesh_alone(alone, SESE)
    for options in (("-l", "root"), ("-o", "PubkeyAuthentication=no", "-o", "BatchMode=no")):
        test_access.test_nobody_but_the_deploying_user_gets_in_and_only_with_a_key(alone, options)


def test_what_would_lock_the_operator_out_goes_back(rehearsal: Rehearsal) -> None:
    test_lockouts.test_a_rule_set_that_closes_ssh_goes_back_and_nothing_else_is_open_meanwhile(rehearsal, SESE)


def test_a_wrong_sshd_is_never_taken_up(rehearsal: Rehearsal) -> None:
    test_lockouts.test_a_wrong_port_of_sshd_is_never_confirmed(rehearsal)


def test_an_up_that_is_killed_leaves_a_change_that_goes_back(rehearsal: Rehearsal) -> None:
    test_lockouts.test_an_up_that_is_killed_before_it_confirms_leaves_a_change_that_goes_back(rehearsal)


def test_a_machine_that_loses_power_before_the_change_is_confirmed_comes_back(rehearsal: Rehearsal) -> None:
    test_lockouts.test_a_host_that_loses_power_before_the_change_is_confirmed_comes_back(rehearsal)


def test_a_restarted_machine_comes_back_over_its_own_mesh(alone: Deployment, rows: Rows) -> None:
    results: test_reboot.Results = []
    test_reboot.test_a_restarted_host_comes_back_over_the_mesh_with_its_rules(alone.lab, alone, results, SESE)
    [(_, ssh, recovered, ports)] = results
    rows.append(("restarted", "systemctl reboot", f"all healthy after {recovered}; open to strangers: {ports}", ssh))


def _configure(file: Path) -> None:
    """One machine instead of three, and nothing that belongs to the others."""
    written = yaml.safe_load(file.read_text())
    config = written["config"]
    config["vpai:hosts"] = {SESE: {"address": config["vpai:hosts"][SESE]["address"], "memoryMib": MEMORY_MIB}}
    config["vpai:services"] = list(CHOICES[MEMORY_MIB])
    for name in (SEKO, WAZA):
        for key in [key for key in config if key.startswith(f"vpai:s3_backups_{name}_")]:
            del config[key]
    file.write_text(yaml.safe_dump(written))
