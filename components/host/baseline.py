"""The desired state of a host except its firewall, its sshd and the mesh."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from components.host import audit, backup, fail2ban, sysctl, upgrades
from components.host.docker_daemon import SWEEPER, daemon_json, stopped_with_the_host, swept_bridges
from components.host.files import HostFile
from model import ssh_key
from model.host import DEPLOY_UID
from model.network import MESH
from model.problem import Problem, refuse

PACKAGES = (
    *("auditd", "ca-certificates", "curl", "fail2ban", "iproute2", "iptables", "jq", "nftables", "openssh-server", "procps"),
    *("python3-systemd", "sudo", "systemd-timesyncd", "tzdata", "ufw", "unattended-upgrades"),
)


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What scripts/baseline.sh puts in force."""

    user: str
    authorized_keys: tuple[str, ...]
    groups: tuple[str, ...]
    timezone: str
    packages: tuple[str, ...]
    packages_if_known: tuple[str, ...]
    """Packages that are missing in some releases."""
    tailscale: bool
    """Install Tailscale from its own packages; the distributions' are too old for a current hub."""
    files: tuple[HostFile, ...]
    sysctls: Mapping[str, str]
    kernel_sysctls: Mapping[str, str]
    """Parameters that a container cannot show."""
    units: tuple[str, ...]
    """Enabled and running."""
    machine_units: tuple[str, ...]
    """Enabled and running on a machine; a container cannot show them."""

    def payload(self) -> str:
        """What baseline.sh reads from stdin: one item a line, in the order of execution."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        keys = _encoded("".join(f"{key}\n" for key in self.authorized_keys))
        yield f"packages {' '.join(self.packages)}"
        yield f"packages-if-known {' '.join(self.packages_if_known)}"
        if self.tailscale:
            yield "tailscale"
        yield f"timezone {self.timezone}"
        # Before the files, because the sudo rule for the user needs an existing user.
        yield f"user {self.user} {DEPLOY_UID} {','.join(self.groups) or '-'} {keys}"
        for file in self.files:
            yield f"file {file.mode:04o} {file.path} {_encoded(file.content)}"
        yield f"units {' '.join(self.units)}"
        yield f"machine-units {' '.join(self.machine_units)}"


def baseline(
    *,
    user: str,
    authorized_keys: Sequence[str],
    timezone: str,
    docker: bool,
    dns: Sequence[str] = (),
    reboot_window: str | None = None,
    trusted: Sequence[str] = (),
    mesh: str = str(MESH),
    backed_up: backup.Schedule | None = None,
) -> Baseline:
    """The baseline of a host. `docker`: it runs containers, whose resolvers are `dns`. `reboot_window` "HH:MM": when the host may
    restart itself after an upgrade. fail2ban never bans `trusted` addresses nor the `mesh` (empty: the host is no member)."""
    refuse(_problems(user, authorized_keys, timezone, dns, reboot_window, trusted))
    return Baseline(
        user=user,
        authorized_keys=tuple(authorized_keys),
        groups=("docker",) if docker else (),
        timezone=timezone,
        packages=(*PACKAGES, *(("docker.io",) if docker else ())),
        packages_if_known=("docker-cli",) if docker else (),
        tailscale=bool(mesh),
        files=(
            HostFile(f"/etc/sudoers.d/{user}", f"{user} ALL=(ALL) NOPASSWD:ALL\n", mode=0o440),
            *sysctl.files(forwarding=docker),
            HostFile("/etc/systemd/journald.conf.d/60-vpai.conf", _JOURNALD),
            upgrades.apt_configuration(reboot_window),
            *audit.files(docker=docker),
            fail2ban.jail((*((mesh,) if mesh else ()), *trusted)),
            *((daemon_json(dns), *stopped_with_the_host(), *swept_bridges()) if docker else ()),
            *(backup.nightly(backed_up) if backed_up else ()),
        ),
        sysctls=sysctl.network_parameters(forwarding=docker),
        kernel_sysctls=sysctl.kernel_parameters(),
        units=(
            *("fail2ban.service", "unattended-upgrades.service"),
            *(("docker.service", SWEEPER) if docker else ()),
            *((backup.TIMER, backup.HOURLY) if backed_up else ()),
        ),
        machine_units=("auditd.service", "systemd-timesyncd.service", "apt-daily.timer", "apt-daily-upgrade.timer"),
    )


_JOURNALD = """[Journal]
Storage=persistent
SystemMaxUse=500M
MaxRetentionSec=7day
"""


def _encoded(content: str) -> str:
    return base64.b64encode(content.encode()).decode() or "-"


def _problems(
    user: str,
    authorized_keys: Sequence[str],
    timezone: str,
    dns: Sequence[str],
    reboot_window: str | None,
    trusted: Sequence[str],
) -> Iterator[Problem]:
    if user == "root" or not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", user):
        yield Problem(
            what=f"the deploy user {user!r} is not a name for one",
            why="sshd lets this user in and nobody else; root never logs in",
            fix="a lower case name of its own",
            example="deploy",
        )
    if not authorized_keys:
        yield Problem(
            what="no authorized key",
            why="the host would let nobody in",
            fix="give the public key of everybody who deploys",
            example="ssh-ed25519 AAAAC3Nz... you@laptop",
        )
    for number, key in enumerate(authorized_keys, 1):
        if fault := ssh_key.fault(key):
            yield Problem(
                what=f"key {number} of vpai:authorizedKeys {fault}",
                why="sshd ignores such a line in silence; its owner would be locked out",
                fix="give the one line of a .pub file; make a new key where the old one is too small",
                example="ssh-keygen -t ed25519; cat ~/.ssh/id_ed25519.pub",
            )
    if not re.fullmatch(r"[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*", timezone):
        yield Problem(
            what=f"{timezone!r} is not a time zone",
            why="logs, timers and the reboot window follow it",
            fix="a name below /usr/share/zoneinfo",
            example="Europe/Paris",
        )
    if reboot_window is not None and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", reboot_window):
        yield Problem(
            what=f"the reboot window {reboot_window!r} is not a time of day",
            why="unattended-upgrades would ignore it and never restart the host, or at any time",
            fix="HH:MM in the host's time zone; leave it out and the host never restarts by itself",
            example="04:30",
        )
    for address in dns:
        if not _is(address, ip_address):
            yield Problem(
                what=f"the resolver {address!r} is not an address",
                why="dockerd would not start, and with it no container",
                fix="an IPv4 or IPv6 address",
                example="9.9.9.9",
            )
    for address in trusted:
        if not _is(address, ip_network):
            yield Problem(
                what=f"the trusted address {address!r} is neither an address nor a range",
                why="fail2ban would not start, or ban whom it should spare",
                fix="an address or a range in CIDR notation, without host bits",
                example="203.0.113.7 or 203.0.113.0/24",
            )


def _is(text: str, kind: object) -> bool:
    assert callable(kind)
    try:
        kind(text)
    except ValueError:
        return False
    return True
