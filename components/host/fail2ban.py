"""fail2ban: bans addresses after failed logins, except the mesh's and trusted ones."""

from collections.abc import Sequence

from components.host.files import HostFile

PATH = "/etc/fail2ban/jail.d/60-vpai.local"


def jail(spared: Sequence[str]) -> HostFile:
    """`spared`: addresses and ranges that are never banned."""
    return HostFile(
        PATH,
        f"""[DEFAULT]
ignoreip = 127.0.0.0/8 ::1 {" ".join(spared)}
# A table of its own: `ufw reload` flushes INPUT, and would take bans by iptables with it.
banaction = nftables[blocktype=drop]
banaction_allports = nftables[type=allports, blocktype=drop]
bantime = 1h
findtime = 10m
maxretry = 3

[sshd]
enabled = true
# Debian 13 has no auth.log.
backend = systemd
port = 22,804
# Also who offers a wrong key, or none: nobody but the spared has business here.
mode = aggressive
""",
    )
