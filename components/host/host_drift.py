"""The differences between a host's desired and actual state."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from components.host import docker_daemon
from components.host.baseline import Baseline
from components.host.facts import Facts
from components.host.files import HostFile
from components.host.sshd import SOCKET_DROP_IN

SWAP_BELOW_MIB = 6144
"""As in scripts/baseline.sh."""


class Fix(StrEnum):
    """The command that corrects a difference."""

    BASELINE = "apply the baseline again"
    ACCESS = "apply SSH and firewall again"
    MESH = "join the mesh again"
    HAND = "look into it on the host"


@dataclass(frozen=True, kw_only=True)
class DesiredMesh:
    """Desired membership of the mesh: the name with its domain, the hub's URL, the tags in order."""

    name: str
    login_server: str
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DesiredHost:
    """Desired state of a host: its baseline, its SSH and firewall, and its membership of the mesh."""

    baseline: Baseline
    access_files: tuple[HostFile, ...]
    access_units: tuple[str, ...]
    ufw_rules: tuple[str, ...]
    """As `ufw show added` prints them, without the word `ufw`; their order has no meaning."""
    forward_rules_v4: tuple[str, ...]
    forward_rules_v6: tuple[str, ...]
    """The chains DOCKER-USER and VPAI-* as `iptables -S` prints them, each chain in its order."""
    sshd: Mapping[str, str]
    mesh: DesiredMesh | None

    @property
    def ssh_ports(self) -> tuple[int, ...]:
        return tuple(sorted(map(int, self.sshd["port"].split())))

    def questions(self) -> str:
        """The input of facts.sh on stdin."""
        return "".join(
            [
                *(f"file {file.path}\n" for file in (*self.baseline.files, *self.access_files)),
                *(f"sysctl {key}\n" for key in (*self.baseline.sysctls, *self.baseline.kernel_sysctls)),
                *(f"unit {unit}\n" for unit in (*self.baseline.units, *self.baseline.machine_units, *self.access_units)),
                "unit ssh.socket\n",
                f"user {self.baseline.user}\n",
            ]
        )


@dataclass(frozen=True)
class Difference:
    """One difference between desired and actual state."""

    subject: str
    expected: str
    found: str
    fix: Fix


def differences(desired: DesiredHost, facts: Facts) -> tuple[Difference, ...]:
    """All differences, SSH and firewall first."""
    return (
        *_sshd(desired, facts),
        *_keys(desired.baseline.authorized_keys, facts.authorized_keys),
        *_ufw(desired, facts),
        *_chains(desired, facts),
        *_mesh(desired.mesh, facts),
        *_files(_access_files(desired, facts), facts, Fix.ACCESS),
        *_units(desired.access_units, facts, Fix.ACCESS),
        *_files(desired.baseline.files, facts, Fix.BASELINE),
        *_machine(desired.baseline, facts),
        *_docker(desired.baseline, facts),
    )


def not_shown(facts: Facts) -> tuple[str, ...]:
    """What cannot be checked on a host that is a container: it belongs to the machine around it."""
    return ("swap", "kernel parameters", "auditd", "clock", "timers of apt") if facts.container else ()


def _sshd(desired: DesiredHost, facts: Facts) -> Iterator[Difference]:
    if facts.sshd_error:
        yield Difference("sshd's configuration", "valid", facts.sshd_error.splitlines()[-1], Fix.ACCESS)
    else:
        for key, expected in desired.sshd.items():
            if (found := facts.sshd.get(key, "not set")) != expected:
                yield Difference(f"sshd {key}", expected, found, Fix.ACCESS)
    if desired.ssh_ports != facts.sshd_ports:
        yield Difference("sshd listens on", _text(desired.ssh_ports), _text(facts.sshd_ports), Fix.ACCESS)


def _keys(expected: Sequence[str], found: Sequence[str]) -> Iterator[Difference]:
    for key in expected:
        if key not in found:
            yield Difference("authorized key", _short(key), "missing", Fix.BASELINE)
    for key in found:
        if key not in expected:
            yield Difference("authorized key", "nobody else", _short(key), Fix.BASELINE)


def _short(key: str) -> str:
    """An authorized key in short: type, last characters, comment."""
    kind, _, rest = key.partition(" ")
    body, _, comment = rest.partition(" ")
    return " ".join(part for part in (kind, f"...{body[-8:]}", comment) if part)


def _ufw(desired: DesiredHost, facts: Facts) -> Iterator[Difference]:
    found = facts.firewall
    if found is None or not found.active:
        yield Difference("UFW", "active", "not installed" if found is None else "inactive", Fix.ACCESS)
        return
    for subject, expected, shown in (
        ("UFW at boot", "enabled", "enabled" if found.at_boot else "disabled"),
        ("UFW for IPv6", "on", "on" if found.ipv6 else "off"),
        ("UFW default for incoming", "deny", found.incoming),
        ("UFW default for outgoing", "allow", found.outgoing),
        ("UFW rules in force, of those stored", _text(found.stored), _text(found.loaded)),
    ):
        if expected != shown:
            yield Difference(subject, expected, shown, Fix.ACCESS)
    for rule in desired.ufw_rules:
        if rule not in found.rules:
            yield Difference("UFW rule", rule, "missing", Fix.ACCESS)
    for rule in found.rules:
        if rule not in desired.ufw_rules:
            yield Difference("UFW rule", "no such rule", rule, Fix.ACCESS)


