"""What OpenClaw's container gets of the host's Docker, by the client it has: sandboxes, and nothing else of the host."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services import docker_proxy, openclaw
from tests.fleets import inputs
from tests.lab import test_openclaw
from tests.lab.deployment import Deployment

PROJECT = inputs("lab").settings.project
IMAGE = openclaw.sandbox().image
NAME = f"{docker_proxy.SANDBOX_PREFIX}test"
WORKSPACE = f"{openclaw.workspace(PROJECT)}/test"
SOUND = (f"--network={PROJECT}_sandbox", "--memory=256m", f"--volume={WORKSPACE}:/workspace")
REFUSED = {
    "privileged": ("--privileged", "HostConfig.Privileged"),
    "a capability": ("--cap-add=SYS_ADMIN", "HostConfig.CapAdd"),
    "the host's processes": ("--pid=host", "HostConfig.PidMode"),
    "the host's network": ("--network=host", "NetworkMode"),
    "a service's network of its own": (f"--network={PROJECT}_monitoring", "NetworkMode"),
    "another's network": ("--network=container:postgresql", "NetworkMode"),
    "the host's root": ("--volume=/:/host", "from outside of"),
    "the socket": ("--volume=/var/run/docker.sock:/var/run/docker.sock", "from outside of"),
    "a way up": (f"--volume={WORKSPACE}/../../../../redis:/redis", "from outside of"),
    "a mount": ("--mount=type=bind,source=/,target=/host", "HostConfig.Mounts"),
    "a device": ("--device=/dev/null", "HostConfig.Devices"),
    "no seccomp": ("--security-opt=seccomp=unconfined", "security option"),
    "root": ("--user=0", "User"),
    "a published port": ("--publish=2222:22", "ExposedPorts"),
    "too much memory": ("--memory=4g", "memory must be"),
    "a service's label": ("--label=vpai.service=postgresql", "is ours"),
    "for ever": ("--restart=always", "not restarted"),
    "a large tmpfs": ("--tmpfs=/tmp:size=64g", "tmpfs"),
    "another's workspace's inside": (f"--volume={WORKSPACE}/other:/workspace", "from outside of"),
}
ATTACK = Path(__file__).with_name("sandbox_attacks.py")
MARK = "/var/tmp/vpai-written-by-a-sandbox"


def docker(stack: Deployment, *words: str) -> str:
    """What Docker's client in OpenClaw's container says, its errors too."""
    return stack.on_host("docker", "exec", stack.container("openclaw"), "docker", *words, check=False)


@pytest.fixture(autouse=True, scope="module")
def _none_of_the_gateways_own(_deployment: Deployment) -> None:
    """OpenClaw keeps the sandbox of an agent that was asked a moment ago."""
    test_openclaw.remove(_deployment)


@pytest.fixture
def workspace(deployed: Deployment) -> Iterator[str]:
    deployed.on_host("docker", "exec", deployed.container("openclaw"), "mkdir", "-p", WORKSPACE)
    yield WORKSPACE
    deployed.on_host("docker", "rm", "--force", NAME, check=False)
    deployed.on_host("rm", "-r", WORKSPACE)


def test_a_sandbox_runs_confined_sees_its_workspace_and_reaches_nothing(deployed: Deployment, workspace: str) -> None:
    docker(deployed, "run", "--detach", "--name", NAME, *SOUND, IMAGE, "sleep", "60")
    assert NAME in docker(deployed, "ps", "--format", "{{.Names}}")
    said = docker(deployed, "exec", NAME, "sh", "-c", "id -u; echo made > /workspace/file; grep CapEff /proc/self/status")
    assert said.split() == ["1000", "CapEff:", "0000000000000000"]
    assert deployed.on_host("cat", f"{workspace}/file") == "made"
    outside = f"{deployed.lab.addresses.on_internet('seko')}/443"
    for target in (outside, "postgresql/5432", "172.17.0.1/804"):
        connect = f"exec 3<>/dev/tcp/{target} && echo reached"
        assert "reached" not in docker(deployed, "exec", NAME, "timeout", "3", "bash", "-c", connect)
    docker(deployed, "rm", "--force", NAME)
    assert NAME not in deployed.on_host("docker", "ps", "-a", "--format", "{{.Names}}")


def test_what_would_be_root_on_the_host_is_refused_with_the_reason(deployed: Deployment, workspace: str) -> None:
    told = {}
    for name, (option, _) in REFUSED.items():
        others = [sound for sound in SOUND if sound.partition("=")[0] != option.partition("=")[0]]
        told[name] = docker(deployed, "create", "--name", NAME, *others, option, IMAGE, "true")
    assert {name: said for name, said in told.items() if REFUSED[name][1] not in said} == {}
    other = docker(deployed, "create", "--name", NAME, *SOUND, "docker.io/library/redis:8.0-bookworm", "true")
    assert "Image" in other and "is not allowed" in other
    assert NAME not in deployed.on_host("docker", "ps", "-a", "--format", "{{.Names}}")


def test_no_request_reaches_docker_behind_an_exec_that_has_gone(deployed: Deployment) -> None:
    within = ["docker", "exec", "--interactive", deployed.container("openclaw"), "/lab/python"]
    try:
        said = deployed.on_host(*within, "-", IMAGE, "none", NAME, MARK, input=ATTACK.read_text(), check=False)
        assert "exec 201" in said and "remove (204" in said, said
        deployed.on_host("sleep", "2")
        assert deployed.on_host("ls", MARK, check=False).startswith("ls: cannot access"), said
        assert NAME not in deployed.on_host("docker", "ps", "-a", "--format", "{{.Names}}"), said
    finally:
        deployed.on_host("docker", "rm", "--force", NAME, f"{NAME}-root", check=False)
        deployed.on_host("rm", "-f", MARK)


def test_a_directory_that_openclaw_replaced_by_a_link_is_not_left(deployed: Deployment) -> None:
    base = openclaw.workspace(PROJECT)
    as_openclaw = ["docker", "exec", deployed.container("openclaw"), "sh", "-c"]
    mark = "/home/deploy/vpai-written-by-a-sandbox"
    deployed.on_host(*as_openclaw, f"mkdir -p {base} && mv {base} {base}-aside && ln -s /home {base}")
    try:
        write = ("sh", "-c", f"echo key > /workspace/{mark.rpartition('/')[2]}")
        volume = f"--volume={base}/deploy:/workspace"
        said = docker(deployed, "run", "--detach", "--name", NAME, *SOUND[:2], volume, IMAGE, *write)
        assert "escapes the base directory" in said
        assert deployed.on_host("ls", mark, check=False).startswith("ls: cannot access")
    finally:
        deployed.on_host("docker", "rm", "--force", NAME, check=False)
        deployed.on_host(*as_openclaw, f"rm {base} && mv {base}-aside {base}")
        deployed.on_host("rm", "-f", mark)


def test_of_sandboxes_there_are_no_more_than_memory_is_reserved_for(deployed: Deployment) -> None:
    at_most = openclaw.sandbox().at_most
    names = [f"{NAME}-{number}" for number in range(at_most + 3)]
    small = (SOUND[0], "--memory=6m")
    try:
        said = {name: docker(deployed, "run", "--detach", "--name", name, *small, IMAGE, "sleep", "60") for name in names}
        assert ["are allowed: remove one" in text for text in said.values()] == [False] * at_most + [True] * 3, said
        assert len(docker(deployed, "ps", "--all", "--quiet").split()) == at_most
    finally:
        deployed.on_host("docker", "rm", "--force", *names, check=False)


def test_what_a_sandbox_writes_is_in_memory_or_in_its_workspace(deployed: Deployment, workspace: str) -> None:
    docker(deployed, "run", "--detach", "--name", NAME, *SOUND, "--tmpfs=/tmp", IMAGE, "sleep", "60")
    said = docker(deployed, "exec", NAME, "sh", "-c", "echo x > /var/x; dd if=/dev/zero of=/tmp/x bs=1M count=100")
    assert "Read-only file system" in said and "No space left on device" in said, said


def test_a_sandbox_is_started_after_docker_has_been(deployed: Deployment, workspace: str) -> None:
    """Docker 26 then answers the making of a volume that is there without its options."""
    for _ in range(2):
        deployed.on_host("systemctl", "restart", "docker")
    docker(deployed, "run", "--detach", "--name", NAME, *SOUND, IMAGE, "sleep", "60")
    assert NAME in docker(deployed, "ps", "--format", "{{.Names}}")


def test_the_port_for_questions_reads_a_path_in_one_way(deployed: Deployment) -> None:
    curl = ["docker", "exec", deployed.container("openclaw"), "curl", "-sS", "--path-as-is"]
    port = f"http://docker-proxy:{docker_proxy.READ_PORT}"
    # Docker redirects this to its own question to a registry on the host's loopback.
    said = deployed.on_host(*curl, f"{port}/images/x%2f..%2f..%2fdistribution/127.0.0.1:5999%2fevil/json")
    assert "not a plain one" in said
    assert '"Id"' in deployed.on_host(*curl, f"{port}/containers/json")


def test_of_the_host_there_is_nothing_to_see_or_to_stop(deployed: Deployment) -> None:
    assert docker(deployed, "ps", "--all", "--quiet") == ""
    database = deployed.container("postgresql")
    for order in ("stop", "rm --force", "kill", "logs"):
        assert "No such container" in docker(deployed, *order.split(), database), order
    for order in ("inspect javisi_postgresql", "volume ls", "network ls", "image ls", "system df"):
        assert "docker-proxy: " in docker(deployed, *order.split()), order
    assert deployed.container("postgresql") == database
    ask = ["docker", "exec", deployed.container("openclaw"), "docker", "--config", "/nonexistent", "ps"]
    assert "token" in deployed.on_host(*ask, check=False), "not even sandboxes are seen by who has no token"
