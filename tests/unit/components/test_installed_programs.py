"""The programs that a host runs by itself, and access.sh: each of their steps broken once, in the real shell."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from components import archive
from tests.support.shell import calls, run, stub

REVERT = "installed/vpai-revert.sh"
SYSTEM = ("systemctl", "systemd-run", "sshd", "ufw", "iptables-restore", "ip6tables-restore", "vpai-forward", "sync")
STEPS = {
    "tar": ("tar", "exit 2"),
    "removal": ("rm", '[[ "$*" != *absent-before* ]] || exit 1; exec /bin/rm "$@"'),
    "firewall of IPv4": ("iptables-restore", "exit 1"),
    "firewall of IPv6": ("ip6tables-restore", "exit 1"),
    "forwarding": ("vpai-forward", "exit 1"),
    "units": ("systemctl", '[[ "$1" != daemon-reload ]]'),
    "socket": ("systemctl", '[[ "$*" != "restart ssh.socket" ]]'),
    "sshd's own check": ("sshd", "exit 255"),
    "sshd": ("systemctl", '[[ "$*" != *ssh.service ]]'),
}


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host with a change that waits: its new files, and the snapshot of the old ones."""
    for name in SYSTEM:
        stub(tmp_path / "bin", name)
    etc, transaction = tmp_path / "etc", tmp_path / "var/lib/vpai/transaction"
    for directory in (etc / "ufw", etc / "vpai", transaction):
        directory.mkdir(parents=True)
    for name in ("user.rules", "user6.rules"):
        (etc / "ufw" / name).write_text("old\n")
    (etc / "ufw/ufw.conf").write_text("ENABLED=yes\n")
    with tarfile.open(transaction / "files.tar", "w") as archive:
        archive.add(etc / "ufw", str(etc / "ufw").lstrip("/"))
    (etc / "ufw/user.rules").write_text("new\n")
    (etc / "absent-before").write_text("new\n")
    (transaction / "absent").write_text(f"{etc}/absent-before\n")
    (transaction / "since").write_text("2026-11-29T12:00:00+00:00\n")
    (transaction / "token").write_text("token\n")
    return tmp_path


def rules(host: Path) -> str:
    return (host / "etc/ufw/user.rules").read_text()


def test_a_change_goes_back_whole(host: Path) -> None:
    done = run(REVERT, "nobody confirmed it", programs=host / "bin", below=host)
    assert done.returncode == 0, done.stderr
    assert rules(host) == "old\n" and not (host / "etc/absent-before").exists()
    assert not (host / "var/lib/vpai/transaction").exists()
    assert "went back: nobody confirmed it" in (host / "var/lib/vpai/reverted").read_text()
    assert not [call for call in calls(host / "bin") if call.startswith("systemd-run")]


@pytest.mark.parametrize(
    ("step", "reason"), [*((step, "nobody confirmed it") for step in STEPS), *((step, "boot") for step in ("tar", "removal"))]
)
def test_a_way_back_with_a_broken_step_keeps_the_snapshot_says_so_and_is_tried_again(host: Path, step: str, reason: str) -> None:
    program, body = STEPS[step]
    stub(host / "bin", program, body)
    done = run(REVERT, reason, programs=host / "bin", below=host)
    state = host / "var/lib/vpai"
    assert done.returncode == 1
    assert "could NOT be taken back" in done.stderr
    assert (state / "transaction/files.tar").exists(), "nothing would be left to go back to"
    assert not (state / "reverted").exists(), "it is reported as done"
    assert "could NOT be taken back" in run("access.sh", "last", programs=host / "bin", below=host).stdout
    assert [call for call in calls(host / "bin") if call.startswith("systemd-run") and "2026-11-29T12:00:00" in call]
    confirmed = run("access.sh", "confirm", "token", programs=host / "bin", below=host)
    assert confirmed.returncode == 1, "half of it would be kept"
    assert "could NOT be taken back" in confirmed.stderr

    (host / "bin" / program).unlink()
    if program in SYSTEM:
        stub(host / "bin", program)
    again = run(REVERT, "again", "2026-11-29T12:00:00+00:00", programs=host / "bin", below=host)
    assert again.returncode == 0, again.stderr
    assert rules(host) == "old\n" and not (state / "transaction").exists()
    assert run("access.sh", "last", programs=host / "bin", below=host).stdout == (state / "reverted").read_text()


def test_a_second_try_leaves_a_later_change_alone(host: Path) -> None:
    done = run(REVERT, "again", "2026-01-01T00:00:00+00:00", programs=host / "bin", below=host)
    assert done.returncode == 0
    assert rules(host) == "new\n" and (host / "var/lib/vpai/transaction/token").exists()


def test_sshd_that_does_not_reload_is_restarted(host: Path) -> None:
    stub(host / "bin", "systemctl", '[[ "$*" != "reload ssh.service" ]]')
    assert run(REVERT, "x", programs=host / "bin", below=host).returncode == 0
    assert "systemctl restart ssh.service" in calls(host / "bin")


def test_what_was_off_is_switched_off_again(host: Path) -> None:
    kept = host / "var/lib/vpai/transaction/files.tar"
    (host / "etc/ufw/ufw.conf").write_text("ENABLED=no\n")
    with tarfile.open(kept, "w") as snapshot:
        snapshot.add(host / "etc/ufw/ufw.conf", str(host / "etc/ufw/ufw.conf").lstrip("/"))
    stub(host / "bin", "ufw", "exit 1")
    assert run(REVERT, "x", programs=host / "bin", below=host).returncode == 1
    stub(host / "bin", "ufw")
    assert run(REVERT, "x", programs=host / "bin", below=host).returncode == 0
    assert "ufw --force disable" in calls(host / "bin")


