"""What OpenClaw's container gets through its Docker client, and the harm to the host if docker-proxy allowed everything."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services import docker_proxy, openclaw, sandboxes
from tests.lab import test_openclaw
from tests.lab.deployment import Deployment
from tests.lab.test_openclaw import docker
from tests.support.fleets import inputs
from tests.support.waiting import until

PROJECT = inputs("lab").settings.project
IMAGE = sandboxes.IMAGE
NAME = f"{sandboxes.PREFIX}test"
WORKSPACE = f"{openclaw.workspace(PROJECT)}/test"
SOUND = (f"--network={PROJECT}_sandbox", f"--memory={openclaw.sandbox().memory_mib}m", f"--volume={WORKSPACE}:/workspace")
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


def behind(stack: Deployment, *words: str) -> str:
    """Output and errors of the sandboxes' Docker for a client with its socket: as if docker-proxy refused nothing."""
    pid = stack.on_host("docker", "inspect", "--format", "{{.State.Pid}}", stack.container("sandboxes"))
    return stack.on_host("docker", "--host", f"unix:///proc/{pid}/root/run/sandboxes/docker.sock", *words, check=False)


def _restart(stack: Deployment) -> None:
    container = stack.container("sandboxes")
    stack.on_host("docker", "restart", container)
    until(lambda: stack.on_host("docker", "inspect", "-f", "{{.State.Health.Status}}", container) == "healthy", 90)


@pytest.fixture(autouse=True, scope="module")
def _none_of_the_gateways_own(_deployment: Deployment) -> None:
    """Remove the sandbox of a recently used agent, which OpenClaw keeps."""
    test_openclaw.remove(_deployment)


@pytest.fixture
def workspace(deployed: Deployment) -> Iterator[str]:
    deployed.on_host("docker", "exec", deployed.container("openclaw"), "mkdir", "-p", WORKSPACE)
    yield WORKSPACE
    behind(deployed, "rm", "--force", NAME)
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
    assert NAME not in behind(deployed, "ps", "-a", "--format", "{{.Names}}")


def test_what_would_be_root_on_the_host_is_refused_with_the_reason(deployed: Deployment, workspace: str) -> None:
    reported = {}
    for name, (option, _) in REFUSED.items():
        others = [sound for sound in SOUND if sound.partition("=")[0] != option.partition("=")[0]]
        reported[name] = docker(deployed, "create", "--name", NAME, *others, option, IMAGE, "true")
    assert {name: said for name, said in reported.items() if REFUSED[name][1] not in said} == {}
    other = docker(deployed, "create", "--name", NAME, *SOUND, "docker.io/library/redis:8.0-bookworm", "true")
    assert "Image" in other and "is not allowed" in other
    assert NAME not in behind(deployed, "ps", "-a", "--format", "{{.Names}}")


def test_no_request_reaches_docker_behind_an_exec_that_has_gone(deployed: Deployment) -> None:
    within = ["docker", "exec", "--interactive", deployed.container("openclaw"), "/lab/python"]
    try:
        said = deployed.on_host(*within, "-", IMAGE, "none", NAME, MARK, input=ATTACK.read_text(), check=False)
        assert "exec 201" in said and "remove (204" in said, said
        deployed.on_host("sleep", "2")
        assert deployed.on_host("ls", MARK, check=False).startswith("ls: cannot access"), said
        assert NAME not in behind(deployed, "ps", "-a", "--format", "{{.Names}}"), said
    finally:
        behind(deployed, "rm", "--force", NAME, f"{NAME}-root")
        deployed.on_host("rm", "-f", MARK)


def test_a_workspace_that_openclaw_replaced_by_a_link_leads_nowhere(deployed: Deployment) -> None:
    base = openclaw.workspace(PROJECT)
    as_openclaw = ["docker", "exec", deployed.container("openclaw"), "sh", "-c"]
    deployed.on_host(*as_openclaw, f"ln -s /var/lib/sandboxes {base}/linked")
    try:
        said = docker(
            deployed, "run", "--detach", "--name", NAME, *SOUND[:2], f"--volume={base}/linked:/workspace", IMAGE, "true"
        )
        assert "escapes the base directory" in said
        # The base itself is in a directory that belongs to root.
        said = deployed.on_host(*as_openclaw, f"mv {base} {base}-aside", check=False)
        assert "Permission denied" in said or "busy" in said, said
    finally:
        behind(deployed, "rm", "--force", NAME)
        deployed.on_host("rm", f"{base}/linked")


# Each right is named: a privileged container needs a writable /sys, and does not even start.
ROOT = ("--cap-add=ALL", "--security-opt=seccomp=unconfined", "--security-opt=systempaths=unconfined", "--pid=host", "--user=0")
ESCAPES = f"""
exec 2>&1
grep CapEff /proc/self/status
id -u
cat /host/etc/shadow
for file in /host/{MARK} /host/etc/{NAME} /host/usr/{NAME} /host/opt/{NAME}; do echo root >$file; done
chroot /host cat /proc/1/comm
mknod /tmp/disk b 254 0 && cat /tmp/disk
mkdir /tmp/proc && mount -t proc proc /tmp/proc && ls /tmp/proc/*/root/etc/vpai-* /tmp/proc/*/root/run/docker.sock
ls /host/opt/{PROJECT}/data /host/run/docker.sock /host/var/run/docker.sock
echo 1 >/host/proc/sys/kernel/hostname
kill -9 $(ls /proc | grep -x '[0-9]*' | grep -vx -e $$ -e 1) 2>&1 | grep -c permitted
"""


