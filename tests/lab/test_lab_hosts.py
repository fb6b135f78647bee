"""The lab itself: names, trust, hosts, images, and that it leaves nothing behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from lab.engine import docker
from lab.layout import LABEL, PROVIDERS, Layout

CHECKOUT = Path(__file__).parents[2]
REDIS = "docker.io/library/redis:8.0-bookworm"


@pytest.fixture(scope="module")
def lab() -> Lab:
    """This checkout's lab, raised if it is not up."""
    lab = Lab.of_checkout(CHECKOUT)
    lab.up()
    return lab


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A second lab, of another checkout, beside the first."""
    checkout = tmp_path_factory.mktemp("checkout")
    shutil.copy(CHECKOUT / "requirements.txt", checkout)
    other = Lab.of_checkout(checkout)
    other.up()
    yield other
    other.down()


def in_nested_container(lab: Lab, *command: str, network: str = "bridge") -> str:
    """What `command` prints in a container on the host's own Docker engine."""
    image = f"registry.vpai.test:5000/{REDIS}@{locked(lab)[REDIS]}"
    return lab.sese.run(["docker", "run", "--rm", "--network", network, image, *command]).stdout


def locked(lab: Lab) -> dict[str, str]:
    """`.lab/images.lock.yaml`, whose lines are JSON strings."""
    lines = (lab.layout.directory / "images.lock.yaml").read_text().splitlines()
    return {json.loads(name): json.loads(digest) for name, digest in (line.split(": ", 1) for line in lines)}


@pytest.mark.parametrize("name", PROVIDERS)
def test_providers_resolve_to_the_cloud_on_the_host(lab: Lab, name: str) -> None:
    assert lab.sese.run(["getent", "hosts", name]).stdout.split()[0] == lab.addresses.on_internet("cloud")


def test_providers_resolve_in_nested_containers_of_any_network(lab: Lab) -> None:
    cloud = lab.addresses.on_internet("cloud")
    assert in_nested_container(lab, "getent", "hosts", "api.openai.com").split()[0] == cloud
    lab.sese.run(["docker", "network", "create", "lab-test"])
    try:
        assert in_nested_container(lab, "getent", "hosts", "api.openai.com", network="lab-test").split()[0] == cloud
    finally:
        lab.sese.run(["docker", "network", "rm", "lab-test"])


def test_services_resolve_to_the_mesh_address_of_their_host(lab: Lab) -> None:
    for machine in (lab.operator, lab.sese):
        assert machine.run(["getent", "hosts", "llm.vpai.test"]).stdout.split()[0] == lab.addresses.on_mesh("sese")


def test_nobody_else_has_a_name(lab: Lab) -> None:
    assert lab.operator.run(["getent", "hosts", "example.com"], check=False).returncode != 0


def test_the_real_internet_is_out_of_reach(lab: Lab) -> None:
    probe = "import socket; socket.create_connection(('1.1.1.1', 443), 3)"
    for machine in (lab.operator, lab.sese):
        assert "Error" in machine.run(["python3", "-c", probe], check=False).stderr


def test_a_providers_certificate_is_trusted_by_the_hosts_own_roots(lab: Lab) -> None:
    told = lab.sese.run(["curl", "--silent", "--show-error", "--fail", "https://api.anthropic.com/__lab/health"]).stdout
    assert "stand-in" in json.loads(told)["banner"]


def test_a_strict_python_trusts_it_too(lab: Lab) -> None:
    probe = "import urllib.request as r; print(r.urlopen('https://api.openai.com/__lab/health').status)"
    assert lab.operator.run(["python3", "-c", probe]).stdout.strip() == "200"


def test_a_certificate_does_not_fit_another_name(lab: Lab) -> None:
    refused = lab.sese.run(
        ["curl", "--silent", "--show-error", "https://llm.vpai.test:5000/v2/", "--connect-to", "::registry.vpai.test:5000"],
        check=False,
    )
    assert "SSL" in refused.stderr


def test_requests_are_logged_without_their_keys(lab: Lab) -> None:
    body = json.dumps({"model": "lab-log-test"})
    ask = ["curl", "-sf", "https://api.openai.com/v1/chat/completions", "-H", "Authorization: Bearer sk-secret", "-d", body]
    lab.operator.run(ask)
    log = lab.operator.run(["curl", "-sf", "https://api.openai.com/__lab/requests"]).stdout
    assert [entry["status"] for entry in json.loads(log) if entry["model"] == "lab-log-test"][-1] == 200
    assert "sk-secret" not in log


def test_the_pinned_host_key_is_the_one_that_sshd_shows(lab: Lab) -> None:
    scanned = lab.operator.run(["ssh-keyscan", "-q", "-t", "ed25519", "sese.vpai.test"]).stdout.split()
    alias, *pinned = (lab.layout.directory / "known_hosts").read_text().split()
    assert alias == "sese"
    assert scanned[1:] == pinned


def test_the_deploy_user_logs_in_is_root_by_sudo_and_runs_docker(lab: Lab) -> None:
    pinned = ["-o", f"UserKnownHostsFile={lab.layout.directory}/known_hosts", "-o", "HostKeyAlias=sese", "-o", "BatchMode=yes"]
    remote = "sudo id -u && docker info --format {{.ServerVersion}}"
    done = lab.operator.run(["ssh", *pinned, "deploy@sese.vpai.test", remote])
    assert done.stdout.splitlines()[0] == "0"


