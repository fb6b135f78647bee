"""The baseline on the hosts: bans, upgrades, and drift that is reported."""

import time
from collections.abc import Iterator

import pytest

from components.ssh.host_script import text
from lab import Machine
from model.host import DEPLOY_UID
from operations.checks.drift import DRIFTED, IN_ORDER
from tests.lab.deployment import Deployment
from tests.support.waiting import until

KEY_OF_A_STRANGER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA stranger@elsewhere"

UPGRADES = """
# A repository that calls itself $1, $2, $3 (origin, label, codename) and has a newer version of an installed package.
set -euo pipefail
root=/srv/upgrades
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/tzdata/DEBIAN" "$root/lists/partial"
cd "$root"
cat >tzdata/DEBIAN/control <<END
Package: tzdata
Version: 99:1
Architecture: all
Maintainer: lab <lab@vpai.test>
Description: a newer one
END
dpkg-deb --build --root-owner-group tzdata tzdata.deb >/dev/null
digest() { sha256sum "$1" | cut -d' ' -f1; }
cat tzdata/DEBIAN/control - >Packages <<END
Filename: ./tzdata.deb
Size: $(stat -c %s tzdata.deb)
SHA256: $(digest tzdata.deb)
END
cat >Release <<END
Origin: $1
Label: $2
Codename: $3
Date: $(date -Ru | sed 's/+0000/UTC/')
Architectures: amd64 arm64 all
SHA256:
 $(digest Packages) $(stat -c %s Packages) Packages
END
echo "deb [trusted=yes] file:$root ./" >sources.list
# Only this repository: the lab has no mirror of Debian.
cat >apt.conf <<END
Dir::Etc::SourceList "$root/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$root/lists";
END
export APT_CONFIG=$root/apt.conf
apt-get -qq update
unattended-upgrade --dry-run --debug 2>&1
"""

KNOCK = """
test -e /tmp/stranger || ssh-keygen -q -t ed25519 -N '' -f /tmp/stranger
for _ in 1 2 3 4; do
    ssh -n -i /tmp/stranger -p 804 -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o ConnectTimeout=3 "deploy@$1" true 2>&1 || true
done
"""

BANNER = "import socket, sys; print(socket.create_connection((sys.argv[1], 804), 3).recv(8).decode())"

Drift = tuple[str, str, str]
"""A change by hand, the command that undoes it, and its name in the report."""

DRIFTS: tuple[Drift, ...] = (
    ("ufw allow 8080/tcp", "ufw --force delete allow 8080/tcp", "allow 8080/tcp"),
    ("ufw --force disable", "ufw --force enable; vpai-forward", "UFW"),
    ("iptables -I INPUT -p tcp --dport 22 -j ACCEPT", "iptables -D INPUT -p tcp --dport 22 -j ACCEPT", "IPv4 rule before UFW"),
    ("iptables -F DOCKER-USER", "vpai-forward", "IPv4 DOCKER-USER"),
    ("ip6tables -t raw -D PREROUTING -j VPAI-MESH", "vpai-forward", "nothing leads into it"),
    (
        "echo 'PasswordAuthentication yes' >/etc/ssh/sshd_config.d/05-drift.conf",
        "rm /etc/ssh/sshd_config.d/05-drift.conf",
        "sshd passwordauthentication",
    ),
    ("systemd-run -q --unit=drift-sshd /usr/sbin/sshd -D -p 2222; sleep 1", "systemctl stop drift-sshd", "sshd listens on"),
    (
        "sysctl -q net.ipv4.conf.all.rp_filter=0",
        "sysctl -q net.ipv4.conf.all.rp_filter=2",
        "net.ipv4.conf.all.rp_filter",
    ),
    (
        "cp -p /etc/docker/daemon.json /tmp/kept; sed -i s/10m/99m/ /etc/docker/daemon.json",
        "cp -p /tmp/kept /etc/docker/daemon.json",
        "/etc/docker/daemon.json",
    ),
    (
        f"echo '{KEY_OF_A_STRANGER}' >>/home/deploy/.ssh/authorized_keys",
        "sed -i /stranger/d /home/deploy/.ssh/authorized_keys",
        "stranger@elsewhere",
    ),
    ("systemctl disable --now --quiet fail2ban", "systemctl enable --now --quiet fail2ban", "fail2ban.service"),
    ("tailscale set --netfilter-mode=nodivert", "tailscale set --netfilter-mode=off", "tailscale's own firewall rules"),
)


def shell(machine: Machine, script: str, *arguments: str) -> str:
    return machine.run(["bash", "-s", "--", *arguments], input=script).stdout


