"""Containers: files of the host and of other containers that they see and write."""

from collections.abc import Iterator
from typing import Any

from model.service import DOCKER_SOCKETS
from policy.meaning.docker import lasting
from policy.meaning.paths import canonical, is_own, within
from policy.program import CONTAINER, DOCKER_VOLUME, Program, Resource, known_first
from policy.rule import Finding, ProgramRule, ResourceRule, Severity

_TYPES = (CONTAINER,)
_SOCKETS = {
    canonical(path)
    for path in (*DOCKER_SOCKETS, "/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/podman/podman.sock")
}


def binds(container: Resource) -> Iterator[tuple[str, bool]]:
    """Host paths that the container sees, and whether it may write to them."""
    volumes = (
        (lambda volume=volume: (volume.get("hostPath"), not volume.get("readOnly"))) for volume in container.list("volumes")
    )
    mounts = ((lambda mount=mount: (_behind(mount), not mount.get("readOnly"))) for mount in container.list("mounts"))
    for path, writable in known_first((*volumes, *mounts)):
        if path:
            yield str(path), writable


def _behind(mount: Any) -> str:
    """The part of the host that a mount shows: a path, or a volume driver's options; empty for memory and plain volumes."""
    if mount.get("type") == "volume":
        options: Any = mount.get("volumeOptions") or {}
        return driven(str(options.get("driverName") or ""), options.get("driverOptions") or {})
    return "" if mount.get("type") == "tmpfs" else str(mount["source"])


def driven(driver: str, options: Any) -> str:
    """The part of the host that a volume shows: the local driver mounts what its options say; any other driver is a program."""
    given = {key: str(options[key]) for key in options}
    if driver not in ("", "local"):
        return f"the driver {driver}"
    if not given or given.get("type") == "tmpfs":
        return ""
    device = given.get("device", "")
    is_bind = given.get("type", "") in ("", "none", "bind") and set(given) <= {"type", "o", "device"}
    return device if is_bind and device.startswith("/") else ", ".join(f"{key}={value}" for key, value in sorted(given.items()))


def _read_only_root(container: Resource, _: Program) -> Iterator[Finding]:
    if not container.inputs.get("readOnly"):
        yield Finding(what=f"{container.name} may change its own program")


def _host_directories(container: Resource, _: Program) -> Iterator[Finding]:
    if container.type == DOCKER_VOLUME:
        seen = [(driven(container.text("driver"), container.inputs.get("driverOpts") or {}), True)]
    else:
        seen = list(binds(container))
        for volume in container.list("volumes"):
            if other := volume.get("fromContainer"):
                yield Finding(what=f"{container.name} sees whatever {other} sees", subject=str(other))
    for path, writable in seen:
        if path and not is_own(path):
            yield Finding(what=f"{container.name} sees {path} of its host{', and may write' if writable else ''}", subject=path)


def _docker_socket(container: Resource, _: Program) -> Iterator[Finding]:
    for path, _writable in binds(container):
        if any(within(socket, canonical(path)) for socket in _SOCKETS):
            yield Finding(what=f"{container.name} reaches a control socket of its host by {path}", subject=path)


def _propagation(container: Resource, _: Program) -> Iterator[Finding]:
    for mount in container.list("mounts"):
        options: Any = mount.get("bindOptions") or {}
        if options.get("propagation") in ("shared", "rshared"):
            yield Finding(what=f"{container.name} mounts {mount['source']} with shared propagation", subject=str(mount["source"]))


def _tmpfs(container: Resource, _: Program) -> Iterator[Finding]:
    tmpfs: Any = container.inputs.get("tmpfs") or {}
    for path, options in tmpfs.items():
        missing = [flag for flag in ("noexec", "nosuid") if not lasting(str(options), flag)]
        if missing:
            yield Finding(what=f"{container.name} mounts {path} without {' and '.join(missing)}", subject=path)


def _own_data(program: Program) -> Iterator[Finding]:
    owners: dict[tuple[str, str], Resource] = {}
    for container in program.of_type(CONTAINER):
        named = [(f"volume {volume['volumeName']}", True) for volume in container.list("volumes") if volume.get("volumeName")]
        # A volume without a name belongs to its container alone.
        mounts = [mount for mount in container.list("mounts") if mount.get("type") == "volume" and mount.get("source")]
        named += [(f"volume {mount['source']}", True) for mount in mounts]
        for path, writable in (*((canonical(path), may) for path, may in binds(container)), *named):
            first = owners.setdefault((container.host, path), container) if writable else container
            if first is not container:
                yield Finding(what=f"{first.name} and {container.name} both write to {path}", subject=path, resource=container)


READ_ONLY_ROOT = ResourceRule(
    name="containers-read-only-root",
    asks="A container cannot write to its root file system.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.13", "CL-0007"),
    why="an intruder could change the program, or bring one",
    fix="keep read_only_root and name what it writes as `tmpfs` or a Volume",
    example='tmpfs=("/tmp",)',
    types=_TYPES,
    check=_read_only_root,
)
HOST_DIRECTORIES = ResourceRule(
    name="containers-host-directories",
    asks="Of its host a container sees the data and configuration of a service, and no more.",
    severity=Severity.HIGH,
    decides=("CIS-5.6", "KICS-volume_has_sensitive_host_directory", "CL-0013", "CL-0025"),
    why="whoever reads them knows the host's keys, whoever writes them owns it",
    fix="use a Volume or a Configuration; a HostMount says why, and until when that holds",
    example='HostMount(path="/sys", container_path="/sys", reason="the control groups", until=date(2027, 5, 31))',
    types=(CONTAINER, DOCKER_VOLUME),
    check=_host_directories,
)
DOCKER_SOCKET = ResourceRule(
    name="containers-docker-socket",
    asks="No container reaches Docker's socket.",
    severity=Severity.CRITICAL,
    decides=("CIS-5.32", "KICS-docker_socket_mounted_in_container", "CL-0001"),
    why="whoever talks to it is root on the host; a read-only mount changes nothing",
    fix="ask docker-proxy, which lets through what its policy names",
    example='needs=("docker-proxy",)',
    types=_TYPES,
    check=_docker_socket,
)
PROPAGATION = ResourceRule(
    name="containers-mount-propagation",
    asks="No mount inside a container shows on its host.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.20", "CL-0017"),
    why="a mount made inside would hide the host's own files",
    fix="leave the propagation at its default, rprivate",
    example='ContainerMountBindOptionsArgs(propagation="rprivate")',
    types=_TYPES,
    check=_propagation,
)
TMPFS = ResourceRule(
    name="containers-tmpfs",
    asks="Nothing in a container's memory can be run.",
    severity=Severity.LOW,
    decides=("CL-0022",),
    why="it is where an intruder of a read-only container would put a program",
    fix="mount it noexec,nosuid",
    example='tmpfs={"/tmp": "rw,noexec,nosuid,nodev,size=64m"}',
    types=_TYPES,
    check=_tmpfs,
)
OWN_DATA = ProgramRule(
    name="containers-own-data",
    asks="A data directory is written by one container.",
    severity=Severity.MEDIUM,
    decides=("KICS-shared_volumes_between_containers", "KICS-volume_mounted_in_multiple_containers"),
    why="two programs that write the same files damage them, and an intruder moves along",
    fix="give each its own directory; parts of one program need a waiver beside the service",
    example='Volume(path="/data", directory="redis", owner="999:999", mode=0o755, backup=Files())',
    check=_own_data,
)

RULES = (READ_ONLY_ROOT, HOST_DIRECTORIES, DOCKER_SOCKET, PROPAGATION, TMPFS, OWN_DATA)
