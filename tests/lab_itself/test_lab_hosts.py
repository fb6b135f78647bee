"""The lab itself: names, trust, hosts, images, and that it leaves nothing behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, Machine
from lab.engine import docker
from lab.layout import HOSTS, LABEL, OUTSIDER, PROVIDERS, Layout
from lab.rehearsal import forget_a_lost_host

CHECKOUT = Path(__file__).parents[2]
REDIS = "docker.io/library/redis:8.0-bookworm"
HEADSCALE = "docker.io/headscale/headscale:0.28.0"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A second lab, of another checkout, beside the first: its hosts are fresh."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in ("requirements.txt", "images.lock.yaml"):
        shutil.copy(CHECKOUT / name, checkout)
    other = Lab.of_checkout(checkout)
    other.up()
    yield other
    other.down()


def in_nested_container(lab: Lab, image: str, *command: str, options: tuple[str, ...] = ()) -> str:
    """What `command` prints in a container on the hub's own Docker engine."""
    lab.seko.run(["systemctl", "start", "docker"])
    served = f"registry.vpai.test:5000/{image}@{locked(lab)[image]}"
    return lab.seko.run(["docker", "run", "--rm", *options, served, *command]).stdout


def resolved(machine: Machine, name: str) -> str:
    """The address that `name` has there."""
    return next(iter(machine.run(["getent", "hosts", name], check=False).stdout.split()), "")


def locked(lab: Lab) -> dict[str, str]:
    """`.lab/images.lock.yaml`, whose lines are JSON strings."""
    lines = (lab.layout.directory / "images.lock.yaml").read_text().splitlines()
    return {json.loads(name): json.loads(digest) for name, digest in (line.split(": ", 1) for line in lines)}


@pytest.mark.parametrize("name", PROVIDERS)
def test_providers_resolve_to_the_cloud_on_the_host(lab: Lab, name: str) -> None:
    assert lab.sese.run(["getent", "hosts", name]).stdout.split()[0] == lab.addresses.on_internet("cloud")


def test_providers_resolve_in_nested_containers(other: Lab) -> None:
    assert in_nested_container(other, REDIS, "getent", "hosts", "api.openai.com").split()[0] == other.addresses.on_internet(
        "cloud"
    )


def test_the_internet_knows_the_hosts_the_login_server_and_the_stack(lab: Lab) -> None:
    for host in HOSTS:
        assert resolved(lab.outsider, f"{host}.vpai.test") == lab.addresses.on_internet(host)
    assert resolved(lab.outsider, "singa.vpai.test") == lab.addresses.on_internet("seko")
    assert resolved(lab.outsider, "llm.vpai.test") == lab.addresses.on_internet("sese")


def test_the_internet_knows_nothing_of_the_mesh(lab: Lab) -> None:
    assert resolved(lab.outsider, "sese.na.vpai.test") == ""


def test_nobody_else_has_a_name(lab: Lab) -> None:
    assert lab.operator.run(["getent", "hosts", "example.com"], check=False).returncode != 0


def test_the_real_internet_is_out_of_reach(lab: Lab) -> None:
    probe = "import socket; socket.create_connection(('9.9.9.9', 443), 3)"
    for machine in (lab.operator, lab.sese):
        assert "Error" in machine.run(["python3", "-c", probe], check=False).stderr


def test_a_providers_certificate_is_trusted_by_the_hosts_own_roots(lab: Lab) -> None:
    reported = lab.sese.run(["curl", "--silent", "--show-error", "--fail", "https://api.anthropic.com/__lab/health"]).stdout
    assert "stand-in" in json.loads(reported)["banner"]


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
    body = json.dumps({"model": "lab-log-test", "messages": [{"role": "user", "content": "hello"}]})
    headers = ("-H", "Authorization: Bearer sk-secret", "-H", "Content-Type: application/json")
    ask = ["curl", "-sf", "https://api.openai.com/v1/chat/completions", *headers, "-d", body]
    lab.operator.run(ask)
    log = lab.operator.run(["curl", "-sf", "https://api.openai.com/__lab/requests"]).stdout
    assert [entry["status"] for entry in json.loads(log) if entry["model"] == "lab-log-test"][-1] == 200
    assert "sk-secret" not in log