def test_the_host_runs_without_failed_units(lab: Lab) -> None:
    assert lab.sese.run(["systemctl", "--failed", "--no-legend", "--plain"]).stdout == ""


def test_the_hosts_docker_leaves_the_declared_networks_free(lab: Lab) -> None:
    pools = json.loads(lab.sese.run(["docker", "info", "--format", "{{json .DefaultAddressPools}}"]).stdout)
    assert pools == [{"Base": "172.21.0.0/16", "Size": 24}]


def test_the_registry_has_every_image_under_its_pinned_digest(lab: Lab) -> None:
    for name, digest in locked(lab).items():
        repository = name.rpartition(":")[0]
        url = f"https://registry.vpai.test:5000/v2/{repository}/manifests/{digest}"
        accept = "Accept: application/vnd.docker.distribution.manifest.v2+json"
        headers = lab.operator.run(["curl", "--silent", "--fail", "--head", "-H", accept, url]).stdout.lower()
        assert f"docker-content-digest: {digest}" in headers


def test_the_registry_takes_nothing_from_the_lab(lab: Lab) -> None:
    url = "https://registry.vpai.test:5000/v2/docker.io/library/redis/blobs/uploads/"
    code = lab.operator.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", url]).stdout
    assert code == "405"


def test_the_operators_python_has_the_program(lab: Lab) -> None:
    done = lab.operator.run(["vpai-python", "-c", "import pulumi, pulumi_docker, sys; print(sys.version_info[:2])"])
    assert done.stdout.strip() == "(3, 13)"


def test_the_operator_stands_in_the_checkout_with_its_plugins(lab: Lab) -> None:
    done = lab.operator.run(["pulumi", "plugin", "ls", "--json"], directory=str(CHECKOUT))
    assert {"docker", "command", "random", "hcloud"} <= {plugin["name"] for plugin in json.loads(done.stdout)}


def test_exec_passes_input_output_and_exit_code(lab: Lab) -> None:
    command = [sys.executable, "-m", "lab", "exec", "--", "sh", "-c", "cat; pwd; exit 7"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, cwd=CHECKOUT / "docs", env=environment, input="hello\n", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (7, f"hello\n{CHECKOUT / 'docs'}\n")


def test_exec_passes_an_interrupt_to_the_command(lab: Lab) -> None:
    script = "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.1; done"
    command = [sys.executable, "-m", "lab", "exec", "--", "bash", "-c", script]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGINT)
        assert running.stdout.read() == "interrupted\n"
    assert running.returncode == 3


def test_raising_a_running_lab_changes_nothing(lab: Lab) -> None:
    def identities() -> str:
        return docker("ps", "--no-trunc", "--filter", f"label={LABEL}={lab.id}", "--format", "{{.ID}} {{.Names}}").stdout

    before = identities()
    lab.up()
    assert identities() == before


def test_two_labs_stand_side_by_side(lab: Lab, other: Lab) -> None:
    assert lab.id != other.id
    assert lab.addresses.internet != other.addresses.internet
    assert other.operator.run(["getent", "hosts", "sese.vpai.test"]).stdout.split()[0] == other.addresses.on_mesh("sese")
    probe = f"import socket; socket.create_connection(('{lab.addresses.on_mesh('sese')}', 22), 2)"
    assert "Error" in other.operator.run(["python3", "-c", probe], check=False).stderr


def test_labs_share_digests(lab: Lab, other: Lab) -> None:
    assert locked(lab) == locked(other)


def test_what_is_half_made_is_taken_up(other: Lab) -> None:
    docker("rm", "--force", other.operator.container)
    docker("create", "--name", other.operator.container, "--label", f"{LABEL}={other.id}", other.record.images["operator"])
    docker("stop", other.sese.container)
    (other.layout.directory / "known_hosts").unlink()
    other.up()
    assert other.operator.run(["true"]).returncode == 0
    assert other.sese.run(["docker", "info"]).returncode == 0
    assert (other.layout.directory / "known_hosts").exists()


def test_an_interrupted_up_is_taken_up(other: Lab) -> None:
    other.down()
    command = [
        sys.executable,
        "-c",
        f"from pathlib import Path; from lab import Lab; Lab.of_checkout(Path({str(other.layout.checkout)!r})).up()",
    ]
    for delay in (0.3, 0.7, 1.2, 2.0):
        running = subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        running.send_signal(signal.SIGINT)
        running.wait()
    other.up()
    assert other.operator.run(["getent", "hosts", "sese.vpai.test"]).stdout.split()[0] == other.addresses.on_mesh("sese")


def test_a_host_survives_its_reboot(other: Lab) -> None:
    other.sese.run(["systemctl", "reboot"], check=False)
    deadline = time.monotonic() + 30
    while other.sese.run(["docker", "info"], check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert other.sese.run(["getent", "hosts", "api.openai.com"]).stdout.split()[0] == other.addresses.on_internet("cloud")


def test_down_leaves_nothing_of_this_lab_and_all_of_the_others(lab: Lab, other: Lab) -> None:
    other.down()
    mine = ("--quiet", "--filter", f"label={LABEL}={other.id}")
    assert docker("ps", "--all", *mine).stdout == ""
    assert docker("volume", "ls", *mine).stdout == ""
    assert docker("network", "ls", *mine).stdout == ""
    assert not other.layout.directory.exists()
    assert lab.sese.run(["docker", "info"]).returncode == 0


def test_down_without_a_lab_is_no_error(tmp_path: Path) -> None:
    Lab(Layout.of_checkout(tmp_path)).down()
