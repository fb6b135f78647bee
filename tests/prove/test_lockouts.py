"""Everything that could lock the operator out, done on purpose: SSH over the mesh comes back. Writes docs/proofs/lockouts.md."""

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from lab import Machine
from lab.engine import docker
from tests.lab.deployment import Deployment
from tests.prove import proof
from tests.support.waiting import until

REVERT_SECONDS = 15
PATIENCE_SECONDS = 150

HARMLESS = ("model/firewall.py", ("WireGuard between mesh members", "WireGuard between members"))
"""A change of every host's rules that closes nothing."""

WATCH = """
rm -f /tmp/watch-ends
while [ ! -e /tmp/watch-ends ]; do
    now=$(date +%s.%N)
    timeout 4 ssh -F .vpai/lab/ssh_config -o ControlPath=none "$1" -- true 2>/dev/null && state=in || state=out
    echo "$now $state"
    sleep 0.2
done
"""

LISTENER = """
import socket, time
listeners = [socket.create_server(("0.0.0.0", port)) for port in (22, 5432)]
time.sleep(3600)
"""

KNOCK = """
import errno, pathlib, selectors, socket, sys, time
stop, host = pathlib.Path("/tmp/knocks-end"), sys.argv[1]
stop.unlink(missing_ok=True)
waiting, knocks, opened = selectors.DefaultSelector(), 0, 0
while not stop.exists():
    for port in (22, 5432):
        knock = socket.socket()
        knock.setblocking(False)
        opened += knock.connect_ex((host, port)) == 0
        waiting.register(knock, selectors.EVENT_WRITE, time.monotonic())
        knocks += 1
    for key, _ in waiting.select(0):
        opened += key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        waiting.unregister(key.fileobj)
        key.fileobj.close()
    for key in [key for key in waiting.get_map().values() if time.monotonic() - key.data > 0.9]:
        waiting.unregister(key.fileobj)
        key.fileobj.close()
    time.sleep(0.02)
print(knocks, opened)
"""

WHILE_IT_IS_APPLIED = "until [ -e /var/lib/vpai/transaction ]; do sleep 0.02; done; "
BETWEEN_APPLY_AND_CONFIRM = (
    "until [ -e /var/lib/vpai/transaction ] && flock -n /run/lock/vpai-access true; do sleep 0.02; done; "
    "test -e /var/lib/vpai/transaction || exit 1; "
)
"""The apply holds the lock to its end; the confirmation comes over a new connection, which takes longer than this to see it."""


@dataclass
class Watch:
    """What somebody saw who logged in anew over the mesh, again and again."""

    seconds: float = 0.0
    """From the first login that failed to the first that worked again."""


