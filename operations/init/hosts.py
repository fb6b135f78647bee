"""The machines: where each is, whether it is the one that it seems to be, who may log in, how large it is."""

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

from model import ssh_key
from model.host import Host
from model.settings import HostSettings
from operations.init import answers, machine
from operations.init.dialogue import Wrong
from operations.init.identity import append
from operations.init.session import Session
from operations.stack import PROJECT

RELEASES = get_args(HostSettings.model_fields["release"].annotation)
_USUAL = {"firstUser": "root", "firstPort": 22, "release": RELEASES[0]}


def hosts(session: Session) -> None:
    """Every machine that the stack needs; of one that is configured, its key where none is pinned."""
    for name, host in session.written.values.get("hosts", {}).items():
        if "server" not in host and name not in session.pinned:
            session.dialogue.topic(f"Host {name}", f"It is configured; its key is not pinned in {session.known_hosts.name}.")
            _pin(session, name, str(host.get("address", "")), int(host.get("firstPort", 22)))
    for name, meaning in _wanted(session):
        if name not in session.written.values.get("hosts", {}):
            _host(session, name, meaning)


def _wanted(session: Session) -> Iterator[tuple[str, str]]:
    if session.is_copy:
        yield "seko", "the hub of production's mesh, which the copy joins; nothing else is placed on it"
    else:
        yield "sese", "the services"
        yield "seko", "the hub: the way in from the Internet, and the centre of the VPN"


def _host(session: Session, name: str, meaning: str) -> None:
    session.dialogue.topic(
        f"Host {name}",
        f"A machine for {meaning}. A fresh Debian 13 or Ubuntu 24.04, as its provider hands it over, with your key for its first "
        "user: debian at OVH, root at Hetzner and Ionos, ubuntu on a Raspberry Pi.\n"
        "Example: address 203.0.113.10, port 22, user debian",
    )
    address, port = _reached(session)
    _pin(session, name, address, port)
    user, facts = _let_in(session, name, address, port)
    memory, release = (facts.memory_mib, facts.release) if facts else _told(session)
    plain = {"address": address, "memoryMib": memory, "firstUser": user, "firstPort": port, "release": release}
    session.written.set_host(name, {key: value for key, value in plain.items() if _USUAL.get(key) != value})


def _reached(session: Session) -> tuple[str, int]:
    """Address and port of a machine whose sshd answers, or that is kept all the same."""
    form = "address: an IP address or a name, without user and port"
    while True:
        address = session.dialogue.ask("address", answers.of_host("address", form, "203.0.113.10"), example="203.0.113.10")
        port = int(session.dialogue.ask("port of SSH", answers.of_host("firstPort", "port from 1 to 65535", "22"), enter="22"))
        if session.holds(_answers, (address, port)):
            return address, port


def _answers(endpoint: tuple[str, int]) -> None:
    machine.answers(*endpoint)


def _pin(session: Session, name: str, address: str, port: int) -> None:
    """Show the host's key, and pin it when the operator has compared it."""
    if name in session.pinned:
        session.dialogue.say(f"The key of {name} is pinned already, in {session.known_hosts.relative_to(PROJECT)}.")
        return
    say = session.dialogue.say
    try:
        key = machine.host_key(address, port)
    except Wrong as wrong:
        say(f"{wrong} It is not pinned, and an up refuses until it is.", indent="  ! ")
        return
    say(f"The machine at {address} shows this host key:\n    {ssh_key.fingerprint(key)} (ED25519)")
    say(
        "Log in on the provider's console (KVM, VNC, web console), where nobody can be in between, and let it say its key:\n"
        "    ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
    )
    if session.dialogue.yes("is it the same there"):
        append(session.known_hosts, (f"{name} {key}",))
        say(f"Pinned in {session.known_hosts.relative_to(PROJECT)}.")
    else:
        say(
            "Not pinned: somebody may sit in between and would get every secret, or the address is another machine's. An up "
            "refuses until the right key is pinned.",
            indent="  ! ",
        )


def _let_in(session: Session, name: str, address: str, port: int) -> tuple[str, machine.Facts | None]:
    """The first user, and what the machine says to them; nothing of a machine that is not pinned, or kept unchecked."""
    while True:
        read = answers.of_host("firstUser", "name of a user", "debian")
        user = session.dialogue.ask("user who may log in", read, enter="root")
        if name not in session.pinned:
            return user, None
        host = Host(name=name, address=address, user="deploy", first_user=user, first_port=port, memory_mib=0)
        if not session.holds(lambda host: _facts(session, host), host):
            continue
        facts = session.facts.get(name)
        if facts is None:
            return user, None
        session.dialogue.say(
            f"It lets you in: {facts.release}, {facts.memory_mib} MiB of memory, of which {facts.free_mib} are free."
        )
        if facts.release not in RELEASES:
            session.dialogue.say(f"It has to run {' or '.join(RELEASES)}: install {RELEASES[0]} before an up.", indent="  ! ")
            facts = replace(facts, release=RELEASES[0])
        return user, facts


def _facts(session: Session, host: Host) -> None:
    session.facts[host.name] = machine.facts(host, session.known_hosts, PROJECT / ".vpai" / session.stack / "init")


def _told(session: Session) -> tuple[int, str]:
    """Memory and release, where the machine cannot be asked."""
    form = "number of MiB, 1024 at least; free -m shows it as total"
    memory = session.dialogue.ask("memory in MiB", answers.of_host("memoryMib", form, "2048"), example="2048")
    read = answers.of_host("release", f"release: {' or '.join(RELEASES)}", RELEASES[0])
    return int(memory), session.dialogue.ask("release", read, enter=RELEASES[0])
