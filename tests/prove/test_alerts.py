"""Every alert fires when its cause is made and resolves when it is gone. Writes docs/proofs/alerts.md.

Causes: services are stopped, Caddy's sites fail, webhooks wait, memory is used, hosts fall silent. What cannot be made here is
listed with its reason. The rules are Grafana's, each without its time of waiting; vmalert evaluates them.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from components.docker.docker_host import LABEL_SERVICE
from lab import Machine
from model.service import Metrics
from services import monitoring
from tests.lab.deployment import Deployment
from tests.lab.senders import Sender, comment
from tests.lab.test_monitoring import Grafana, rule_engine
from tests.prove import proof
from tests.support.fleets import PROJECT, inputs
from tests.support.waiting import until

PLACEMENTS = inputs("prod").fleet.placements
SERVICES = {(placement.host.name, service.name): service for placement in PLACEMENTS for service in placement.services}
ALERTS = {alert.uid: alert for alert in monitoring.alerts(PLACEMENTS)}
MIB = 1024 * 1024

ASKED_BY = {"grafana", "victoriametrics", "alloy"}
"""Stopped, they take the way with them by which it is seen that they are."""
NOT_MADE: Mapping[str, str] = {
    r"[a-z]+-(disk|memory|processor)": "the lab's hosts share this machine's with whatever else runs on it",
    r"[a-z]+-backup-[a-z]+": "a missed night, a week or gigabytes; tests/engine/test_backup_program.py reads their numbers",
    r"seko-caddy-certificate": "a certificate runs out after months; sese's fires in tests/prove/test_renewal.py",
    r"sese-caddy-certificate": "fires in tests/prove/test_renewal.py, with a certificate that is refused its renewal",
    r"sese-litellm-spend": "tests/lab/test_litellm_budget.py spends a day's budget; the rule itself is tested by promtool",
    r"sese-webhook-gate-given-up": "a webhook is given up after a day",
    r"[a-z]+-alloy-(down|unhealthy|metrics)": "whoever would tell is stopped with it: the host's `silent` tells",
    r"sese-(grafana|victoriametrics)-(down|unhealthy|metrics)": "the rules are asked through it",
    r"sese-caddy-(down|unhealthy|metrics)": "the rules are asked through it, and the other hosts write through it",
    r"seko-headscale-(down|unhealthy|metrics)": "without it no host finds the others after a restart; tests/prove/test_relay.py",
    r"[a-z]+-docker-proxy-unhealthy": "it tells of itself: stopped, it says nothing, and `down` fires",
}
HELD = 150
"""Seconds for which memory is used: cAdvisor looks every 30, Alloy asks every 30."""
BATCH_MIB = 5000
_KEPT = PROJECT / ".lab/alerts.json"
SEEN: dict[str, tuple[str, str]] = {}
"""By alert: how it was made to fire, and after how many seconds it did. Kept beside the lab: the parts may run one at a time."""


@pytest.fixture(scope="module")
def rules(_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """All rules are evaluated."""
    if _KEPT.exists():
        SEEN.update((uid, (how, after)) for uid, (how, after) in json.loads(_KEPT.read_text()).items())
    grafana = Grafana(_deployment.lab, _deployment.secrets["grafana_admin_password"])
    with rule_engine(_deployment, grafana, list(ALERTS.values()), tmp_path_factory.mktemp("rules")):
        until(lambda: not firing(_deployment), 240, every=5.0, describe=lambda: f"before anything is done: {firing(_deployment)}")
        yield _deployment


def made(uid: str) -> bool:
    """Whether its cause is made here."""
    return not any(re.fullmatch(pattern, uid) for pattern in NOT_MADE)


def test_what_stops_is_told_of_and_so_is_what_fails_and_waits(rules: Deployment) -> None:
    keep = {"caddy", "headscale", "docker-proxy", "webhook-gate", *ASKED_BY}
    stopped = [(host, name) for host, name in SERVICES if name not in keep]
    wanted = {uid for host, name in stopped for uid in of_a_stopped(host, name)}
    wanted |= {"seko-caddy-errors", "sese-caddy-errors", "sese-webhook-gate-waiting"}
    wanted |= {f"{placement.host.name}-containers-unseen" for placement in PLACEMENTS}
    forget(wanted)
    with stop(rules, stopped):
        start = time.monotonic()
        assert Sender(rules).meta(comment(f"nobody takes it {time.time_ns()}")) == 202

        def ask_what_fails() -> bool:
            # Twenty each, for the rules ask through Caddy too: one request in twenty must fail. At once, for Caddy waits a while.
            sites = [f"https://{site}.vpai.test/[1-20]" for site in ("qd", "hq", "biki")]
            rules.lab.operator.run(["curl", "-skZ", "--parallel-max", "60", "--max-time", "30", *sites], check=False)
            return note(rules, wanted, "its service is stopped, or one behind it", start)

        until(ask_what_fails, 300, every=2.0, describe=lambda: f"did not fire: {sorted(wanted - SEEN.keys())}")
    resolved(rules, wanted)


def test_what_leads_and_tells_is_told_of_when_it_stops(rules: Deployment) -> None:
    stopped = [("sese", "webhook-gate"), ("seko", "caddy"), *((placement.host.name, "docker-proxy") for placement in PLACEMENTS)]
    wanted = {"sese-webhook-gate-down", "sese-webhook-gate-metrics", "seko-caddy-metrics"}
    wanted |= {f"{placement.host.name}-docker-proxy-down" for placement in PLACEMENTS}
    forget(wanted)
    # Who tells of health is stopped last, so that it can tell of the others.
    with stop(rules, stopped[:2]):
        start = time.monotonic()
        early = {"sese-webhook-gate-down", "sese-webhook-gate-unhealthy", "sese-webhook-gate-metrics"}
        early |= {"seko-caddy-down", "seko-caddy-unhealthy", "seko-caddy-metrics"}
        forget(early)
        until(lambda: note(rules, early, "it is stopped", start), 240, every=2.0, describe=lambda: f"{early - SEEN.keys()}")
        with stop(rules, stopped[2:]):
            start = time.monotonic()
            until(lambda: note(rules, wanted, "it is stopped", start), 240, every=2.0, describe=lambda: f"{wanted - SEEN.keys()}")
    resolved(rules, wanted | early)


def test_memory_near_its_limit_is_told_of(rules: Deployment) -> None:
    waiting = [key for key in SERVICES if made(f"{key[0]}-{key[1]}-memory")]
    while waiting:
        batch: list[tuple[str, str]] = []
        while waiting and sum(SERVICES[key].limits.memory_mib for key in (*batch, waiting[0])) <= BATCH_MIB:
            batch.append(waiting.pop(0))
        wanted = {f"{host}-{name}-memory" for host, name in batch}
        forget(wanted)
        start = time.monotonic()
        with charged(rules, batch):
            until(
                lambda: note(rules, wanted, "its memory is used to 95 %", start),  # noqa: B023
                HELD,
                every=2.0,
                describe=lambda: f"did not fire: {sorted(wanted - SEEN.keys())}",  # noqa: B023
            )
    resolved(rules, {f"{host}-{name}-memory" for host, name in SERVICES if made(f"{host}-{name}-memory")})


def test_a_silent_host_is_told_of(rules: Deployment) -> None:
    wanted = {f"{placement.host.name}-silent" for placement in PLACEMENTS}
    forget(wanted)
    with stop(rules, [(placement.host.name, "alloy") for placement in PLACEMENTS]):
        start = time.monotonic()
        # The store shows the last number of a series for five minutes.
        until(
            lambda: note(rules, wanted, "its Alloy is stopped", start), 420, every=5.0, describe=lambda: f"{wanted - SEEN.keys()}"
        )
    resolved(rules, wanted)


def test_every_alert_has_fired_or_is_listed_with_a_reason(rules: Deployment) -> None:
    reasons = {uid: reason for uid in ALERTS for pattern, reason in NOT_MADE.items() if re.fullmatch(pattern, uid)}
    assert sorted(ALERTS.keys() - SEEN.keys() - reasons.keys()) == []
    rows = [(uid, *SEEN.get(uid, (reasons.get(uid, ""), "not made"))) for uid in sorted(ALERTS)]
    how = "Each rule without its time of waiting; seconds from the cause to the alert, then it resolved."
    proof.write("alerts", "Alerts that fired", how, ("alert", "cause", "fired after"), rows)


def of_a_stopped(host: str, name: str) -> Iterator[str]:
    yield from (f"{host}-{name}-down", f"{host}-{name}-unhealthy")
    if isinstance(SERVICES[host, name].metrics, Metrics):
        yield f"{host}-{name}-metrics"


def firing(stack: Deployment) -> set[str]:
    """The alerts that fire now, of those whose cause is made here."""
    shown = json.loads(stack.lab.operator.run(["curl", "-sf", "http://127.0.0.1:8880/api/v1/alerts"]).stdout)
    return {alert["name"] for alert in shown["data"]["alerts"] if alert["state"] == "firing" and made(alert["name"])}


def forget(uids: set[str]) -> None:
    """What another run saw of them."""
    for uid in uids:
        SEEN.pop(uid, None)


def note(stack: Deployment, wanted: set[str], how: str, start: float) -> bool:
    """Whether all of `wanted` have fired; each is noted when it is seen first."""
    for uid in firing(stack) & wanted:
        SEEN.setdefault(uid, (how, f"{time.monotonic() - start:.0f} s"))
        _KEPT.write_text(json.dumps(SEEN))
    return wanted <= SEEN.keys()


def resolved(stack: Deployment, wanted: set[str]) -> None:
    until(lambda: not firing(stack) & wanted, 420, every=5.0, describe=lambda: f"did not resolve: {firing(stack) & wanted}")


def machine(stack: Deployment, host: str) -> Machine:
    return next(each for each in stack.lab.hosts if each.name == host)


def containers(stack: Deployment, host: str, name: str, *more: str) -> list[str]:
    listed = ["docker", "ps", "-q", *more, "--filter", f"label={LABEL_SERVICE}={name}"]
    return machine(stack, host).run(listed).stdout.split()


@contextmanager
def stop(stack: Deployment, services: list[tuple[str, str]]) -> Iterator[None]:
    """These services are stopped, all of a host at once; afterwards they run again."""
    by_host: dict[str, list[str]] = {}
    for host, name in services:
        by_host.setdefault(host, []).extend(containers(stack, host, name))
    try:
        for host, ids in by_host.items():
            machine(stack, host).run(["docker", "stop", "--time", "5", *ids])
        yield
    finally:
        for host, ids in by_host.items():
            machine(stack, host).run(["docker", "start", *ids])


@contextmanager
def charged(stack: Deployment, services: list[tuple[str, str]]) -> Iterator[None]:
    """These services' memory is used to 95 %."""
    lines: dict[str, list[str]] = {}
    for host, name in services:
        [id] = containers(stack, host, name)
        pid = machine(stack, host).run(["docker", "inspect", "--format", "{{.State.Pid}}", id]).stdout.strip()
        lines.setdefault(host, []).append(f"{pid} {int(SERVICES[host, name].limits.memory_mib * MIB * 0.95)} {HELD}")
    script = (PROJECT / "tests/prove/charge.py").read_text()
    processes = []
    for host, each in lines.items():
        command = [*machine(stack, host).exec_command({}, "", ["-i"]), "python3", "-c", script]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        assert process.stdin
        process.stdin.write("".join(f"{line}\n" for line in (*each, "")))
        process.stdin.flush()
        processes.append(process)
    try:
        yield
    finally:
        for process in processes:
            process.communicate(timeout=30)