def test_hosts_are_in_order_after_an_up(deployed: Deployment) -> None:
    done = deployed.operate("drift", check=False)
    assert done.returncode == IN_ORDER, done.stdout
    for host in ("sese", "seko", "waza"):
        assert f"{host}: in order" in done.stdout
        assert f"{host}: not shown, a container plays it: swap, kernel parameters, auditd" in done.stdout


def test_asking_all_hosts_takes_under_ten_seconds(deployed: Deployment) -> None:
    start = time.monotonic()
    deployed.operate("drift", check=False)
    # `make bench` requires three seconds; beside other tests the machine is busier.
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(("change", "undo", "named"), DRIFTS, ids=[named for _, _, named in DRIFTS])
def test_each_drift_is_named(deployed: Deployment, change: str, undo: str, named: str) -> None:
    sese = deployed.lab.sese
    shell(sese, change)
    try:
        done = deployed.operate("drift", check=False)
    finally:
        shell(sese, undo)
    assert done.returncode == DRIFTED
    assert any(line.startswith("sese ") and named in line for line in done.stdout.splitlines()), done.stdout


def test_nothing_has_failed_on_any_host(deployed: Deployment) -> None:
    for host in deployed.lab.hosts:
        assert host.run(["systemctl", "--failed", "--no-legend", "--plain"]).stdout == ""


def test_security_upgrades_are_taken(deployed: Deployment) -> None:
    reported = shell(deployed.lab.sese, UPGRADES, "Debian", "Debian-Security", "trixie-security")
    assert "Packages that will be upgraded: tzdata" in reported


@pytest.mark.parametrize(
    ("origin", "label"), [("Elsewhere", "Debian-Security"), ("Debian", "Debian Backports")], ids=["origin", "label"]
)
def test_other_upgrades_are_left_to_the_operator(deployed: Deployment, origin: str, label: str) -> None:
    reported = shell(deployed.lab.sese, UPGRADES, origin, label, "trixie-security")
    assert "tzdata=99:1" in reported
    assert "Packages that will be upgraded" not in reported


@pytest.fixture
def open_to_strangers(deployed: Deployment) -> Iterator[Deployment]:
    """sese with a public SSH port, as before it is closed."""
    sese = deployed.lab.sese
    sese.run(["ufw", "allow", "804/tcp"])
    yield deployed
    sese.run(["ufw", "--force", "delete", "allow", "804/tcp"])
    sese.run(["fail2ban-client", "unban", "--all"])


def test_a_stranger_who_fails_to_log_in_is_banned_and_nobody_else(open_to_strangers: Deployment) -> None:
    lab = open_to_strangers.lab
    sese, stranger = lab.addresses.on_internet("sese"), lab.addresses.on_internet("outsider")
    shell(lab.outsider, KNOCK, sese)
    until(lambda: stranger in lab.sese.run(["fail2ban-client", "get", "sshd", "banip"]).stdout, 10)
    assert "drop" in lab.sese.run(["nft", "list", "chain", "inet", "f2b-table", "f2b-chain"]).stdout
    assert lab.outsider.run(["python3", "-c", BANNER, sese], check=False).returncode != 0
    assert "SSH-2.0" in lab.operator.run(["python3", "-c", BANNER, sese]).stdout


def test_a_ban_outlives_a_reload_of_the_firewall(open_to_strangers: Deployment) -> None:
    lab = open_to_strangers.lab
    lab.sese.run(["fail2ban-client", "set", "sshd", "banip", "198.18.255.9"])
    lab.sese.run(["ufw", "reload"])
    assert "198.18.255.9" in lab.sese.run(["nft", "list", "table", "inet", "f2b-table"]).stdout


def test_the_mesh_is_never_banned(deployed: Deployment) -> None:
    ignored = deployed.lab.sese.run(["fail2ban-client", "get", "sshd", "ignoreip"]).stdout
    assert "100.64.0.0/10" in ignored


def test_a_key_that_is_taken_out_of_the_settings_disappears(deployed: Deployment) -> None:
    """The key was added by hand; the baseline, applied again, allows exactly the configured keys."""
    sese = deployed.lab.sese
    path = "/home/deploy/.ssh/authorized_keys"
    kept = sese.run(["cat", path]).stdout
    sese.run(["bash", "-c", f"echo '{KEY_OF_A_STRANGER}' >>{path}"])
    described = f"user deploy {DEPLOY_UID} docker " + sese.run(["base64", "-w0"], input=kept).stdout + "\n"
    done = sese.run(["bash", "-s"], input=text("baseline.sh") + described)
    assert done.stdout == f"changed {path}\n"
    assert sese.run(["cat", path]).stdout == kept


def test_the_user_that_deploys_is_no_container(deployed: Deployment) -> None:
    assert deployed.lab.sese.run(["id", "-u", "deploy"]).stdout.strip() == str(DEPLOY_UID)
