"""All files of a host that decide who may log in and who may connect. access.sh puts them in force at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.host import firewall as rendered
from components.host import sshd
from components.host.files import HostFile, installed
from components.host.release import Release
from model.firewall import PUBLIC_SSH, Firewall
from model.host import SSH_PORT


@dataclass(frozen=True, kw_only=True)
class Access:
    """SSH and firewall of one host. `rescue_minutes`: minutes without a mesh until SSH opens to the public; 0: never."""

    firewall: Firewall
    user: str
    release: Release
    trusted: Sequence[str]
    rescue_minutes: int

    def ufw_rules(self, *, ssh_public: bool) -> tuple[str, ...]:
        """The host's ingress rules in UFW's syntax."""
        return rendered.ufw_rules(self.firewall, ssh_public=ssh_public)

    def files(self, *, ssh_public: bool) -> tuple[HostFile, ...]:
        """All files, with SSH open to the public or to the mesh alone."""
        v4, v6 = rendered.tables(self.firewall)
        return (
            sshd.drop_in([SSH_PORT], self.user, self.release, self.trusted),
            sshd.socket_drop_in([SSH_PORT]),
            HostFile("/etc/vpai/ufw.rules", _lines(self.ufw_rules(ssh_public=ssh_public))),
            HostFile("/etc/vpai/forward.v4", v4),
            HostFile("/etc/vpai/forward.v6", v6),
            *(installed(program) for program in ("vpai-revert", "vpai-forward", "vpai-rescue")),
            HostFile("/etc/systemd/system/vpai-revert.service", _REVERT),
            HostFile("/etc/systemd/system/vpai-forward.service", _FORWARD),
            HostFile("/etc/systemd/system/vpai-rescue.service", self._rescue_service()),
            HostFile("/etc/systemd/system/vpai-rescue.timer", _RESCUE_TIMER),
        )

    def _rescue_service(self) -> str:
        [rule] = rendered.ufw_rules(Firewall(ssh=PUBLIC_SSH, openings=(), has_mesh=False, has_containers=False), ssh_public=False)
        minutes = self.rescue_minutes if self.firewall.has_mesh else 0
        return f"""[Unit]
Description=Open SSH to the public while this host is without its mesh

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/vpai-rescue {minutes} "{rule}"
"""


_REVERT = """[Unit]
Description=Take back a change of SSH or firewall that was not confirmed before the restart
ConditionPathExists=/var/lib/vpai/transaction/files.tar
DefaultDependencies=no
After=local-fs.target
Before=ufw.service ssh.service ssh.socket vpai-forward.service docker.service network-pre.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/vpai-revert boot

[Install]
WantedBy=multi-user.target
"""

_FORWARD = """[Unit]
Description=Rules for what Docker forwards and for forged mesh addresses
After=vpai-revert.service
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/vpai-forward

[Install]
WantedBy=multi-user.target
"""

_RESCUE_TIMER = """[Unit]
Description=Look every minute whether this host is in its mesh

[Timer]
OnBootSec=1min
OnUnitActiveSec=1min
AccuracySec=5s

[Install]
WantedBy=timers.target
"""


def _lines(rules: Sequence[str]) -> str:
    return "".join(f"{rule}\n" for rule in rules)
