"""An operator's commands: status, logs, exec, rollback; and what an outsider sees of Caddy."""

import re
import shutil
from functools import partial

import pytest

from lab import Lab
from stacks.standing import SCHEMA
from tests.lab.deployment import Deployment, health_of, healthy, unwell
from tests.support.fleets import PROJECT, inputs
from tests.support.waiting import until


@pytest.fixture
def all_healthy(lab: Lab) -> None:
    """Wait: load from another worker may have made a service fail its healthchecks. On failure their output is shown."""
    for machine in (lab.sese, lab.seko, lab.waza):
        until(partial(healthy, machine), 120, describe=partial(unwell, machine))


@pytest.mark.usefixtures("all_healthy")
def test_status_names_every_service_with_its_health(deployed: Deployment) -> None:
    lines = deployed.operate("status").stdout.splitlines()
    for placement, service in inputs("lab").fleet.services():
        [line] = [line for line in lines if line.startswith(placement.host.name) and f" {service.name} " in line]
        assert re.search(r"\bhealthy\b", line), line


@pytest.mark.usefixtures("all_healthy")
def test_an_up_that_has_nothing_to_do_says_so_with_the_live_state(deployed: Deployment) -> None:
    reported = deployed.operate("up", "--", "--yes").stdout
    assert re.search(r"^Nothing to do\. Live: \d+ services on 3 hosts, all healthy\.$", reported, re.MULTILINE), reported
    assert "Updating" not in reported


def test_logs_and_exec_reach_the_service(deployed: Deployment) -> None:
    reported = deployed.operate("logs", "postgresql").stdout
    assert "database system is ready to accept connections" in reported
    assert 'rejects connection for host "127.0.0.1"' not in reported, "the healthcheck fills the log"
    assert deployed.operate("exec", "redis", "redis-cli", "--version").stdout.startswith("redis-cli 8.0")


def test_an_unknown_service_is_answered_with_the_known_ones(deployed: Deployment) -> None:
    reported = deployed.operate("logs", "postgres", check=False)
    assert reported.returncode != 0
    assert all(name in reported.stdout for name in ("seko/caddy", "sese/caddy", "sese/litellm", "sese/postgresql"))


def test_dns_prints_the_zone_and_finds_it_published(deployed: Deployment) -> None:
    reported = deployed.operate("dns").stdout
    for name, host in (("llm", "sese"), ("hook", "seko")):
        assert f"{name}.vpai.test. 3600 IN A {deployed.lab.addresses.on_internet(host)}" in reported
    assert re.search(r"^(\d+) of \1 questions", reported, re.MULTILINE)


def test_an_outsider_is_refused_where_a_vpn_client_is_served(deployed: Deployment) -> None:
    ask = ["curl", "-s", "-k", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10", "-H", "@-"]
    site = "https://llm.vpai.test/v1/models"
    key = f"Authorization: Bearer {deployed.secrets['litellm_master_key']}"
    assert deployed.lab.outsider.run([*ask, site], input=key).stdout == "403"
    assert deployed.lab.operator.run([*ask, site], input=key).stdout == "200"


def test_a_service_that_is_not_caddy_answers_nobody_outside(deployed: Deployment) -> None:
    for address in (deployed.lab.addresses.on_internet("sese"), "sese.na.vpai.test"):
        for port, open_ in ((4000, False), (5432, False), (6379, False), (443, True)):
            probe = ["timeout", "2", "bash", "-c", f"</dev/tcp/{address}/{port}"]
            assert (deployed.lab.operator.run(probe, check=False).returncode == 0) == open_, f"{address}:{port}"


def test_a_rollback_deploys_the_former_commit_without_the_registry_and_old_images_go(stack: Deployment) -> None:
    unused = stack.on_host("docker", "pull", "-q", "registry.vpai.test:5000/docker.io/library/pause:lab")
    oldest = stack.on_host("docker", "image", "inspect", "-f", "{{.Id}}", unused)
    history = "/opt/javisi/images/litellm"
    stack.on_host("sh", "-c", f"printf '%s\\n' {oldest} | cat - {history} > {history}.x && mv {history}.x {history}")

    shutil.copy(stack.directory.parent.parent / ".gitignore", stack.directory)
    (stack.directory / SCHEMA).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(PROJECT / SCHEMA, stack.directory / SCHEMA)
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@vpai.test")
    stack.run("git", "init", "-q")
    stack.run("git", "add", "-A")
    stack.run(*git, "commit", "-qm", "first")
    stack.up("--refresh")
    first = stack.on_host("docker", "inspect", "-f", "{{.Image}}", stack.container("litellm"))
    stack.edit("services/litellm/__init__.py", ("litellm:v1.81.3-stable", "litellm:v1.81.3-next"))
    stack.run(*git, "commit", "-qam", "second")
    stack.up()
    second = stack.on_host("docker", "inspect", "-f", "{{.Image}}", stack.container("litellm"))
    assert first != second
    images = stack.on_host("docker", "images", "-q", "--no-trunc").split()
    assert {first, second} <= set(images)
    assert oldest not in images, "only the last two stay"

    block = ("OUTPUT", "-p", "tcp", "--dport", "5000", "-j", "REJECT")
    stack.on_host("iptables", "-I", *block)
    try:
        reported = stack.operate("rollback", "--yes").stdout
    finally:
        stack.on_host("iptables", "-D", *block)
    assert "first" in reported
    assert stack.on_host("docker", "inspect", "-f", "{{.Image}}", stack.container("litellm")) == first
    stack.smoke()


def test_smoke_waits_for_what_is_starting(deployed: Deployment) -> None:
    deployed.on_host("docker", "restart", deployed.container("nocodb"))
    deployed.smoke()


def test_smoke_looks_again_at_what_was_unhealthy_a_moment_ago(deployed: Deployment) -> None:
    """Like a service whose database an `up` has just replaced."""
    container = deployed.container("webhook-gate")  # healthcheck every 15 s, unhealthy after three failures
    deployed.on_host("docker", "kill", "--signal", "STOP", container)
    try:
        until(lambda: health_of(deployed.host)["webhook-gate"] == "unhealthy", 120)
    finally:
        deployed.on_host("docker", "kill", "--signal", "CONT", container)
    deployed.smoke()


def test_smoke_tells_a_failure(deployed: Deployment) -> None:
    redis = deployed.container("redis")
    deployed.on_host("docker", "stop", redis)
    try:
        reported = deployed.operate("smoke", check=False)
    finally:
        deployed.on_host("docker", "start", redis)
        until(lambda: health_of(deployed.host)["redis"] == "healthy", 60)
    assert reported.returncode != 0
    assert re.search(r"^FAILED +sese: redis healthcheck", reported.stdout, re.MULTILINE), reported.stdout
