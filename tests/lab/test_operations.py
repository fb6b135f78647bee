"""What an operator types: status, logs, exec, rollback; and the door as an outsider sees it."""

import json
import shutil
import subprocess

from tests.lab.deployment import Deployment


def test_status_names_every_service_with_its_health(stack: Deployment) -> None:
    lines = stack.operate("status").stdout.splitlines()
    for service in ("postgresql", "redis", "litellm", "caddy"):
        [line] = [line for line in lines if f" {service} " in line]
        assert "running" in line
        assert "healthy" in line


def test_logs_and_exec_reach_the_service(stack: Deployment) -> None:
    assert "database system is ready to accept connections" in stack.operate("logs", "postgresql").stdout
    assert stack.operate("exec", "redis", "redis-cli", "--version").stdout.startswith("redis-cli 8.0")


def test_an_unknown_service_is_answered_with_the_known_ones(stack: Deployment) -> None:
    told = stack.operate("logs", "postgres", check=False)
    assert told.returncode != 0
    assert "use one of: caddy, litellm, postgresql, redis" in told.stdout


def test_an_outsider_is_refused_where_a_vpn_client_is_served(stack: Deployment) -> None:
    """The machine that runs the lab stands on its Internet, not on its mesh."""
    address = stack.lab.addresses.on_internet("sese")
    authority = stack.directory / ".lab/ca/root.crt"
    shown = subprocess.run(
        [
            *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", str(authority), "--max-time", "10"),
            *("--resolve", f"llm.vpai.test:443:{address}", "https://llm.vpai.test/v1/models"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "403"
    with stack.requests() as statuses:
        pass
    assert set(statuses) <= {"200"}


def test_a_service_that_is_not_caddy_answers_nobody_outside(stack: Deployment) -> None:
    for address in (stack.lab.addresses.on_internet("sese"), stack.lab.addresses.on_mesh("sese")):
        for port, open_ in ((4000, False), (5432, False), (6379, False), (443, True)):
            probe = ["timeout", "2", "bash", "-c", f"</dev/tcp/{address}/{port}"]
            assert (stack.lab.operator.run(probe, check=False).returncode == 0) == open_, f"{address}:{port}"


def test_a_rollback_deploys_the_former_commit_without_the_registry_and_old_images_go(stack: Deployment) -> None:
    unused = stack.on_host("docker", "pull", "-q", "registry.vpai.test:5000/docker.io/library/pause:lab")
    oldest = stack.on_host("docker", "image", "inspect", "-f", "{{.Id}}", unused)
    history = "/opt/javisi/images/litellm"
    stack.on_host("sh", "-c", f"printf '%s\\n' {oldest} | cat - {history} > {history}.x && mv {history}.x {history}")

    shutil.copy(stack.directory.parent.parent / ".gitignore", stack.directory)
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
        told = stack.operate("rollback").stdout
    finally:
        stack.on_host("iptables", "-D", *block)
    assert "first" in told
    assert stack.on_host("docker", "inspect", "-f", "{{.Image}}", stack.container("litellm")) == first
    assert "29 of 29 checks passed" in stack.operate("smoke", "--chat").stdout


def test_smoke_waits_for_what_is_starting(stack: Deployment) -> None:
    stack.on_host("docker", "restart", stack.container("litellm"))
    assert "29 of 29 checks passed" in stack.operate("smoke", "--chat").stdout


def test_smoke_tells_a_failure(stack: Deployment) -> None:
    stack.on_host("docker", "stop", stack.container("redis"))
    told = stack.operate("smoke", check=False)
    assert told.returncode != 0
    assert "FAILED  redis healthcheck" in told.stdout
    stack.on_host("docker", "start", stack.container("redis"))
    health = ("docker", "inspect", "-f", "{{json .State.Health.Status}}", stack.container("redis"))
    for _ in range(30):
        if json.loads(stack.on_host(*health)) == "healthy":
            break
        stack.on_host("sleep", "1")
    assert json.loads(stack.on_host(*health)) == "healthy"
