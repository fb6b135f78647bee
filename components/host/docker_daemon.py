"""daemon.json of a host that runs containers, and how it meets section 2 of the CIS Docker benchmark."""

import json
from collections.abc import Mapping, Sequence
from datetime import date

from components.host.control import Control, Deviation, Inherent, Setting
from components.host.files import HostFile, installed
from model import waiver
from model.network import DOCKER_POOL

PATH = "/etc/docker/daemon.json"

OPEN_FILES = 16384
"""Limit of each process of a container."""

_POOL_SIZE = 24


def daemon_json(dns: Sequence[str]) -> HostFile:
    """daemon.json. `dns` are the containers' resolvers; empty: the host's."""
    settings = {
        "default-address-pools": [{"base": str(DOCKER_POOL), "size": _POOL_SIZE}],
        # A service that needs more files sets its own limit. No nproc: it counts by user id over all containers of the host,
        # and one busy container would starve the others.
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": OPEN_FILES, "Hard": OPEN_FILES}},
        **({"dns": list(dns)} if dns else {}),
        "icc": False,
        "iptables": True,
        "live-restore": True,
        "log-driver": "json-file",
        "log-level": "info",
        "log-opts": {"max-file": "3", "max-size": "10m"},
        "no-new-privileges": True,
        "userland-proxy": False,
    }
    return HostFile(PATH, json.dumps(settings, indent=2) + "\n")


def stopped_with_the_host() -> tuple[HostFile, ...]:
    """Program and unit that stop containers in order when the host shuts down: with live-restore dockerd does not stop them."""
    stop = "[Service]\nExecStop=-/usr/local/sbin/vpai-containers list\nExecStopPost=-/usr/local/sbin/vpai-containers end\n"
    return installed("vpai-containers"), HostFile("/etc/systemd/system/docker.service.d/vpai.conf", stop)


def swept_bridges() -> tuple[HostFile, ...]:
    """Program and units that remove interfaces that Docker forgot with live-restore, at each container start (docs/adr/0027)."""
    return (
        installed("vpai-interfaces"),
        HostFile("/etc/systemd/system/vpai-interfaces.service", _SWEEP),
        HostFile(f"/etc/systemd/system/{SWEEPER}", _SWEEP_AT),
    )


SWEEPER = "vpai-interfaces.path"

# No start limit: any number of containers may start at once.
_SWEEP = """[Unit]
Description=Remove interfaces of containers that have ended
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/vpai-interfaces
"""

# Docker creates a file in this directory for each container that starts.
_SWEEP_AT = """[Unit]
Description=Look for interfaces of containers that have ended whenever one starts

[Path]
PathChanged=/run/docker/netns
TriggerLimitIntervalSec=0

[Install]
WantedBy=multi-user.target
"""

CONTROLS: Mapping[str, Control] = {
    "2.1": Deviation(
        "rootless daemon", "it cannot publish 80 and 443 with the clients' addresses, nor keep them from mesh rules"
    ),
    "2.2": Setting("no traffic between containers of the default bridge", {"icc": "false"}),
    "2.3": Setting("log level", {"log-level": "info"}),
    "2.4": Setting("Docker writes its own iptables rules", {"iptables": "true"}),
    "2.5": Inherent("no insecure registries", "none is named"),
    "2.6": Inherent("no aufs", "Docker 24 removed it"),
    "2.7": Inherent("TLS on a TCP socket", "the daemon listens on its Unix socket only; clients come over SSH"),
    "2.8": Setting("default ulimits", {"default-ulimits": f"nofile={OPEN_FILES}:{OPEN_FILES}"}),
    "2.9": Deviation(
        "user namespaces",
        "data directories belong to the images' own user ids, on the host and in backups; "
        "containers drop their capabilities and most are not root",
    ),
    "2.10": Inherent("default cgroup parent", "not set"),
    "2.11": Inherent("base device size untouched", "not set; overlay2 has none"),
    "2.12": Deviation(
        "authorization plugin",
        "whoever reaches the socket is the deploy user, who is root by sudo; a plugin would guard nothing and is one more thing "
        "that can keep the daemon down",
    ),
    "2.13": Deviation(
        "remote logging",
        "logs stay in bounded files, from which the stack's own collector ships them: a remote driver would stop containers "
        "when the receiver is away",
        {"log-driver": "json-file", "log-opts": "max-size=10m max-file=3"},
    ),
    "2.14": Setting("no new privileges", {"no-new-privileges": "true"}),
    "2.15": Setting(
        "live restore",
        {"live-restore": "true"},
        "excludes Swarm: a host cannot have both, and this fleet has no Swarm",
    ),
    "2.16": Setting("no userland proxy", {"userland-proxy": "false"}),
    "2.17": Inherent("seccomp profile", "Docker's default profile; no other is named"),
    "2.18": Inherent("no experimental features", "not set; so Docker before 27 publishes on IPv4 only"),
}
"""CIS Docker section 2, ids as in docker-bench-security (2024-10)."""

_RULES = {"2.9": "daemon-user-namespaces", "2.12": "daemon-authorization", "2.13": "daemon-remote-logging"}

WAIVERS = tuple(
    waiver.Waiver(rule=rule, reason=control.reason, until=date(2027, 6, 21))
    for number, rule in _RULES.items()
    if isinstance(control := CONTROLS[number], Deviation)
)
"""The same deviations as waivers for the policy pack, which reads the file that goes to the host; 2.1 shows in no file."""
