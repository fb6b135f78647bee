"""The machines: address, host key, first user, memory."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

from model import ssh_key
from model.host import Host, Role
from model.settings import HostSettings
from operations.init import answers, machine
from operations.init.dialogue import Wrong
from operations.init.identity import append
from operations.init.session import Session
from operations.stack import PROJECT

RELEASES = get_args(HostSettings.model_fields["release"].annotation)
RENT = "rent"
ROLES: Mapping[str, str] = {
    str(Role.STACK): "the platform itself: databases, models, workflows, monitoring",
    str(Role.HUB): "the way in: the VPN's centre, and what the Internet may ask; a fixed public address",
    str(Role.WORKSTATION): "a machine at home that is watched, and fixes issues",
    str(Role.APPLICATIONS): "applications of your own (services/apps.py)",
}
_FRESH = (
    "Debian 13 or Ubuntu 24.04 as its provider hands it over, with your key for its first user: debian at OVH, root at Hetzner "
    "and Ionos, ubuntu on a Raspberry Pi."
)
_USUAL = {"firstUser": "root", "firstPort": 22, "release": RELEASES[0]}


def hosts(session: Session) -> None:
    """Ask for every machine that the stack needs; for a configured one only for missing settings, and for its host key."""
    missing = [role for role in _needed(session) if not _playing(session, role)]
    for name, host in _configured(session).items():
        if "server" in host:
            continue
        if "address" not in host:
            _named(session, name, tuple(host.get("roles", ())))
        elif name not in session.pinned:
            session.dialogue.topic(f"Host {name}", f"It is configured; its key is not pinned in {session.known_hosts.name}.")
            _pin(session, name, str(host["address"]), int(host.get("firstPort", 22)))
    for role in missing:
        if not _playing(session, role):
            _new(session, role)
    while missing and not session.is_copy and session.dialogue.yes("\nanother machine", enter="no"):
        _new(session)


def _configured(session: Session) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = session.written.values.get("hosts", {})
    return found


def _needed(session: Session) -> tuple[Role, ...]:
    """Roles that a fleet cannot do without; a copy rents its own server."""
    return (Role.HUB,) if session.is_copy else (Role.STACK, Role.HUB)


def _playing(session: Session, role: Role) -> list[str]:
    return [name for name, host in _configured(session).items() if role in host.get("roles", ())]


def _named(session: Session, name: str, roles: tuple[str, ...]) -> None:
    """Ask about a host whose roles are in the file and whose address is not."""
    session.dialogue.topic(f"Host {name}", "For: " + "; ".join(ROLES.get(role, role) for role in roles) + ".\n" + _FRESH)
    if not set(_needed(session)) & set(roles) and not session.dialogue.yes("is there such a machine"):
        session.written.set({"hosts": {other: host for other, host in _configured(session).items() if other != name}})
        return
    _host(session, name, roles)


def _new(session: Session, role: Role | None = None) -> None:
    """Ask for a new host, with its name and roles."""
    taken = {played for host in _configured(session).values() for played in host.get("roles", ()) if played != Role.WORKSTATION}
    free = {choice: text for choice, text in ROLES.items() if choice not in taken}
    example = {Role.STACK: "sese", Role.HUB: "seko"}.get(role or Role.APPLICATIONS, "app-prod-01")
    if session.is_copy:
        reported = "The hub of production's mesh, under its name there: the copy joins it. Nothing else is placed on it."
    else:
        reported = "A machine, and what it is for. One may be several:\n" + "\n".join(
            f"  {choice}: {text}" for choice, text in free.items()
        )
    session.dialogue.topic(
        f"The machine for the role {role}" if role else "A machine",
        f"{reported}\n{_FRESH}\nExample: name {example}, address 203.0.113.10, port 22, user debian",
    )
    name = session.dialogue.ask("name", answers.host_name(_configured(session).keys()), example=example)
    roles: tuple[str, ...] = (Role.HUB,)
    if not session.is_copy:
        # The most common fleet is one machine.
        usual = f"{Role.STACK}, {Role.HUB}" if role is Role.STACK and Role.HUB not in taken else role or ""
        read = _with(role, answers.some_of(free, "role"))
        roles = session.dialogue.ask("roles", read, enter=usual or None, example="stack, hub")
    _host(session, name, roles, _joined(session) if roles == (Role.HUB,) and not session.is_copy else {})


def _joined(session: Session) -> Mapping[str, Any]:
    """Settings of a hub that belongs to another stack, whose mesh this stack joins; empty when it does not."""
    if not session.dialogue.yes("is it the hub of another stack, whose mesh this one joins", enter="no"):
        return {}
    asked = {
        "server": ("where machines join that mesh", "mesh.example.org"),
        "domain": ("its hosts' names are below", "hosts.example.org"),
    }
    return {
        "mesh": {
            field: session.dialogue.ask(question, answers.setting("domain", "name in the DNS", example), example=example)
            for field, (question, example) in asked.items()
        }
    }


def _with(role: Role | None, read: Callable[[str], tuple[str, ...]]) -> Callable[[str], tuple[str, ...]]:
    def checked(answer: str) -> tuple[str, ...]:
        roles = read(answer)
        if role and role not in roles:
            raise Wrong(f"A machine with the role {role} is needed first. For example: {role}")
        return roles

    return checked


def _host(session: Session, name: str, roles: tuple[str, ...], joined: Mapping[str, Any] | None = None) -> None:
    played = {"roles": [str(role) for role in Role if role in roles], **(joined or {})}
    address, port = _reached(session, rented=set(roles) == {Role.APPLICATIONS})
    if address == RENT:
        session.written.set_host(name, {"server": {"location": "fsn1"}, **played})
        return
    _pin(session, name, address, port)
    user, facts = _let_in(session, name, address, port)
    memory, release = (facts.memory_mib, facts.release) if facts else _reported(session)
    plain = {"address": address, "memoryMib": memory, "firstUser": user, "firstPort": port, "release": release}
    session.written.set_host(name, {**{key: value for key, value in plain.items() if _USUAL.get(key) != value}, **played})


def _reached(session: Session, *, rented: bool) -> tuple[str, int]:
    """Address and port of a machine whose sshd answers, or that the operator keeps anyway; RENT when the stack rents it."""
    read = answers.of_host("address", "address: an IP address or a name, without user and port", "203.0.113.10")
    while True:
        question = f"address, or {RENT}: the stack makes a server at Hetzner" if rented else "address"
        address = session.dialogue.ask(
            question, lambda answer: answer if rented and answer == RENT else read(answer), example="203.0.113.10"
        )
        if address == RENT:
            return RENT, 0
        port = int(session.dialogue.ask("port of SSH", answers.of_host("firstPort", "port from 1 to 65535", "22"), enter="22"))
        if session.holds(_answers, (address, port)):
            return address, port


def _answers(endpoint: tuple[str, int]) -> None:
    machine.answers(*endpoint)


def _pin(session: Session, name: str, address: str, port: int) -> None:
    """Show the host's key, and pin it once the operator has compared it."""
    if name in session.pinned:
        session.dialogue.report(f"The key of {name} is pinned already, in {session.known_hosts.relative_to(PROJECT)}.")
        return
    report = session.dialogue.report
    try:
        key = machine.host_key(address, port)
    except Wrong as wrong:
        report(f"{wrong} It is not pinned, and an up refuses until it is.", indent="  ! ")
        return
    report(f"The machine at {address} shows this host key:\n    {ssh_key.fingerprint(key)} (ED25519)")
    report(
        "Log in on the provider's console (KVM, VNC, web console), where nobody can be in between, and let it say its key:\n"
        "    ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
    )
    if session.dialogue.yes("is it the same there"):
        append(session.known_hosts, (f"{name} {key}",))
        report(f"Pinned in {session.known_hosts.relative_to(PROJECT)}.")
    else:
        report(
            "Not pinned: somebody may sit in between and would get every secret, or the address is another machine's. An up "
            "refuses until the right key is pinned.",
            indent="  ! ",
        )


def _let_in(session: Session, name: str, address: str, port: int) -> tuple[str, machine.Facts | None]:
    """The first user and the machine's facts; no facts for a machine that is not pinned or that is kept unchecked."""
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
        session.dialogue.report(
            f"It lets you in: {facts.release}, {facts.memory_mib} MiB of memory, of which {facts.free_mib} are free."
        )
        if facts.release not in RELEASES:
            session.dialogue.report(f"It has to run {' or '.join(RELEASES)}: install {RELEASES[0]} before an up.", indent="  ! ")
            facts = replace(facts, release=RELEASES[0])
        return user, facts


def _facts(session: Session, host: Host) -> None:
    session.facts[host.name] = machine.facts(host, session.known_hosts, PROJECT / ".vpai" / session.stack / "init")


def _reported(session: Session) -> tuple[int, str]:
    """Memory and release as the operator reports them, for a machine that cannot be asked."""
    form = "number of MiB, 1024 at least; free -m shows it as total"
    memory = session.dialogue.ask("memory in MiB", answers.of_host("memoryMib", form, "2048"), example="2048")
    read = answers.of_host("release", f"release: {' or '.join(RELEASES)}", RELEASES[0])
    return int(memory), session.dialogue.ask("release", read, enter=RELEASES[0])
