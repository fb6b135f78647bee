"""`make status STACK=`: every service on one screen: its health, its memory use, and its differences from the state."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from components.docker.docker_host import LABEL_SERVICE
from components.ssh.host_script import SshHost
from model.urn import resource_name
from operations.deploy.live_state import Container, health, service_of
from operations.deploy.terminal import Terminal
from operations.stack import CommandFailed, Stack, on_host
from operations.table import table
from services.monitoring.alerts import MUCH_MEMORY

HEAD = ("host", "service", "tag", "health", "since (UTC)", "restarts", "memory", "differs from the state")
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_RED, _YELLOW, _GREEN, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A service in the state. `image` is its reference, which names a digest; `memory_mib` its limit."""

    container: str
    image: str
    memory_mib: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the screen. `used` is the share of the memory limit, None when unknown."""

    cells: tuple[str, ...]
    well: bool
    used: float | None
    differs: bool

    @property
    def colour(self) -> str:
        """Red for a service that does not work, yellow for one that needs a look."""
        if not self.well:
            return _RED
        return _YELLOW if self.differs or (self.used or 0) > MUCH_MEMORY else _GREEN


@dataclass(frozen=True, kw_only=True)
class Host:
    """A host's answer; `containers` is None when the host did not answer. `memory` is bytes in use by container."""

    name: str
    containers: Sequence[Container] | None
    memory: Mapping[str, int]


def status(stack: Stack) -> int:
    """Print the screen; 1 when a service is not well or a host does not answer."""
    with ThreadPoolExecutor() as pool:
        exported = pool.submit(lambda: json.loads(stack.pulumi("stack", "export")))
        hosts = list(pool.map(lambda host: _asked(stack, host), stack.hosts))
        state = deployed(exported.result())
    fleet, mirror = stack.inputs.fleet, stack.inputs.settings.image_mirror
    images = {
        (placement.host.name, service.name): (service.image, fleet.image_lock.reference(service.image, mirror))
        for placement, service in fleet.services()
    }
    found = list(rows(hosts, state, images))
    lines = table(HEAD, (row.cells for row in found)).splitlines()
    coloured = Terminal.here().stdout and not os.environ.get("NO_COLOR")
    for line, colour in zip(lines, ("", "", *(row.colour for row in found)), strict=False):
        print(f"{colour}{line}{_PLAIN}" if coloured and colour else line)
    silent = [host.name for host in hosts if host.containers is None]
    print(f"\n{summary(found, len(hosts), silent)}")
    return min(len(silent) + sum(not row.well for row in found), 1)


def deployed(exported: Mapping[str, Any]) -> Mapping[tuple[str, str], Deployed]:
    """Containers in the output of `pulumi stack export`, by host and service."""
    resources = exported["deployment"].get("resources", [])
    images = {
        resource_name(resource): str(resource["inputs"]["name"])
        for resource in resources
        if resource["type"] == "docker:index/remoteImage:RemoteImage"
    }
    found = {}
    for container in resources:
        if container["type"] == "docker:index/container:Container" and container.get("id"):
            labels = {label["label"]: label["value"] for label in container["inputs"]["labels"]}
            service = str(labels[LABEL_SERVICE])
            host = resource_name(container).removesuffix(f"-{service}")
            found[host, service] = Deployed(
                container=str(container["id"]),
                image=images.get(resource_name(container), ""),
                memory_mib=int(container["inputs"].get("memory") or 0),
            )
    return found


def rows(
    hosts: Iterable[Host],
    state: Mapping[tuple[str, str], Deployed],
    images: Mapping[tuple[str, str], tuple[str, str]],
) -> Iterator[Row]:
    """One row for each container, and for each that only the state has. `images` are this checkout's, by host and service: the
    image, and the reference by which an `up` takes it."""
    for host in hosts:
        if host.containers is None:
            continue
        for container in sorted(host.containers, key=service_of):
            yield _row(host, container, state, images)
        running = {str(container["Id"]) for container in host.containers}
        for (name, service), of in sorted(state.items()):
            if name == host.name and of.container not in running:
                tag = images.get((name, service), ("", ""))[0].rpartition(":")[2] or "-"
                cells = (name, service, tag, "gone", "-", "-", "-", "its container is gone: make up brings it back")
                yield Row(cells=cells, well=False, used=None, differs=True)


def _row(
    host: Host, container: Container, state: Mapping[tuple[str, str], Deployed], images: Mapping[tuple[str, str], tuple[str, str]]
) -> Row:
    name, limits = service_of(container), container["HostConfig"]
    image, reference = images.get((host.name, name), ("", ""))
    of = state.get((host.name, name))
    state_of_health = health(container, unchecked="running")
    bytes_used, limit = host.memory.get(str(container["Id"])), int(limits["Memory"])
    memory = f"{limit >> 20} MiB" if bytes_used is None else f"{bytes_used >> 20} of {limit >> 20} MiB"
    differences = list(_differences(container, of, reference))
    tag = "-" if differences and of and of.image != reference else image.rpartition(":")[2] or "-"
    cells = (
        host.name,
        name,
        tag,
        state_of_health,
        str(container["State"]["StartedAt"])[:16].replace("T", " "),
        str(container["RestartCount"]),
        memory,
        "; ".join(differences),
    )
    used = bytes_used / limit if bytes_used is not None and limit else None
    return Row(cells=cells, well=state_of_health in ("healthy", "running"), used=used, differs=bool(differences))


def _differences(container: Container, of: Deployed | None, reference: str) -> Iterator[str]:
    if of is None or of.container != container["Id"]:
        yield "a container that the state does not know"
        return
    if of.memory_mib and of.memory_mib != container["HostConfig"]["Memory"] >> 20:
        yield f"limit {of.memory_mib} MiB"
    if reference and of.image and of.image != reference:
        yield "another image than this checkout's"


def summary(found: Sequence[Row], hosts: int, silent: Sequence[str]) -> str:
    """The last line of the screen."""
    unwell, differ = sum(not row.well for row in found), sum(row.differs for row in found)
    parts = [
        f"{len(found)} services on {hosts} hosts",
        f"{unwell} not well" if unwell else "all well",
        f"{differ} differ from the state" if differ else "none differs from the state",
        *(f"{name} does not answer" for name in silent),
    ]
    return ", ".join(parts)


def _asked(stack: Stack, host: SshHost) -> Host:
    try:
        containers = stack.containers(host)
        used = on_host(host, ["docker", "stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.MemUsage}}"])
    except CommandFailed:
        return Host(name=host.alias, containers=None, memory={})
    return Host(name=host.alias, containers=containers, memory=in_use(used))


def in_use(shown: str) -> Mapping[str, int]:
    """Bytes in use by container, from lines like `ID 17.9MiB / 128MiB`."""
    lines = (re.match(r"([0-9a-f]{64}) ([0-9.]+)([KMGT]?i?B) /", line) for line in shown.splitlines())
    return {line[1]: int(float(line[2]) * _UNITS[line[3]]) for line in lines if line and line[3] in _UNITS}