def test_the_timer_is_armed_before_there_is_anything_to_take_back(host: Path) -> None:
    """A run that ends in between leaves a timer that finds nothing, and no change without its timer."""
    transaction = host / "var/lib/vpai/transaction"
    _forget(transaction)
    stub(host / "bin", "systemd-run", f"[[ -e {transaction} ]] && echo published; exit 1")
    stub(host / "bin", "diff", "exit 1")
    stub(host / "bin", "find")
    done = run("access.sh", "apply", "30", "804", payload=archive.packed({}), programs=host / "bin", below=host)
    assert done.returncode == 1, done.stderr
    assert "published" not in done.stdout
    assert not transaction.exists(), "a change without a timer"
    assert [call for call in calls(host / "bin") if call.startswith("systemd-run")]


def _forget(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()


FORWARD = "installed/vpai-forward.sh"


@pytest.mark.parametrize("program", ["iptables-restore", "ip6tables-restore", "iptables", "ip6tables"])
def test_rules_that_are_not_loaded_are_told_and_the_others_are_loaded(host: Path, program: str) -> None:
    for name in ("iptables-restore", "ip6tables-restore", "iptables", "ip6tables"):
        stub(host / "bin", name, "exit 1" if name == program else "")
    for version in ("v4", "v6"):
        (host / f"etc/vpai/forward.{version}").write_text("*filter\n-A DOCKER-USER -j DROP\n-A VPAI-MESH -j DROP\nCOMMIT\n")
    done = run(FORWARD, programs=host / "bin", below=host)
    assert done.returncode != 0
    loaded = {call.split()[0] for call in calls(host / "bin") if "restore" in call}
    assert loaded == {"iptables-restore", "ip6tables-restore"}, "one family's failure leaves the other without rules"


RESCUE = "installed/vpai-rescue.sh"
ALONE = '{"BackendState": "Running", "Self": {"Online": false}}'
TOGETHER = '{"BackendState": "Running", "Self": {"Online": true}, "Peer": {}}'


@pytest.mark.parametrize(
    ("ufw", "tailscale", "opened", "code"),
    [
        ("", f"echo '{ALONE}'", True, 0),
        ("", "exit 1", True, 0),
        ("", "echo no JSON", True, 0),
        ("", f"echo '{TOGETHER}'", False, 0),
        ("[[ $1 == show ]]", f"echo '{ALONE}'", True, 1),
        ("exit 1", f"echo '{ALONE}'", True, 1),
    ],
    ids=["alone", "tailscaled is dead", "tailscale says nonsense", "together", "ufw refuses", "ufw is dead"],
)
def test_a_host_without_its_mesh_opens_and_a_failure_to_open_is_told(
    host: Path, ufw: str, tailscale: str, opened: bool, code: int
) -> None:
    _forget(host / "var/lib/vpai/transaction")
    (host / "etc/vpai/ufw.rules").touch()
    (host / "run/lock").mkdir(parents=True)
    (host / "run/vpai-without-mesh").write_text("1\n")
    stub(host / "bin", "ufw", ufw)
    stub(host / "bin", "tailscale", tailscale)
    done = run(RESCUE, "10", "allow 804/tcp comment 'SSH'", programs=host / "bin", below=host)
    assert (done.returncode != 0) == bool(code), done.stderr
    assert ("ufw allow 804/tcp comment SSH" in calls(host / "bin")) == opened


CONTAINERS = "installed/vpai-containers.sh"


def test_a_list_that_docker_does_not_give_is_told(host: Path) -> None:
    stub(host / "bin", "systemctl", "echo stopping")
    stub(host / "bin", "docker", "exit 1")
    assert run(CONTAINERS, "list", programs=host / "bin", below=host).returncode != 0


def test_what_does_not_end_when_asked_is_killed_and_one_that_is_gone_holds_up_nobody(host: Path) -> None:
    stub(host / "bin", "systemctl", "echo stopping")
    stub(host / "bin", "sleep")
    stubborn = subprocess.Popen(["bash", "-c", "trap '' TERM; while :; do sleep 0.1; done"])
    (host / "run/lock").mkdir(parents=True)
    (host / "run/vpai-containers").write_text(f"999999999 SIGTERM\n{stubborn.pid} SIGTERM\n")
    done = run(CONTAINERS, "end", programs=host / "bin", below=host)
    assert done.returncode == 0, done.stderr
    assert stubborn.wait(5) == -9


INTERFACES = "installed/vpai-interfaces.sh"
LINKS = "7: veth1@if6: <UP> mtu 1500 master br-1 state UP link-netnsid 3\n8: veth2@if6: <UP> master br-1 link-netnsid 4"


@pytest.mark.parametrize(
    ("ip", "lsns", "removed", "fails"),
    [
        ("", "echo 3 1; echo 4 0", True, False),
        ("[[ $2 != delete ]] || exit 1", "echo 3 1", False, False),
        ("", "exit 1", False, True),
        ("exit 1", "echo 3 1", False, True),
    ],
    ids=["one has ended", "it went by itself", "lsns fails", "ip fails"],
)
def test_only_what_has_ended_loses_its_interface(host: Path, ip: str, lsns: str, removed: bool, fails: bool) -> None:
    stub(host / "bin", "sleep")
    stub(host / "bin", "ip", f"{ip}\n[[ $1 != -o ]] || echo '{LINKS}'")
    stub(host / "bin", "lsns", lsns)
    done = run(INTERFACES, programs=host / "bin", below=host)
    assert (done.returncode != 0) == fails
    assert ("removed veth2" in done.stdout) == removed
    assert "ip link delete veth1" not in calls(host / "bin"), "a living container's"