def test_a_mistake_of_docker_proxys_would_be_root_of_nothing_on_the_host(deployed: Deployment) -> None:
    """The policy is open: the sandboxes' Docker does whatever is asked."""
    secret = deployed.on_host("head", "-1", "/etc/shadow")
    # Containers of user 1000, like sandboxes, and one of root.
    others = ["docker", "inspect", "-f", "{{.State.StartedAt}}", *map(deployed.container, ("n8n", "openclaw", "caddy"))]
    running = deployed.on_host(*others)
    written = ["ls", "-d", MARK, *(f"/{directory}/{NAME}" for directory in ("etc", "usr", "opt"))]
    try:
        assert "operation not permitted" in behind(deployed, "run", "--rm", "--privileged", "--user=0", IMAGE, "true")
        said = behind(deployed, "run", "--rm", "--name", f"{NAME}-root", *ROOT, "--volume=/:/host", IMAGE, "bash", "-c", ESCAPES)
        assert "CapEff:\t000001ffffffffff\n0\n" in said, f"it has every right of its namespace: {said}"
        assert "/host/etc/shadow: Permission denied" in said and secret not in said, said
        assert "mknod: /tmp/disk: Operation not permitted" in said, said
        lost = [f"'{path}': No such file or directory" for path in ("/host/run/docker.sock", "/host/var/run/docker.sock")]
        assert all(message in said for message in lost) and said.count("docker.sock") == 3, said
        assert "\nopenclaw-workspaces\n" in said and "postgresql" not in said, said
        assert deployed.on_host(*written, check=False).count("No such file or directory") == len(written) - 2
        assert deployed.on_host(*others) == running, "its signals end its own Docker alone"
    finally:
        _restart(deployed)


def test_a_sandbox_that_takes_all_memory_ends_before_its_docker(deployed: Deployment) -> None:
    """It has no limit of its own (ADR 45); the limit of all sandboxes together holds."""
    shown = ["docker", "inspect", "-f", "{{.State.StartedAt}}", deployed.container("sandboxes")]
    began = deployed.on_host(*shown)
    docker(deployed, "run", "--detach", "--name", NAME, *SOUND[:2], IMAGE, "sleep", "60")
    try:
        said = docker(deployed, "exec", NAME, "sh", "-c", "tail /dev/zero; echo ended with $?")
        assert "ended with 137" in said, said
        assert NAME in docker(deployed, "ps", "--format", "{{.Names}}")
        assert deployed.on_host(*shown) == began
    finally:
        behind(deployed, "rm", "--force", NAME)


def test_a_sandbox_reaches_what_is_on_its_network_and_nothing_else(deployed: Deployment) -> None:
    targets = (
        "litellm/4000",
        "n8n/5678",
        "postgresql/5432",
        f"{deployed.lab.addresses.on_internet('cloud')}/443",
        "172.20.2.1/804",
    )
    reached = {}
    connect = "".join(f"timeout 3 bash -c 'exec 3<>/dev/tcp/{target}' 2>/dev/null && echo {target};" for target in targets)
    # A client that can resolve any name can send data out in the name.
    connect += "timeout 5 getent hosts api.telegram.org >/dev/null && echo any-name;"
    for network in sandboxes.NETWORKS:
        joined = f"--network={PROJECT}_{network.name}"
        docker(deployed, "run", "--detach", "--name", NAME, joined, SOUND[1], IMAGE, "sleep", "60")
        reached[network.name] = docker(deployed, "exec", NAME, "bash", "-c", connect).split()
        behind(deployed, "rm", "--force", NAME)
    assert reached == {
        "sandbox": ["litellm/4000"],
        "egress": ["litellm/4000", "n8n/5678", targets[3], "any-name"],
        "backend": ["litellm/4000", "n8n/5678", "postgresql/5432"],
    }


def test_of_sandboxes_there_are_no_more_than_memory_is_reserved_for(deployed: Deployment) -> None:
    at_most = openclaw.sandbox().at_most
    names = [f"{NAME}-{number}" for number in range(at_most + 3)]
    small = (SOUND[0], "--memory=6m")
    try:
        said = {name: docker(deployed, "run", "--detach", "--name", name, *small, IMAGE, "sleep", "60") for name in names}
        assert ["are allowed: remove one" in text for text in said.values()] == [False] * at_most + [True] * 3, said
        assert len(docker(deployed, "ps", "--all", "--quiet").split()) == at_most
    finally:
        behind(deployed, "rm", "--force", *names)


def test_what_a_sandbox_writes_is_in_memory_or_in_its_workspace(deployed: Deployment, workspace: str) -> None:
    docker(deployed, "run", "--detach", "--name", NAME, *SOUND, "--tmpfs=/tmp", IMAGE, "sleep", "60")
    said = docker(deployed, "exec", NAME, "sh", "-c", "echo x > /var/x; dd if=/dev/zero of=/tmp/x bs=1M count=100")
    assert "Read-only file system" in said and "No space left on device" in said, said


def test_a_sandbox_is_started_after_their_docker_has_been(deployed: Deployment, workspace: str) -> None:
    _restart(deployed)
    docker(deployed, "run", "--detach", "--name", NAME, *SOUND, IMAGE, "sleep", "60")
    assert NAME in docker(deployed, "ps", "--format", "{{.Names}}")


def test_the_port_for_questions_reads_a_path_in_one_way(deployed: Deployment) -> None:
    curl = ["docker", "exec", deployed.container("openclaw"), "curl", "-sS", "--path-as-is"]
    port = f"http://docker-proxy:{docker_proxy.READ_PORT}"
    # Docker redirects this path to its own request to a registry on the host's loopback.
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