class Rehearsal:
    """The deployed stack with little patience, and the table of what was seen."""

    def __init__(self, stack: Deployment, rows: list[tuple[str, str, str, str]]) -> None:
        self.stack, self.lab, self._rows = stack, stack.lab, rows
        stack.configure("revertSeconds", str(REVERT_SECONDS))

    def fails(self, *reported: str) -> str:
        """An `up` that fails and says every one of `told`, without a traceback."""
        done = self.stack.up(check=False)
        assert done.returncode != 0, done.stdout
        for text in reported:
            assert text in done.stdout, done.stdout[-6000:]
        assert "Traceback" not in done.stdout
        return done.stdout

    def converges(self) -> None:
        """The committed project is put in force again, and after that there is nothing to do."""
        self.stack.reset()
        self.stack.up()
        self.stack.up("--expect-no-changes")

    @contextmanager
    def watched(self, host: str = "sese") -> Iterator[Watch]:
        """Log in over the mesh all the time, until it works again after the end."""
        watch, seen = Watch(), []
        command = [*self.lab.operator.exec_command(directory=str(self.stack.directory)), "sh", "-c", WATCH, "sh", f"{host}-mesh"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield watch
                until(lambda: self.logs_in(f"{host}-mesh"), PATIENCE_SECONDS)
                time.sleep(2)
            finally:
                self.lab.operator.run(["touch", "/tmp/watch-ends"])
                seen = [line.split() for line in process.communicate(timeout=30)[0].splitlines()]
        assert seen and seen[-1][1] == "in", "SSH over the mesh has not come back"
        out = [index for index, (_, state) in enumerate(seen) if state == "out"]
        if out:
            watch.seconds = float(seen[out[-1] + 1][0]) - float(seen[out[0]][0])

    def logs_in(self, alias: str) -> bool:
        """Whether a new connection gets in."""
        words = ("timeout", "6", "ssh", "-F", ".vpai/lab/ssh_config", "-o", "ControlPath=none", alias, "--", "true")
        return self.stack.run(*words, check=False).returncode == 0

    def note(self, rehearsal: str, done: str, saw: str, watch: Watch) -> None:
        """A row of the table."""
        self._rows.append((rehearsal, done, saw, f"{watch.seconds:.0f}"))


@pytest.fixture(scope="module")
def rows() -> Iterator[list[tuple[str, str, str, str]]]:
    found: list[tuple[str, str, str, str]] = []
    yield found
    how = (
        f"vpai:revertSeconds {REVERT_SECONDS}, vpai:rescueMinutes 1. "
        "Seconds: from the first new login over the mesh that failed to the first that worked again."
    )
    proof.write("lockouts", "Lock-outs", how, ("rehearsal", "what was done", "what the operator saw", "seconds"), found)


@pytest.fixture
def rehearsal(stack: Deployment, rows: list[tuple[str, str, str, str]]) -> Rehearsal:
    return Rehearsal(stack, rows)


def closing(host: str) -> tuple[str, tuple[str, str]]:
    """A plan whose rule set closes SSH on `host`."""
    return (
        "stacks/host_plan.py",
        (
            "firewall=firewall(placement),",
            "firewall=__import__('dataclasses').replace(plan, ssh=plan.openings[0]) "
            f"if (plan := firewall(placement)) and placement.host.name == '{host}' else plan,",
        ),
    )


@pytest.mark.parametrize("host", ["sese", "seko"], ids=["a host", "the hub itself"])
def test_a_rule_set_that_closes_ssh_goes_back_and_nothing_else_is_open_meanwhile(rehearsal: Rehearsal, host: str) -> None:
    machine = getattr(rehearsal.lab, host)
    rehearsal.stack.edit(*closing(host))
    with knocked(rehearsal, machine) as knocks, rehearsal.watched(host) as watch:
        rehearsal.fails(
            f"{host}: after the change nobody could log in as {host}-mesh (port 804), so the host took it back",
            f"nobody confirmed it within {REVERT_SECONDS} s",
            "Why: a rule set that closes the port",
            "open 804/tcp, 41641/udp and 3478/udp",
            "docs/runbooks/locked-out.md",
        )
    count, opened = knocks
    assert opened == 0
    assert count > 20 * REVERT_SECONDS
    assert watch.seconds < REVERT_SECONDS + 10
    rehearsal.converges()
    name = "rules that close 804" + (", on the hub" if host == "seko" else "")
    rehearsal.note(
        name, "the plan's SSH rule left out", f"taken back; an outsider's {count} knocks at 22 and 5432: 0 open", watch
    )


def test_a_wrong_port_of_sshd_is_never_confirmed(rehearsal: Rehearsal) -> None:
    rehearsal.stack.edit("components/host/access.py", ("sshd.drop_in([SSH_PORT]", "sshd.drop_in([805]"))
    with rehearsal.watched() as watch:
        rehearsal.fails("SSH and firewall stay as they were", "sshd does not listen on port 804 after its reload")
    rehearsal.converges()
    rehearsal.note("wrong sshd port", "Port 805 in the drop-in", "sshd does not listen on port 804 after its reload", watch)


def test_a_configuration_that_sshd_refuses_is_never_taken_up(rehearsal: Rehearsal) -> None:
    rehearsal.stack.edit("components/host/sshd.py", ('"AllowUsers": user,', '"AllowUsers": user, "NoSuchDirective": "yes",'))
    with rehearsal.watched() as watch:
        rehearsal.fails("SSH and firewall stay as they were", "NoSuchDirective", "sshd refuses its new configuration")
    assert rehearsal.lab.sese.run(["sshd", "-t"]).returncode == 0
    rehearsal.converges()
    rehearsal.note("sshd drop-in that does not parse", "NoSuchDirective yes", "sshd refuses its new configuration", watch)


def test_a_member_whose_rules_change_while_the_hub_is_down_comes_back(rehearsal: Rehearsal) -> None:
    rehearsal.stack.edit(*closing("sese"))
    with hub_down(rehearsal), rehearsal.watched() as watch:
        rehearsal.fails("sese: after the change nobody could log in as sese-mesh", "SSH answers again after")
    rehearsal.converges()
    rehearsal.note("hub down", "Headscale stopped, then rules that close 804", "taken back, over the tunnel that was open", watch)


def test_a_member_is_changed_while_the_hub_is_down(rehearsal: Rehearsal) -> None:
    rehearsal.stack.edit(*HARMLESS)
    with hub_down(rehearsal), rehearsal.watched() as watch:
        rehearsal.stack.up()
    rehearsal.converges()
    rehearsal.note("hub down", "Headscale stopped, then a harmless change", "succeeds, over the tunnels that were open", watch)


@contextmanager
def cut(rehearsal: Rehearsal, moment: str, seconds: int) -> Iterator[None]:
    """At `moment` nothing of the mesh passes on sese any more, for so many seconds."""
    sese = rehearsal.lab.sese
    rules = [f"{program} -w -{{}} {chain} tailscale0 -j DROP" for program in ("iptables", "ip6tables") for chain in _CHAINS]
    close, open_again = ("; ".join(rule.format(action) for rule in rules) for action in "ID")
    sese.run(
        ["systemd-run", "--quiet", "--collect", "--unit=cut", "bash", "-c", f"{moment} {close}; sleep {seconds}; {open_again}"]
    )
    yield
    until(lambda: sese.run(["systemctl", "is-active", "cut"], check=False).returncode != 0, seconds + 30)


_CHAINS = ("INPUT -i", "OUTPUT -o")


@contextmanager
def without_udp(rehearsal: Rehearsal) -> Iterator[None]:
    """Between the operator and the hub: the relay is all that is left."""
    hub, addresses = rehearsal.lab.seko, rehearsal.lab.addresses
    pairs = (("iptables", addresses.on_internet("operator")), ("ip6tables", addresses.on_internet_v6("operator")))
    rules = [
        f"{program} -w -{{}} {chain} {address} -p udp -j DROP"
        for program, address in pairs
        for chain in ("INPUT -s", "OUTPUT -d")
    ]
    hub.run(["bash", "-c", "; ".join(rule.format("I") for rule in rules)])
    try:
        # The tunnel needs its time to take to the relay.
        until(lambda: "via DERP" in rehearsal.stack.run("tailscale", "ping", "--c", "1", "seko", check=False).stdout, 30)
        until(lambda: rehearsal.logs_in("seko-mesh"), 30)
        yield
    finally:
        hub.run(["bash", "-c", "; ".join(rule.format("D") for rule in rules)])


def headscale(hub: Machine, *words: str) -> str:
    [container] = hub.run(["docker", "ps", "-q", "--filter", "label=vpai.service=headscale"]).stdout.split()
    return hub.run(["docker", "exec", container, "headscale", *words]).stdout


def pending(host: Machine) -> bool:
    return host.run(["test", "-e", "/var/lib/vpai/transaction"], check=False).returncode == 0


@contextmanager
def hub_down(rehearsal: Rehearsal) -> Iterator[None]:
    """Control server and relay stopped, tunnels in use."""
    hub = rehearsal.lab.seko
    [container] = hub.run(["docker", "ps", "-q", "--filter", "label=vpai.service=headscale"]).stdout.split()
    for host in ("sese", "seko", "waza"):
        assert rehearsal.logs_in(f"{host}-mesh")
    hub.run(["docker", "stop", container])
    try:
        yield
    finally:
        hub.run(["docker", "start", container])
        until(lambda: rehearsal.logs_in("sese-mesh"), 30)


@contextmanager
def knocked(rehearsal: Rehearsal, machine: Machine) -> Iterator[list[int]]:
    """An outsider knocks at two closed ports with a listener behind, 50 times a second each: [knocks, opened]."""
    found: list[int] = []
    machine.run(["systemd-run", "--quiet", "--unit=listener", "python3", "-c", LISTENER])
    address = rehearsal.lab.addresses.on_internet(machine.name)
    command = [*rehearsal.lab.outsider.exec_command(), "python3", "-c", KNOCK, address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield found
        finally:
            rehearsal.lab.outsider.run(["touch", "/tmp/knocks-end"])
            found.extend(int(word) for word in process.communicate(timeout=30)[0].split())
            machine.run(["systemctl", "stop", "listener"])


def test_the_operators_connection_breaks_between_apply_and_confirm(rehearsal: Rehearsal) -> None:
    rehearsal.stack.edit(*HARMLESS)
    with rehearsal.watched() as watch, cut(rehearsal, BETWEEN_APPLY_AND_CONFIRM, REVERT_SECONDS + 10):
        rehearsal.fails(
            "sese: after the change nobody could log in as sese-mesh",
            "SSH answers again after",
            f"nobody confirmed it within {REVERT_SECONDS} s",
        )
    rehearsal.note("connection breaks", "between apply and confirm, for 25 s", "taken back; the next up converges", watch)
    rehearsal.stack.up()
    rehearsal.converges()


def test_the_operators_connection_breaks_during_the_change(rehearsal: Rehearsal) -> None:
    rehearsal.stack.edit(*HARMLESS)
    with rehearsal.watched() as watch, cut(rehearsal, WHILE_IT_IS_APPLIED, 60):
        rehearsal.fails("sese: the connection broke during the change", "so the host took it back", "nobody confirmed it within")
    rehearsal.note("connection breaks", "while the change is made, for 60 s", "taken back; the next up converges", watch)
    rehearsal.stack.up()
    rehearsal.converges()


def test_a_host_that_loses_power_before_the_change_is_confirmed_comes_back(rehearsal: Rehearsal) -> None:
    rehearsal.stack.edit(*closing("sese"))
    container = rehearsal.lab.sese.container
    pulled = f"{BETWEEN_APPLY_AND_CONFIRM} echo now"
    trigger = subprocess.Popen([*rehearsal.lab.sese.exec_command(), "sh", "-c", pulled])

    def pull_the_plug() -> None:
        assert trigger.wait(timeout=60) == 0
        docker("kill", "--signal", "KILL", container)
        docker("start", container)

    with rehearsal.watched() as watch, ThreadPoolExecutor() as pool:
        plug = pool.submit(pull_the_plug)
        rehearsal.fails("sese: after the change nobody could log in", "the host was restarted before it was confirmed")
        plug.result()
    rehearsal.converges()
    rehearsal.note("power lost", "between apply and confirm of rules that close 804", "taken back at boot", watch)


def test_an_up_that_is_killed_before_it_confirms_leaves_a_change_that_goes_back(rehearsal: Rehearsal) -> None:
    stack, sese = rehearsal.stack, rehearsal.lab.sese
    stack.configure("revertSeconds", "40")
    stack.edit(*HARMLESS)
    stack.run("sh", "-c", "setsid sh -c 'echo $$ >/tmp/killed-up; exec pulumi up -ys lab --skip-preview' >/dev/null 2>&1 &")
    with rehearsal.watched() as watch:
        with cut(rehearsal, BETWEEN_APPLY_AND_CONFIRM, 4):
            until(lambda: "-A INPUT -i tailscale0 -j DROP" in sese.run(["iptables", "-S", "INPUT"]).stdout, 60)
            rehearsal.lab.operator.run(["sh", "-c", "pkill -KILL -s $(cat /tmp/killed-up)"])
        stack.pulumi("cancel", "--yes")
        rehearsal.fails(
            "sese: SSH and firewall stay as they were", "a change waits for its confirmation since", "sudo vpai-revert"
        )
        until(lambda: not pending(sese), 60)
    assert "nobody confirmed it within 40 s" in sese.run(["cat", "/var/lib/vpai/reverted"]).stdout
    rehearsal.note(
        "pulumi up killed", "SIGKILL between apply and confirm", "a change waits for its confirmation; then converges", watch
    )
    stack.up("--refresh")
    rehearsal.converges()


def test_a_member_whose_key_has_expired_opens_ssh_until_it_is_renewed(rehearsal: Rehearsal) -> None:
    stack, lab = rehearsal.stack, rehearsal.lab
    stack.configure("rescueMinutes", "1")
    stack.up()
    nodes = json.loads(headscale(lab.seko, "nodes", "list", "-o", "json"))
    [sese] = [str(node["id"]) for node in nodes if node["given_name"] == "sese"]
    with rehearsal.watched() as watch:
        headscale(lab.seko, "nodes", "expire", "--identifier", sese)
        start = time.monotonic()
        until(lambda: not rehearsal.logs_in("sese-mesh"), 30)
        stack.edit(*HARMLESS)
        rehearsal.fails("sese cannot be reached over SSH", "the key of sese has expired (make renew)")
        until(lambda: rehearsal.logs_in("sese-public"), 200)
        rescued = time.monotonic() - start
        rehearsal.fails("sese: this machine cannot log in over the mesh", "the key of sese has expired (make renew)")
        assert "sese: had expired, is a member again" in stack.operate("renew").stdout
        until(lambda: rehearsal.logs_in("sese-mesh"), 30)
    stack.up()
    assert not rehearsal.logs_in("sese-public")
    rehearsal.note(
        "mesh key expired", "headscale nodes expire", f"public SSH after {rescued:.0f} s; make renew; closed again", watch
    )
    rehearsal.converges()


def test_ssh_that_the_rescue_opened_is_closed_when_the_mesh_is_back(rehearsal: Rehearsal) -> None:
    stack, sese = rehearsal.stack, rehearsal.lab.sese
    stack.configure("rescueMinutes", "1")
    stack.up()
    with rehearsal.watched() as watch:
        sese.run(["systemctl", "stop", "tailscaled"])
        until(lambda: rehearsal.logs_in("sese-public"), 200)
        stack.up("--expect-no-changes")
        sese.run(["systemctl", "start", "tailscaled"])
        until(lambda: rehearsal.logs_in("sese-mesh"), 30)
    until(lambda: not rehearsal.logs_in("sese-public"), 120)
    rehearsal.note("tailscaled stops", "systemctl stop tailscaled", "public SSH after a minute; closed when it is back", watch)
    rehearsal.converges()


def test_the_operator_is_not_banned_in_the_mesh_and_gets_in_there_when_banned_elsewhere(rehearsal: Rehearsal) -> None:
    lab = rehearsal.lab
    mesh = lab.operator.run(["tailscale", "ip", "-4"]).stdout.strip()
    sese, public = lab.sese, lab.addresses.on_internet("operator")
    sese.run(["fail2ban-client", "set", "sshd", "banip", public])
    with rehearsal.watched() as watch:
        rehearsal.stack.up()
    rehearsal.note("banned by fail2ban", "the operator's public address", "nothing: the mesh is ignored by fail2ban", watch)
    with rehearsal.watched() as watch:
        sese.run(["fail2ban-client", "set", "sshd", "banip", mesh])
        until(lambda: not rehearsal.logs_in("sese-mesh"), 30)
        rehearsal.fails("sese cannot be reached over SSH")
        sese.run(["fail2ban-client", "unban", mesh])
    rehearsal.note("banned by fail2ban", "the mesh address, by hand", "another way in (console): fail2ban-client unban", watch)
    sese.run(["fail2ban-client", "unban", "--all"])


def test_the_hub_is_not_replaced_through_its_own_relay(rehearsal: Rehearsal) -> None:
    hub = rehearsal.lab.seko
    rehearsal.stack.edit("services/headscale.py", ("memory_mib=80", "memory_mib=72"))
    before = hub.run(["docker", "ps", "-q", "--no-trunc"]).stdout
    with without_udp(rehearsal), rehearsal.watched("seko") as watch:
        rehearsal.fails("this machine reaches seko only through the relay on seko itself", "tailscale ping seko")
    assert hub.run(["docker", "ps", "-q", "--no-trunc"]).stdout == before
    rehearsal.stack.up()
    rehearsal.note("path relayed by the hub", "UDP cut, then a change of Headscale", "refused; works with UDP again", watch)
    rehearsal.converges()
