"""Containers: published ports, and no sshd."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from policy.meaning.commands import words_of
from policy.meaning.ranges import is_every_address
from policy.program import CONTAINER, Program, Resource
from policy.rule import Finding, ResourceRule, Severity

_TYPES = (CONTAINER,)
_DAEMONS = ("sshd", "dropbear")


def _port(port: Any) -> str:
    return f"{int(port.get('external') or 0)}/{port.get('protocol') or 'tcp'}"


def _bound_ports(container: Resource, _: Program) -> Iterator[Finding]:
    for port in container.list("ports"):
        if is_every_address(str(port.get("ip") or "")):
            number = _port(port)
            yield Finding(what=f"{container.name} publishes {number} on every address of its host", subject=number)


def _privileged_ports(container: Resource, _: Program) -> Iterator[Finding]:
    for port in container.list("ports"):
        if 0 < int(port.get("external") or 0) < 1024:
            yield Finding(what=f"{container.name} publishes the privileged port {_port(port)}", subject=_port(port))


def _sshd(container: Resource, _: Program) -> Iterator[Finding]:
    words = (word for text in (*container.list("entrypoints"), *container.list("command")) for word in words_of(str(text)))
    if any(PurePosixPath(word).name in _DAEMONS for word in words):
        yield Finding(what=f"{container.name} runs sshd")
    for port in container.list("ports"):
        if int(port["internal"]) == 22:
            yield Finding(what=f"{container.name} publishes its port 22")


BOUND_PORTS = ResourceRule(
    name="containers-bound-ports",
    asks="A published port names the address of its host.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.14", "KICS-container_traffic_not_bound_to_host_interface", "CL-0005"),
    why="Docker publishes past UFW, on every network that the host is in",
    fix="bind 127.0.0.1, or give a Route; what has to answer everywhere needs a waiver beside the service",
    example='routes=(Route(subdomain="llm", port=4000, access=Access.VPN),)',
    types=_TYPES,
    check=_bound_ports,
)
PRIVILEGED_PORTS = ResourceRule(
    name="containers-privileged-ports",
    asks="No container publishes a port below 1024.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.8", "KICS-privileged_ports_mapped_in_container"),
    why="clients trust a privileged port to be the host's own service",
    fix="publish a port above 1023, or give a Route: Caddy alone has 80 and 443, by a waiver",
    example='routes=(Route(subdomain="llm", port=4000, access=Access.VPN),)',
    types=_TYPES,
    check=_privileged_ports,
)
NO_SSHD = ResourceRule(
    name="containers-no-sshd",
    asks="No container runs sshd.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.7",),
    why="its users and keys are nobody's to revoke",
    fix="use `make exec SERVICE=...`",
    example="make exec SERVICE=redis",
    types=_TYPES,
    check=_sshd,
)

RULES = (BOUND_PORTS, PRIVILEGED_PORTS, NO_SSHD)
