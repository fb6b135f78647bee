"""The benchmarks' numbers, and that their peer stays clear of the deployed stack."""

import json
import sys
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ansible_variables, meter, results
from benchmarks.grown import grown
from benchmarks.meter import Run
from benchmarks.results import Row
from components.docker.docker_host import LABEL_STACK
from operations.stack import Stack
from services.networks import NETWORKS
from tests.support import fleets

RUNS = [Run(seconds, peak) for seconds, peak in ((3.0, 100.4), (1.0, 90.0), (2.0, 95.0))]


def test_a_row_has_the_runs_extremes_and_median() -> None:
    row = Row.of_times("up", RUNS, 2)
    assert (row.runs, row.min, row.median, row.max, row.peak_mib) == (3, 1.0, 2.0, 3.0, 100)


def test_a_row_says_nothing_of_memory_it_did_not_see() -> None:
    assert Row.of_times("make lab", RUNS, whole_tree=False).peak_mib is None


@pytest.mark.parametrize(("target", "verdict"), [(2, "met"), (1.9, "missed"), (None, "")])
def test_a_target_holds_for_the_median(target: float | None, verdict: str) -> None:
    assert Row.of_times("up", RUNS, target).verdict == verdict


def test_the_ratio_says_how_much_slower_the_peer_is() -> None:
    row = Row.of_times("up", RUNS).compared_with(Row.of_times("Ansible", [Run(7.0, 1)]))
    assert (row.peer, row.ratio) == ("Ansible", 3.5)


def test_saved_rows_have_the_agreed_keys_and_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_JSON", tmp_path / "results.json")
    monkeypatch.setattr(results, "_MARKDOWN", tmp_path / "results.md")
    assert results.former() == {}
    rows = [Row.of_times("up", RUNS, 2), Row.of_memory("memory", RUNS)]
    results.save(rows, ["A note."])
    keys = ["name", "unit", "runs", "min", "median", "max", "target", "peer", "ratio", "peak_mib", "taken"]
    assert [list(row) for row in json.loads((tmp_path / "results.json").read_text())] == [keys, keys]
    assert results.former() == {row.name: row for row in rows}
    assert "missed" not in (tmp_path / "results.md").read_text()


def test_the_meter_counts_the_memory_of_grandchildren() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'bytearray(80 << 20)'])"
    (run,) = meter.measure(1, [sys.executable, "-c", script], warm_up=False)
    assert run.peak_mib > 80


def test_a_failed_command_is_no_measurement() -> None:
    with pytest.raises(meter.Failed, match="it said last:\nout of order"):
        meter.measure(1, ["sh", "-c", "echo out of order; exit 3"], warm_up=False)


@pytest.fixture
def variables() -> Any:
    """The playbook's variables for production's fleet, every secret set."""
    stack = Stack("lab")
    inputs = fleets.inputs()
    secrets = {secret.name: f"value-of-{secret.name}" for secret in inputs.fleet.secrets()}
    vars(stack)["inputs"], vars(stack)["outputs"] = inputs, {"secrets": secrets}  # as cached_property keeps them
    return json.loads(json.dumps(ansible_variables.variables(stack)))


def test_the_peer_deploys_the_whole_slice(variables: Any) -> None:
    services = fleets.inputs().fleet.services()
    placed = [service for placement, service in services if placement.host.name == ansible_variables.HOST]
    assert {container["name"] for container in variables["containers"]} == {f"vpaibench_{service.name}" for service in placed}
    assert len(variables["images"]) == len({service.image for service in placed})
    assert not any("${secret:" in file["content"] for file in variables["files"])


def test_the_peer_leaves_the_stack_alone(variables: Any) -> None:
    ours = [IPv4Network(network["subnet"]) for network in variables["networks"]]
    assert len(ours) == len(NETWORKS)
    assert not any(mine.overlaps(network.cidr) for mine in ours for network in NETWORKS)
    assert all(entry["path"].startswith("/opt/vpaibench/") for entry in variables["directories"] + variables["files"])
    hosts = [bind.split(":")[0] for container in variables["containers"] for bind in container.get("volumes", [])]
    assert all(path.startswith("/opt/vpaibench/") for path in hosts)
    # `make recover` removes what bears the stack's label; and nothing is published.
    playbook = (Path(ansible_variables.__file__).parent / "ansible/playbook.yml").read_text()
    assert LABEL_STACK not in playbook
    assert "published_ports" not in playbook


@pytest.mark.parametrize("times", [2, 4])
def test_the_grown_fleet_obeys_every_law_and_has_each_service_so_many_times(times: int) -> None:
    once = fleets.inputs("lab")
    fleet = grown(once.fleet, times)
    assert len(list(fleet.services())) == times * len(list(once.fleet.services()))
