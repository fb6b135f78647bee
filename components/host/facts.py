"""The state of a host as scripts/facts.sh prints it, parsed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FoundFile:
    """A file that exists."""

    sha256: str
    mode: int
    owner: str
    """user:group"""


@dataclass(frozen=True)
class FoundUnit:
    """A systemd unit, in systemd's words."""

    active: str
    enabled: str
    """Empty for a unit that does not exist."""


@dataclass(frozen=True, kw_only=True)
class FoundDocker:
    """The settings that dockerd runs with, not those of its file."""

    live_restore: bool
    log_driver: str
    pools: tuple[tuple[str, int], ...]
    no_new_privileges: bool
    read_its_file: bool
    """Whether the file is older than the daemon's start."""


@dataclass(frozen=True, kw_only=True)
class FoundMesh:
    """Membership of the mesh, as tailscaled reports it."""

    state: str
    name: str
    server: str
    tags: tuple[str, ...]
    netfilter_mode: int


@dataclass(frozen=True, kw_only=True)
class FoundFirewall:
    """UFW, and the iptables rules beside it."""

    active: bool
    at_boot: bool
    ipv6: bool
    incoming: str
    outgoing: str
    rules: tuple[str, ...]
    """As `ufw show added` prints them, without the word `ufw`."""
    stored: tuple[int, int]
    loaded: tuple[int, int]
    """Number of rules (IPv4, IPv6) in UFW's files and in force."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The state of one host at one moment. None: the host does not have this, or it does not answer."""

    release: str
    container: str
    """The kind of container that this host is; empty for a machine."""
    booted: int
    reboot_required: bool
    timezone: str
    memory_mib: int
    swap_mib: int
    files: Mapping[str, FoundFile]
    sysctls: Mapping[str, str]
    units: Mapping[str, FoundUnit]
    authorized_keys: tuple[str, ...]
    sshd: Mapping[str, str]
    """The values of a repeated key are sorted and joined by blanks."""
    sshd_error: str
    sshd_ports: tuple[int, ...]
    firewall: FoundFirewall | None
    rules_v4: tuple[str, ...]
    rules_v6: tuple[str, ...]
    """Rules of INPUT, DOCKER-USER, our own chains and the chains that lead into them, as `iptables -S` prints them."""
    docker: FoundDocker | None
    mesh: FoundMesh | None


def parse(text: str) -> Facts:
    """Facts from the output of facts.sh; raises `ValueError` when the output ends before the first fact."""
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        section, _, content = line.partition("\t")
        sections.setdefault(section, []).append(content)
    if "host" not in sections:
        raise ValueError(f"facts.sh printed nothing about its host, but: {text[:200]!r}")
    host = _words(sections["host"])
    return Facts(
        release=host["release"],
        container=host.get("container", "").removeprefix("none"),
        booted=int(host["booted"]),
        reboot_required="reboot-required" in host,
        timezone=host.get("timezone", ""),
        memory_mib=int(host["memory"]),
        swap_mib=int(host["swap"]),
        files=_files(sections.get("mode", []), sections.get("sha256", [])),
        sysctls=_sysctls(sections.get("sysctl", [])),
        units=_units(sections.get("unit", [])),
        authorized_keys=tuple(line for line in sections.get("key", []) if line.strip() and not line.startswith("#")),
        sshd=_sshd(sections.get("sshd", [])),
        sshd_error="\n".join(sections.get("sshd-error", [])),
        sshd_ports=tuple(map(int, sections.get("sshd-port", []))),
        firewall=_firewall(sections),
        rules_v4=tuple(sections.get("rule-v4", [])),
        rules_v6=tuple(sections.get("rule-v6", [])),
        docker=_docker(sections),
        mesh=_mesh(sections),
    )


def _words(lines: list[str]) -> dict[str, str]:
    """The first word of each line -> the rest of it."""
    return {key: value for key, _, value in (line.partition(" ") for line in lines)}


def _files(modes: list[str], digests: list[str]) -> dict[str, FoundFile]:
    sums = {path: digest for digest, _, path in (line.partition("  ") for line in digests)}
    found = {}
    for line in modes:
        mode, owner, path = line.split(" ", 2)
        found[path] = FoundFile(sums.get(path, ""), int(mode, 8), owner)
    return found


def _sysctls(lines: list[str]) -> dict[str, str]:
    return {key: " ".join(value.split()) for key, _, value in (line.partition(" = ") for line in lines)}


def _units(lines: list[str]) -> dict[str, FoundUnit]:
    found = {}
    for block in "\n".join(lines).split("\n\n"):
        values = {key: value for key, _, value in (line.partition("=") for line in block.splitlines())}
        if "Id" in values:
            found[values["Id"]] = FoundUnit(values.get("ActiveState", ""), values.get("UnitFileState", ""))
    return found


def _sshd(lines: list[str]) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for line in lines:
        key, _, value = line.partition(" ")
        values.setdefault(key, []).append(value)
    return {key: " ".join(sorted(found)) for key, found in values.items()}


def _firewall(sections: Mapping[str, list[str]]) -> FoundFirewall | None:
    if "ufw" not in sections:
        return None
    said = {key: value for key, _, value in (line.partition(": ") for line in sections["ufw"])}
    # "deny (incoming), allow (outgoing), deny (routed)"
    default = {kind.strip("()"): action for action, kind in (part.split(" ", 1) for part in _parts(said.get("Default", "")))}
    settings = _words(sections.get("ufw-setting", []))
    counts = [_pair(sections, f"ufw-stored-loaded-v{version}") for version in (4, 6)]
    return FoundFirewall(
        active=said.get("Status") == "active",
        at_boot=settings.get("enabled") == "yes",
        ipv6=settings.get("ipv6") == "yes",
        incoming=default.get("incoming", ""),
        outgoing=default.get("outgoing", ""),
        rules=tuple(sections.get("ufw-rule", [])),
        stored=(counts[0][0], counts[1][0]),
        loaded=(counts[0][1], counts[1][1]),
    )


def _parts(text: str) -> list[str]:
    return [part for part in text.split(", ") if part]


def _pair(sections: Mapping[str, list[str]], name: str) -> tuple[int, int]:
    first, second = sections.get(name, ["0 0"])[0].split()
    return int(first), int(second)


def _docker(sections: Mapping[str, list[str]]) -> FoundDocker | None:
    if "docker" not in sections:
        return None
    said: Mapping[str, Any] = json.loads(sections["docker"][0])
    started, written = _pair(sections, "docker-started-written")
    return FoundDocker(
        live_restore=said["live_restore"],
        log_driver=said["log_driver"],
        pools=tuple((pool["Base"], pool["Size"]) for pool in said["pools"] or ()),
        no_new_privileges="name=no-new-privileges" in said["security"],
        read_its_file=started >= written,
    )


def _mesh(sections: Mapping[str, list[str]]) -> FoundMesh | None:
    if "mesh" not in sections or "mesh-settings" not in sections:
        return None
    status: Mapping[str, Any] = json.loads(sections["mesh"][0])
    settings: Mapping[str, Any] = json.loads(sections["mesh-settings"][0])
    return FoundMesh(
        state=status["state"],
        name=(status["name"] or "").rstrip("."),
        server=settings["server"] or "",
        tags=tuple(sorted(status["tags"])),
        netfilter_mode=settings["netfilter_mode"],
    )
