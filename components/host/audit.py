"""auditd's rules: who became root, and who changed a file that decides who may log in or connect."""

from components.host.files import HostFile

RULES_PATH = "/etc/audit/rules.d/60-vpai.rules"

# A container shares the audit system of its machine's kernel, so these units would only fail in it.
_MACHINES_ONLY = "[Unit]\nConditionVirtualization=!container\n"

_RULES = """-a always,exit -F arch=b64 -S execve -F euid=0 -F auid>=1000 -F auid!=unset -k root-command
-w /etc/sudoers -p wa -k sudoers
-w /etc/sudoers.d/ -p wa -k sudoers
-w /etc/ssh/ -p wa -k sshd
-w /etc/ufw/ -p wa -k firewall
-w /etc/audit/ -p wa -k audit
-w /etc/passwd -p wa -k identity
-w /etc/group -p wa -k identity
-w /etc/shadow -p wa -k identity
"""

_DOCKER_RULES = """-w /etc/docker/ -p wa -k docker
-w /etc/default/docker -p wa -k docker
-w /usr/bin/docker -p wa -k docker
-w /usr/bin/containerd -p wa -k docker
-w /usr/bin/runc -p wa -k docker
"""


def files(*, docker: bool) -> tuple[HostFile, ...]:
    """The rules, and the condition under which they are loaded."""
    return (
        HostFile(RULES_PATH, _RULES + (_DOCKER_RULES if docker else ""), mode=0o640),
        HostFile("/etc/systemd/system/auditd.service.d/vpai.conf", _MACHINES_ONLY),
        HostFile("/etc/systemd/system/audit-rules.service.d/vpai.conf", _MACHINES_ONLY),
    )
