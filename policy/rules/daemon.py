"""Docker's daemon: daemon.json as a host's baseline writes it."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from policy.meaning.commands import written_files
from policy.meaning.paths import canonical
from policy.program import LOCAL_COMMAND, MANAGED_HOST, Program, Resource
from policy.rule import Finding, ResourceRule, Severity

_DAEMON_JSON = "/etc/docker/daemon.json"
_JUDGED = frozenset(
    {"icc", "log-level", "iptables", "insecure-registries", "storage-driver", "hosts", "tlsverify", "default-ulimits"}
    | {"cgroup-parent", "storage-opts", "no-new-privileges", "live-restore", "userland-proxy", "seccomp-profile"}
    | {"experimental", "userns-remap", "authorization-plugins", "log-driver"}
)
_HARMLESS = frozenset({"default-address-pools", "dns", "log-opts"})
"""Keys that only set DNS, address ranges and the length of logs."""

_SETTINGS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], bool]]] = {
    "CIS-2.2": ("icc is not false", lambda daemon: daemon.get("icc") is False),
    "CIS-2.3": ("log-level is not info", lambda daemon: daemon.get("log-level", "info") == "info"),
    "CIS-2.4": ("iptables is off", lambda daemon: daemon.get("iptables", True) is True),
    "CIS-2.5": ("insecure-registries are named", lambda daemon: not daemon.get("insecure-registries")),
    "CIS-2.6": ("storage-driver is aufs", lambda daemon: daemon.get("storage-driver") != "aufs"),
    "CIS-2.7": ("a TCP socket has no TLS", lambda daemon: daemon.get("tlsverify") is True or not _tcp(daemon)),
    "CIS-2.8": ("default-ulimits are missing", lambda daemon: "nofile" in daemon.get("default-ulimits", {})),
    "CIS-2.10": ("cgroup-parent is set", lambda daemon: not daemon.get("cgroup-parent")),
    "CIS-2.11": ("the base device size is changed", lambda daemon: "dm.basesize" not in str(daemon.get("storage-opts"))),
    "CIS-2.14": ("no-new-privileges is not true", lambda daemon: daemon.get("no-new-privileges") is True),
    "CIS-2.15": ("live-restore is not true", lambda daemon: daemon.get("live-restore") is True),
    "CIS-2.16": ("userland-proxy is not false", lambda daemon: daemon.get("userland-proxy") is False),
    "CIS-2.17": ("the seccomp profile is off", lambda daemon: daemon.get("seccomp-profile", "builtin") == "builtin"),
    "CIS-2.18": ("experimental is on", lambda daemon: not daemon.get("experimental")),
}


def _tcp(daemon: Mapping[str, Any]) -> bool:
    return any(not str(host).startswith(("unix://", "fd://")) for host in daemon.get("hosts", ()))


def _daemon_json(command: Resource, program: Program) -> Mapping[str, Any] | None:
    """The daemon.json that a host's baseline writes; None for any other command."""
    parent = program.parent(command)
    files = written_files(command.text("stdin")) if parent and parent.type == MANAGED_HOST else ()
    # The last write of a file wins.
    found = [content for path, content in files if canonical(path) == _DAEMON_JSON]
    daemon: Mapping[str, Any] | None = json.loads(found[-1]) if found else None
    return daemon


def _settings(command: Resource, program: Program) -> Iterator[Finding]:
    daemon = _daemon_json(command, program)
    for control, (what, is_met) in _SETTINGS.items() if daemon is not None else ():
        if not is_met(daemon or {}):
            yield Finding(what=f"{command.name}: in daemon.json {what} ({control})", subject=control)
    for key in sorted(set(daemon or ()) - _JUDGED - _HARMLESS):
        yield Finding(what=f"{command.name}: in daemon.json no rule has looked at {key}", subject=key)


def _user_namespaces(command: Resource, program: Program) -> Iterator[Finding]:
    daemon = _daemon_json(command, program)
    if daemon is not None and not daemon.get("userns-remap"):
        yield Finding(what=f"{command.name}: in daemon.json root inside a container is root outside (userns-remap)")


def _authorization(command: Resource, program: Program) -> Iterator[Finding]:
    daemon = _daemon_json(command, program)
    if daemon is not None and not daemon.get("authorization-plugins"):
        yield Finding(what=f"{command.name}: in daemon.json no plugin authorizes calls of Docker's API")


def _remote_logging(command: Resource, program: Program) -> Iterator[Finding]:
    daemon = _daemon_json(command, program)
    if daemon is not None and daemon.get("log-driver", "json-file") in ("json-file", "local", "none"):
        yield Finding(what=f"{command.name}: daemon.json keeps logs on the host ({daemon.get('log-driver', 'json-file')})")


SETTINGS = ResourceRule(
    name="daemon-settings",
    asks="daemon.json has what the benchmark asks.",
    severity=Severity.HIGH,
    decides=tuple(_SETTINGS),
    why="it is the ground that every container of the host stands on",
    fix="keep components/host/docker_daemon.py; a host that has to differ needs a waiver beside it",
    example='"icc": false, "live-restore": true, "no-new-privileges": true, "userland-proxy": false',
    types=(LOCAL_COMMAND,),
    check=_settings,
)
USER_NAMESPACES = ResourceRule(
    name="daemon-user-namespaces",
    asks="Root inside a container is nobody outside.",
    severity=Severity.MEDIUM,
    decides=("CIS-2.9",),
    why="who leaves a container as root would be root on the host",
    fix="set userns-remap, or waive it with the reason why not",
    example='"userns-remap": "default"',
    types=(LOCAL_COMMAND,),
    check=_user_namespaces,
)
AUTHORIZATION = ResourceRule(
    name="daemon-authorization",
    asks="A plugin authorizes calls of Docker's API.",
    severity=Severity.LOW,
    decides=("CIS-2.12",),
    why="whoever reaches the socket may do everything",
    fix="set authorization-plugins, or waive it with the reason why not",
    example='"authorization-plugins": ["opa-docker-authz"]',
    types=(LOCAL_COMMAND,),
    check=_authorization,
)
REMOTE_LOGGING = ResourceRule(
    name="daemon-remote-logging",
    asks="Logs leave the host.",
    severity=Severity.LOW,
    decides=("CIS-2.13",),
    why="who breaks into a host erases its logs first",
    fix="set a remote log-driver, or waive it and say how logs leave the host otherwise",
    example='"log-driver": "syslog"',
    types=(LOCAL_COMMAND,),
    check=_remote_logging,
)

RULES = (SETTINGS, USER_NAMESPACES, AUTHORIZATION, REMOTE_LOGGING)
