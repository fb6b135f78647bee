"""A failure is reported with its reason and leaves other services alone; the next `up` converges."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lab.engine import docker
from tests.lab.deployment import Deployment

IMPATIENT = ("interval=10, timeout=5, retries=3, start_period=30", "interval=10, timeout=3, retries=1, start_period=3")
SICK = ('command=("caddy", "respond", "--listen", ":8080", "--access-log", "hello from app-prod")', 'command=("sleep", "3600")')
NEXT = ("hello from app-prod", "hello again")


def test_a_sick_new_version_fails_with_its_reason_while_the_old_one_answers(stack: Deployment) -> None:
    stack.add_hello()
    old = stack.container("hello")
    stack.edit("services/apps.py", IMPATIENT, SICK)
    with stack.requests("https://hello.vpai.test/") as statuses:
        failed = stack.up(check=False)
    assert failed.returncode != 0
    assert re.search(r"is not healthy after \d+ s", failed.stdout), failed.stdout
    assert "--- health log" in failed.stdout
    assert "--- last log lines" in failed.stdout
    assert set(statuses) == {"200"}, statuses
    [sick] = set(stack.containers("hello")) - {old}

    assert stack.up(check=False).returncode != 0
    assert set(stack.containers("hello")) == {old, sick}, "a second failing up changes nothing"

    stack.edit("services/apps.py", *((new, old) for old, new in (IMPATIENT, SICK)), NEXT)
    with stack.requests("https://hello.vpai.test/") as statuses:
        stack.up()
    assert set(statuses) == {"200"}, statuses
    assert stack.container("hello") not in {old, sick}
    stack.up("--expect-no-changes")


@contextmanager
def _machine_that_hangs(stack: Deployment) -> Iterator[None]:
    stack.run("ssh", "-F", ".vpai/lab/ssh_config", "-O", "exit", "sese", check=False)
    docker("pause", stack.host.container)
    try:
        yield
    finally:
        docker("unpause", stack.host.container)


@contextmanager
def _another_host_key(stack: Deployment) -> Iterator[None]:
    other = stack.run(
        "sh", "-c", "rm -f /tmp/other*; ssh-keygen -q -t ed25519 -N '' -f /tmp/other; cut -d' ' -f1,2 /tmp/other.pub"
    )
    pins = (stack.lab.layout.directory / "known_hosts").read_text().splitlines()
    others = "".join(f"{pin}\n" for pin in pins if not pin.startswith("sese "))
    (stack.directory / "known_hosts").write_text(f"{others}sese {other.stdout}")
    stack.configure("knownHosts", "known_hosts")
    yield


@contextmanager
def _full_disk(stack: Deployment) -> Iterator[None]:
    stack.on_host("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", "/opt/javisi")
    try:
        yield
    finally:
        stack.on_host("umount", "/opt/javisi")


@contextmanager
def _stopped_daemon(stack: Deployment) -> Iterator[None]:
    stack.on_host("systemctl", "stop", "docker.socket", "docker.service")
    try:
        yield
    finally:
        stack.on_host("systemctl", "start", "docker.socket", "docker.service")


@contextmanager
def _missing_image(stack: Deployment) -> Iterator[None]:
    lock = json.dumps({"docker.io/library/redis:8.0-bookworm": "sha256:" + hashlib.sha256(b"no such image").hexdigest()})
    (stack.directory / "lock.yaml").write_text(lock)
    known = (stack.directory / ".lab/images.lock.yaml").read_text().replace("redis:8.0-bookworm", "redis:gone")
    (stack.directory / "lock.yaml").write_text(known + lock.strip("{}") + "\n")
    stack.configure("imageLock", "lock.yaml")
    yield


@pytest.mark.parametrize(
    ("broken", "reported"),
    [
        (_machine_that_hangs, ["sese cannot be reached over SSH", "no sshd answers at"]),
        (_another_host_key, ["sese shows another host key than the pinned one"]),
        (_full_disk, ["sese: /opt/javisi has", "MiB left, 1024 are needed"]),
        (_stopped_daemon, ["sese: the Docker daemon does not answer"]),
        (_missing_image, ["sese can get no image registry.vpai.test:5000/docker.io/library/redis@sha256:"]),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_an_up_asks_the_hosts_first_and_touches_nothing(
    stack: Deployment, broken: Callable[[Deployment], Iterator[None]], reported: list[str]
) -> None:
    stack.configure("rotations.redis_health_password", "9")  # a change to deploy
    resources = stack.resources()
    with broken(stack):  # type: ignore[attr-defined]
        failed = stack.up(check=False)
    assert failed.returncode != 0
    for text in (*reported, "why it matters:", "how to fix it:", "1 problem; nothing has been touched."):
        assert text in failed.stdout, failed.stdout
    assert "Traceback" not in failed.stdout
    assert stack.resources() == resources
    assert set(stack.containers()) == stack.known_containers()


def test_a_docker_socket_made_anew_is_found_by_those_who_may_use_it(stack: Deployment) -> None:
    # Like an upgrade of Docker: containers keep running (live-restore), with their old mounts.
    proxy = stack.container("docker-proxy")
    with _stopped_daemon(stack):
        pass
    stack.on_host("docker", "exec", proxy, "/docker-proxy", "-health")


def test_a_killed_up_is_recovered_and_the_next_one_converges(stack: Deployment) -> None:
    """The moment that leaves most behind; all other moments, and SIGINT: tests/prove/test_kills.py."""
    kill_recover_converge(stack, "KILL", 3.5)


def kill_recover_converge(stack: Deployment, signal: str, seconds: float) -> str:
    """Kill an `up` that replaces Redis and Sure, recover and converge; returns the output of `recover`."""
    stack.configure("rotations.redis_sure_password", str(time.time_ns() % 1_000_000))
    killed = (
        "pulumi up --yes --skip-preview --stack lab --non-interactive >/tmp/killed.log 2>&1 & up=$!; "
        f"sleep {seconds}; kill -{signal} $up; wait $up; echo exit $?"
    )
    assert "exit 0" not in stack.run("sh", "-c", killed).stdout
    said = stack.operate("recover").stdout
    assert "recovered" in said
    stack.up()
    assert set(stack.containers()) == stack.known_containers()
    stack.up("--expect-no-changes")
    stack.smoke()
    return said


def test_a_container_that_the_state_does_not_know_is_named_and_removed(stack: Deployment) -> None:
    orphan = ("docker", "run", "-d", "--name", "orphan", "--label", "vpai.stack=lab", "--label", "vpai.service=litellm")
    image = stack.on_host("docker", "inspect", "-f", "{{.Image}}", stack.container("redis"))
    stack.on_host(*orphan, "--entrypoint", "sleep", image, "600")
    stack.on_host("docker", "network", "create", "--label", "vpai.stack=lab", "orphan-network")
    reported = stack.operate("recover").stdout
    assert "sese: removed orphan (" in reported
    assert "sese: removed orphan-network (" in reported
    assert set(stack.containers()) == stack.known_containers()