@pytest.mark.parametrize("name", HOSTS)
def test_root_logs_in_to_a_fresh_host_whose_key_is_pinned(other: Lab, name: str) -> None:
    done = other.operator.run(["ssh", *pinned(other, name), f"root@{name}.vpai.test", "hostname; getent passwd deploy || true"])
    assert done.stdout == f"{name}\n"


def test_the_outsider_does_not(other: Lab) -> None:
    known = ["-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes"]
    refused = other.outsider.run(["ssh", *known, "root@sese.vpai.test", "true"], check=False)
    assert "Permission denied" in refused.stderr


def pinned(lab: Lab, name: str) -> list[str]:
    return ["-o", f"UserKnownHostsFile={lab.layout.directory}/known_hosts", "-o", f"HostKeyAlias={name}", "-o", "BatchMode=yes"]


@pytest.mark.parametrize("name", HOSTS)
def test_a_fresh_host_shows_ssh_and_nothing_else(other: Lab, name: str) -> None:
    for address, family in ((other.addresses.on_internet(name), "-4"), (other.addresses.on_internet_v6(name), "-6")):
        shown = other.outsider.run(["nmap", family, "-n", "-Pn", "-T5", "-p-", "-oG", "-", address]).stdout
        assert re.findall(r"(\d+)/open/", shown) == ["22"]


def test_a_fresh_host_has_what_the_bootstrap_needs_and_runs_none_of_it(other: Lab) -> None:
    units = ("docker.service", "docker.socket", "containerd.service", "tailscaled.service", "fail2ban.service", "auditd.service")
    assert other.waza.run(["systemctl", "is-enabled", *units], check=False).stdout.split() == ["disabled"] * len(units)
    assert other.waza.run(["systemctl", "is-active", *units], check=False).stdout.split() == ["inactive"] * len(units)
    assert other.waza.run(["ufw", "status"]).stdout == "Status: inactive\n"
    assert other.waza.run(["ls", "/etc/docker"], check=False).stdout == ""
    for program in ("tailscale", "unattended-upgrade", "jq", "visudo"):
        assert other.waza.run(["which", program]).returncode == 0


def test_a_host_runs_without_failed_units(lab: Lab) -> None:
    for host in lab.hosts:
        assert host.run(["systemctl", "--failed", "--no-legend", "--plain"]).stdout == ""


def test_resolv_conf_is_a_file_that_can_be_renamed_over(lab: Lab) -> None:
    """tailscaled replaces it while images are pulled: over a mount it would empty it first, and a pull in between fails."""
    for machine in (lab.operator, *lab.hosts):
        assert "/etc/resolv.conf" not in machine.run(["cat", "/proc/self/mountinfo"]).stdout, machine.name
        assert "nameserver" in machine.run(["cat", "/etc/resolv.conf"]).stdout, machine.name


def test_tailscaled_starts_on_a_host(other: Lab) -> None:
    other.waza.run(["systemctl", "start", "tailscaled"])
    state = json.loads(other.waza.run(["tailscale", "status", "--json"], check=False).stdout)
    assert state["BackendState"] in {"NoState", "NeedsLogin"}
    assert "tailscale0" in other.waza.run(["ip", "-brief", "link"]).stdout


def test_who_deploys_may_use_tailscale(other: Lab) -> None:
    other.operator.run(["tailscale", "set", "--hostname=operator"])


def test_the_image_of_headscale_is_one_executable(other: Lab) -> None:
    assert "v0.28.0" in in_nested_container(other, HEADSCALE, "version")
    assert "v0.28.0" in in_nested_container(other, HEADSCALE, "version", options=("--entrypoint", "headscale"))


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
    assert resolved(other.operator, "sese.vpai.test") == other.addresses.on_internet("sese")
    assert other.operator.run(["ping", "-c1", "-W1", lab.addresses.on_internet("sese")], check=False).returncode != 0


def test_labs_share_digests(lab: Lab, other: Lab) -> None:
    assert locked(lab) == locked(other)