def _chains(desired: DesiredHost, facts: Facts) -> Iterator[Difference]:
    for version, expected, found in (
        ("IPv4", desired.forward_rules_v4, facts.rules_v4),
        ("IPv6", desired.forward_rules_v6, facts.rules_v6),
    ):
        for rule in found:
            if _chain(rule) == "INPUT" and not _target(rule).startswith(("ufw-", "ufw6-", "VPAI-")):
                yield Difference(f"{version} rule before UFW", "no such rule", rule, Fix.HAND)
        chains = dict.fromkeys([*map(_chain, expected), *(chain for chain in map(_chain, found) if _ours(chain))])
        for chain in chains:
            yield from _rules(
                f"{version} {chain}",
                [rule for rule in expected if _chain(rule) == chain],
                [rule for rule in found if _chain(rule) == chain],
            )
        for chain in dict.fromkeys(map(_chain, expected)):
            if not any(_target(rule) == chain for rule in found):
                yield Difference(f"{version} {chain}", "traffic goes through it", "nothing leads into it", Fix.ACCESS)


def _rules(subject: str, expected: list[str], found: list[str]) -> Iterator[Difference]:
    if not expected and found == ["-A DOCKER-USER -j RETURN"]:
        # Docker's own default rule, where no rule of ours is desired.
        return
    for rule in expected:
        if rule not in found:
            yield Difference(subject, rule, "missing", Fix.ACCESS)
    for rule in found:
        if rule not in expected:
            yield Difference(subject, "no such rule", rule, Fix.ACCESS)
    if sorted(expected) == sorted(found) and expected != found:
        first = next(index for index, pair in enumerate(zip(expected, found, strict=True)) if pair[0] != pair[1])
        yield Difference(f"{subject}, rule {first + 1}", expected[first], found[first], Fix.ACCESS)


def _chain(rule: str) -> str:
    return rule.split()[1]


def _target(rule: str) -> str:
    return rule.partition(" -j ")[2].split(" ")[0]


def _ours(chain: str) -> bool:
    return chain == "DOCKER-USER" or chain.startswith("VPAI-")


def _mesh(desired: DesiredMesh | None, facts: Facts) -> Iterator[Difference]:
    if desired is None:
        return
    if facts.mesh is None:
        yield Difference("mesh", "a member", "tailscaled does not answer", Fix.MESH)
        return
    for subject, expected, found in (
        ("mesh state", "Running", facts.mesh.state),
        ("mesh name", desired.name, facts.mesh.name),
        ("mesh login server", desired.login_server, facts.mesh.server),
        ("mesh tags", _text(desired.tags), _text(facts.mesh.tags)),
        # Tailscale's own rules would let the whole mesh past UFW (docs/adr/0009-netfilter-off.md).
        ("tailscale's own firewall rules", "off", "off" if facts.mesh.netfilter_mode == 0 else "on"),
    ):
        if expected != found:
            yield Difference(subject, expected, found, Fix.MESH)


def _access_files(desired: DesiredHost, facts: Facts) -> list[HostFile]:
    """The desired files. The socket's file is among them only where a socket listens for sshd."""
    socket = facts.units.get("ssh.socket")
    listens = socket is not None and socket.active == "active"
    return [file for file in desired.access_files if listens or file.path != SOCKET_DROP_IN]


def _files(expected: Sequence[HostFile], facts: Facts, fix: Fix) -> Iterator[Difference]:
    for file in expected:
        found_file = facts.files.get(file.path)
        if found_file is None:
            yield Difference(file.path, "there", "missing", fix)
            continue
        if found_file.sha256 != file.sha256:
            yield Difference(file.path, f"sha256 {file.sha256[:12]}", f"sha256 {found_file.sha256[:12]}", fix)
        if (found_file.mode, found_file.owner) != (file.mode, "root:root"):
            yield Difference(file.path, f"{file.mode:o} root:root", f"{found_file.mode:o} {found_file.owner}", fix)


def _machine(baseline: Baseline, facts: Facts) -> Iterator[Difference]:
    if facts.timezone != baseline.timezone:
        yield Difference("time zone", baseline.timezone, facts.timezone or "none", Fix.BASELINE)
    sysctls, units = dict(baseline.sysctls), baseline.units
    if not facts.container:
        sysctls |= baseline.kernel_sysctls
        units += baseline.machine_units
        if facts.memory_mib < SWAP_BELOW_MIB and not facts.swap_mib:
            yield Difference("swap", "2048 MiB", "none", Fix.BASELINE)
    for key, expected in sysctls.items():
        if (value := facts.sysctls.get(key, "unknown")) != expected:
            yield Difference(key, expected, value, Fix.BASELINE)
    yield from _units(units, facts, Fix.BASELINE)


def _units(units: Sequence[str], facts: Facts, fix: Fix) -> Iterator[Difference]:
    for unit in units:
        state = facts.units.get(unit)
        shown = f"{state.active}, {state.enabled or 'no such unit'}" if state else "not asked"
        if shown != "active, enabled":
            yield Difference(unit, "active, enabled", shown, fix)


def _docker(baseline: Baseline, facts: Facts) -> Iterator[Difference]:
    daemon_json = next((file for file in baseline.files if file.path == docker_daemon.PATH), None)
    if daemon_json is None:
        return
    if facts.docker is None:
        yield Difference("dockerd", "answers", "does not answer", Fix.BASELINE)
        return
    settings = json.loads(daemon_json.content)
    pools = tuple((pool["base"], pool["size"]) for pool in settings["default-address-pools"])
    for subject, expected, found in (
        ("dockerd live-restore", settings["live-restore"], facts.docker.live_restore),
        ("dockerd log-driver", settings["log-driver"], facts.docker.log_driver),
        ("dockerd no-new-privileges", settings["no-new-privileges"], facts.docker.no_new_privileges),
        ("dockerd default-address-pools", pools, facts.docker.pools),
        ("dockerd started after its file was written", True, facts.docker.read_its_file),
    ):
        if expected != found:
            yield Difference(subject, str(expected), str(found), Fix.BASELINE)


def _text(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "none"