def test_what_is_half_made_is_taken_up(other: Lab) -> None:
    docker("rm", "--force", other.operator.container)
    docker("create", "--name", other.operator.container, "--label", f"{LABEL}={other.id}", other.record.images["operator"])
    docker("stop", other.sese.container)
    (other.layout.directory / "known_hosts").unlink()
    other.up()
    assert other.operator.run(["true"]).returncode == 0
    assert other.sese.run(["systemctl", "is-active", "ssh"]).stdout == "active\n"
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
    assert resolved(other.operator, "sese.vpai.test") == other.addresses.on_internet("sese")


def test_what_an_earlier_version_left_is_made_anew(other: Lab) -> None:
    # As CI's checkout finds it: networks without IPv6, a machine on them, and no record of either.
    other.down()
    label, network, machine = f"--label={LABEL}={other.id}", other.layout.named("internet"), other.layout.named(OUTSIDER)
    docker("network", "create", label, network)
    docker("network", "create", label, other.layout.named("mesh"))
    docker("create", label, "--name", machine, "--network", network, other.image("operator"))
    other.up()
    assert other.outsider.run(["true"]).returncode == 0
    assert docker("network", "ls", "--quiet", "--filter", f"label={LABEL}={other.id}").stdout.count("\n") == 1


def test_a_checkout_deleted_under_its_lab_leaves_nothing_in_the_way_of_the_next(other: Lab) -> None:
    # As CI's checkout finds it: the engine, started anew, starts the lab of a checkout that is gone.
    shutil.rmtree(other.layout.directory)
    machines = docker("ps", "--quiet", "--filter", f"label={LABEL}={other.id}").stdout.split()
    docker("restart", "--time", "1", *machines, check=False)
    assert not other.layout.directory.exists()
    (other.layout.directory / "resolv/sese").mkdir(parents=True)  # what the engine left of labs before `bind`
    other.up()
    assert resolved(other.sese, "api.openai.com") == other.addresses.on_internet("cloud")


def test_a_host_survives_its_reboot_with_its_files(other: Lab) -> None:
    other.sese.run(["sh", "-c", "mkdir /etc/vpai && touch /etc/vpai/kept && systemctl enable docker"])
    other.sese.run(["systemctl", "reboot"], check=False)
    deadline = time.monotonic() + 30
    while other.sese.run(["docker", "info"], check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert resolved(other.sese, "api.openai.com") == other.addresses.on_internet("cloud")
    assert other.sese.run(["ls", "/etc/vpai"]).stdout == "kept\n"


def test_an_operator_made_anew_is_the_same_member_of_the_mesh(other: Lab) -> None:
    other.operator.run(["touch", "/var/lib/tailscale/kept"])
    docker("rm", "--force", other.operator.container)
    other.up()
    assert other.operator.run(["ls", "/var/lib/tailscale/kept"]).returncode == 0


def test_with_one_host_made_anew_all_start_anew(other: Lab) -> None:
    def machine_ids() -> set[str]:
        return {host.run(["cat", "/etc/machine-id"]).stdout for host in other.hosts}

    forget_a_lost_host(other)
    before = machine_ids()
    assert len(before) == len(HOSTS)
    forget_a_lost_host(other)
    assert machine_ids() == before
    (other.layout.directory / "state/remembered").touch()
    other.waza.remove()
    other.up()
    forget_a_lost_host(other)
    assert not machine_ids() & before
    assert not (other.layout.directory / "state/remembered").exists()
    assert other.operator.run(["ls", "/var/lib/tailscale/kept"], check=False).returncode != 0


def test_down_leaves_nothing_of_this_lab_and_all_of_the_others(lab: Lab, other: Lab) -> None:
    other.down()
    mine = ("--quiet", "--filter", f"label={LABEL}={other.id}")
    assert docker("ps", "--all", *mine).stdout == ""
    assert docker("volume", "ls", *mine).stdout == ""
    assert docker("network", "ls", *mine).stdout == ""
    assert not other.layout.directory.exists()
    assert lab.sese.run(["true"]).returncode == 0


def test_down_without_a_lab_is_no_error(tmp_path: Path) -> None:
    Lab(Layout.of_checkout(tmp_path)).down()
