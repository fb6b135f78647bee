"""Containers: what keeps a program that was broken into from the host and from the others."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from model.service import DOCKER_SOCKETS
from policy.program import CONTAINER, Program, Resource, known_first
from policy.rule import Finding, ProgramRule, ResourceRule, Severity

_TYPES = (CONTAINER,)
_HARMLESS = frozenset({"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"})
"""Of Docker's own defaults, those that reach nothing outside of the container's files and processes."""
_SENSITIVE = ("/boot", "/dev", "/etc", "/home", "/lib", "/proc", "/root", "/run", "/sys", "/usr", "/var/lib", "/var/run")
_SOCKETS = (*DOCKER_SOCKETS, "/run/containerd/containerd.sock")
_MAX_OPEN_FILES = 1048576


def binds(container: Resource) -> Iterator[tuple[str, bool]]:
    """Host paths that the container sees, and whether it may write to them."""
    volumes = (
        (lambda volume=volume: (volume.get("hostPath"), not volume.get("readOnly"))) for volume in container.list("volumes")
    )
    mounts = (
        (lambda mount=mount: (mount["source"], not mount.get("readOnly")))
        for mount in container.list("mounts")
        if mount.get("type") == "bind"
    )
    for path, writable in known_first((*volumes, *mounts)):
        if path:
            yield str(path), writable


def _privileged(container: Resource, _: Program) -> Iterator[Finding]:
    if container.inputs.get("privileged"):
        yield Finding(what=f"{container.name} is privileged")


def _capabilities(container: Resource, _: Program) -> Iterator[Finding]:
    capabilities: Any = container.inputs.get("capabilities") or {}
    dropped = {_capability(name) for name in capabilities.get("drops") or ()}
    if "ALL" not in dropped:
        yield Finding(what=f"{container.name} keeps Docker's default capabilities", subject="drop")
    for name in capabilities.get("adds") or ():
        if _capability(name) not in _HARMLESS:
            yield Finding(what=f"{container.name} has the capability {_capability(name)}", subject=_capability(name))


def _capability(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _no_new_privileges(container: Resource, _: Program) -> Iterator[Finding]:
    if not {"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"} & set(container.list("securityOpts")):
        yield Finding(what=f"{container.name} may gain privileges by a setuid program")


def _profiles(container: Resource, _: Program) -> Iterator[Finding]:
    for option in container.list("securityOpts"):
        if re.fullmatch(r"(seccomp|apparmor|systempaths)[=:]unconfined|label[=:]disable", option):
            yield Finding(what=f"{container.name} switches {option.replace(':', '=')}", subject=option)


def _namespaces(container: Resource, _: Program) -> Iterator[Finding]:
    for key in ("networkMode", "pidMode", "ipcMode", "usernsMode"):
        value = container.text(key)
        if value == "host" or value.startswith("container:"):
            namespace = key.removesuffix("Mode")
            yield Finding(what=f"{container.name} shares the {namespace} namespace ({value})", subject=namespace)


def _cgroup(container: Resource, _: Program) -> Iterator[Finding]:
    if container.text("cgroupParent"):
        parent = container.text("cgroupParent")
        yield Finding(what=f"{container.name} is put below the control group {parent}", subject=parent)
    if container.text("cgroupnsMode") == "host":
        yield Finding(what=f"{container.name} sees the control groups of its host", subject="host")


def _memory(container: Resource, _: Program) -> Iterator[Finding]:
    if not container.inputs.get("memory"):
        yield Finding(what=f"{container.name} may use all memory of its host")
    elif container.inputs.get("memorySwap") != container.inputs.get("memory"):
        yield Finding(what=f"{container.name} may swap: memorySwap is not the memory limit")


def _cpu(container: Resource, _: Program) -> Iterator[Finding]:
    if not any(container.inputs.get(key) for key in ("cpus", "cpuQuota", "cpuShares")):
        yield Finding(what=f"{container.name} may use every CPU of its host")


def _processes(container: Resource, _: Program) -> Iterator[Finding]:
    if not any(limit["name"] == "nproc" for limit in container.list("ulimits")):
        yield Finding(what=f"{container.name} may start processes until its host has none left")


def _ulimits(container: Resource, _: Program) -> Iterator[Finding]:
    for limit in container.list("ulimits"):
        name, soft, hard = limit["name"], limit["soft"], limit["hard"]
        if name not in ("nofile", "nproc"):
            yield Finding(what=f"{container.name} overrides the limit {name}", subject=name)
        elif not 0 < soft <= hard <= _MAX_OPEN_FILES:
            yield Finding(what=f"{container.name} sets {name} to {soft:.0f}:{hard:.0f}, which limits nothing", subject=name)


def _read_only_root(container: Resource, _: Program) -> Iterator[Finding]:
    if not container.inputs.get("readOnly"):
        yield Finding(what=f"{container.name} may change its own program")


def _bound_ports(container: Resource, _: Program) -> Iterator[Finding]:
    for port in container.list("ports"):
        if port.get("ip") in (None, "", "0.0.0.0", "::"):
            number = _port(port)
            yield Finding(what=f"{container.name} publishes {number} on every address of its host", subject=number)


def _privileged_ports(container: Resource, _: Program) -> Iterator[Finding]:
    for port in container.list("ports"):
        if 0 < int(port.get("external") or 0) < 1024:
            yield Finding(what=f"{container.name} publishes the privileged port {_port(port)}", subject=_port(port))


def _port(port: Any) -> str:
    return f"{int(port.get('external') or 0)}/{port.get('protocol') or 'tcp'}"


def _restart(container: Resource, _: Program) -> Iterator[Finding]:
    policy = container.text("restart") or "no"
    retries = int(container.inputs.get("maxRetryCount") or 0)
    if policy != "on-failure" or not 0 < retries <= 5:
        yield Finding(what=f"{container.name} restarts by {policy!r}, at most {retries or 'for ever'}", subject=policy)


def _host_directories(container: Resource, _: Program) -> Iterator[Finding]:
    for path, writable in binds(container):
        if path == "/" or any(_within(path, sensitive) for sensitive in _SENSITIVE):
            yield Finding(what=f"{container.name} sees {path} of its host{', and may write' if writable else ''}", subject=path)


def _docker_socket(container: Resource, _: Program) -> Iterator[Finding]:
    for path, _writable in binds(container):
        if any(_within(socket, path) for socket in _SOCKETS):
            yield Finding(what=f"{container.name} reaches a control socket of its host by {path}", subject=path)


def _within(path: str, directory: str) -> bool:
    return PurePosixPath(path).is_relative_to(directory)


def _devices(container: Resource, _: Program) -> Iterator[Finding]:
    for device in (*container.list("devices"), *container.list("deviceRequests")):
        path = str(device.get("hostPath") or device.get("driver") or "a device")
        yield Finding(what=f"{container.name} has {path} of its host", subject=path)
    if container.text("gpus"):
        yield Finding(what=f"{container.name} has the GPUs of its host", subject="gpus")


def _propagation(container: Resource, _: Program) -> Iterator[Finding]:
    for mount in container.list("mounts"):
        options: Any = mount.get("bindOptions") or {}
        if options.get("propagation") in ("shared", "rshared"):
            yield Finding(what=f"{container.name} mounts {mount['source']} with shared propagation", subject=str(mount["source"]))


def _healthcheck(container: Resource, _: Program) -> Iterator[Finding]:
    check: Any = container.inputs.get("healthcheck") or {}
    tests = list(check.get("tests") or ())
    if not tests or tests[0] == "NONE":
        yield Finding(what=f"{container.name} is not checked")


def _sshd(container: Resource, _: Program) -> Iterator[Finding]:
    words = [*container.list("entrypoints"), *container.list("command")]
    if any(PurePosixPath(word).name == "sshd" for word in words):
        yield Finding(what=f"{container.name} runs sshd")
    for port in container.list("ports"):
        if int(port["internal"]) == 22:
            yield Finding(what=f"{container.name} publishes its port 22")


def _logging(container: Resource, _: Program) -> Iterator[Finding]:
    options: Any = container.inputs.get("logOpts") or {}
    if container.text("logDriver") not in ("json-file", "local"):
        yield Finding(what=f"{container.name} logs to {container.text('logDriver') or 'whatever its daemon says'}")
    elif not (options.get("max-size") and options.get("max-file")):
        yield Finding(what=f"the log of {container.name} grows until the disk is full")


def _root(container: Resource, _: Program) -> Iterator[Finding]:
    user = container.text("user").partition(":")[0]
    if user in ("0", "root"):
        yield Finding(what=f"{container.name} runs as root, whatever its image says", subject="root")


def _tmpfs(container: Resource, _: Program) -> Iterator[Finding]:
    tmpfs: Any = container.inputs.get("tmpfs") or {}
    for path, options in tmpfs.items():
        missing = {"noexec", "nosuid"} - set(str(options).split(","))
        if missing:
            yield Finding(what=f"{container.name} mounts {path} without {' and '.join(sorted(missing))}", subject=path)


def _own_data(program: Program) -> Iterator[Finding]:
    owners: dict[tuple[str, str], Resource] = {}
    for container in program.of_type(CONTAINER):
        named = [(str(volume["volumeName"]), True) for volume in container.list("volumes") if volume.get("volumeName")]
        for path, writable in (*binds(container), *named):
            first = owners.setdefault((container.host, path), container) if writable else container
            if first is not container:
                yield Finding(what=f"{first.name} and {container.name} both write to {path}", subject=path, resource=container)


PRIVILEGED = ResourceRule(
    name="containers-unprivileged",
    asks="No container is privileged.",
    severity=Severity.CRITICAL,
    decides=("CIS-5.5", "KICS-privileged_containers_enabled", "CL-0002"),
    why="a privileged container is root on its host",
    mend="remove `privileged`; add the one capability that is needed",
    example='capabilities=("NET_BIND_SERVICE",)',
    types=_TYPES,
    check=_privileged,
)
CAPABILITIES = ResourceRule(
    name="containers-capabilities",
    asks="A container drops all capabilities and adds harmless ones by name.",
    severity=Severity.HIGH,
    decides=(
        "CIS-5.4",
        "KICS-check_cap_add_cap_drop",
        "KICS-container_capabilities_unrestricted",
        "CL-0006",
        "CL-0011",
        "CL-0024",
        "CL-0027",
        "CL-0028",
        "CL-0029",
        "CL-0030",
    ),
    why="what a program may do beyond its own files is what its intruder may do",
    mend=f"drop ALL and add only from {', '.join(sorted(_HARMLESS))}; any other needs a waiver beside the service",
    example='capabilities=("NET_BIND_SERVICE",)',
    types=_TYPES,
    check=_capabilities,
)
NO_NEW_PRIVILEGES = ResourceRule(
    name="containers-no-new-privileges",
    asks="No process of a container gains privileges.",
    severity=Severity.HIGH,
    decides=("CIS-5.26", "KICS-no_new_privileges_not_set", "KICS-security_opt_not_set", "CL-0003"),
    why="a setuid program inside the image would make its caller root",
    mend="set it; a program that needs more starts with more",
    example='security_opts=["no-new-privileges:true"]',
    types=_TYPES,
    check=_no_new_privileges,
)
PROFILES = ResourceRule(
    name="containers-security-profiles",
    asks="Docker's seccomp, AppArmor and SELinux profiles stay on.",
    severity=Severity.HIGH,
    decides=("CIS-5.2", "CIS-5.3", "CIS-5.22", "KICS-seccomp_disabled", "KICS-default_seccomp_profile_disabled", "CL-0009"),
    why="they keep a container from some 40 system calls that have led out of containers",
    mend="leave the profile on; where one call is missing, give a profile of its own",
    example='security_opts=["no-new-privileges:true"]',
    types=_TYPES,
    check=_profiles,
)
NAMESPACES = ResourceRule(
    name="containers-own-namespaces",
    asks="A container has network, process, IPC and user namespaces of its own.",
    severity=Severity.HIGH,
    decides=(
        "CIS-5.10",
        "CIS-5.16",
        "CIS-5.17",
        "CIS-5.31",
        "KICS-host_namespace_is_shared",
        "KICS-ipc_set_to_host",
        "KICS-network_mode_host_exists",
        "KICS-shared_host_ipc_namespace",
        "KICS-shared_host_network_namespace",
        "KICS-shared_host_user_namespace",
        "KICS-userns_set_to_host",
        "CL-0008",
        "CL-0010",
    ),
    why="in its host's namespace a container sees and reaches what no network rule guards",
    mend="leave the mode unset and join a network",
    example='networks=("backend",)',
    types=_TYPES,
    check=_namespaces,
)
CGROUP = ResourceRule(
    name="containers-own-cgroup",
    asks="A container has a control group of its own, where Docker puts it.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.25", "KICS-cgroup_not_default"),
    why="below another group its limits are not the ones that were reviewed",
    mend="leave cgroup_parent and cgroupns_mode unset; who measures containers needs a waiver",
    example="host_cgroups=False",
    types=_TYPES,
    check=_cgroup,
)
MEMORY = ResourceRule(
    name="containers-memory-limit",
    asks="A container has a limit of memory, swap included.",
    severity=Severity.HIGH,
    decides=("CIS-5.11", "KICS-memory_not_limited", "CL-0026"),
    why="one leak would have the kernel kill whatever it likes",
    mend="set Limits(memory_mib=...) to what it was seen to use, and a quarter more",
    example="limits=Limits(memory_mib=256, cpus=0.5)",
    types=_TYPES,
    check=_memory,
)
CPU = ResourceRule(
    name="containers-cpu-limit",
    asks="A container has a limit of CPU.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.12", "KICS-cpus_not_limited", "CL-0026"),
    why="one busy loop would starve the others, healthchecks first",
    mend="set Limits(cpus=...)",
    example="limits=Limits(memory_mib=256, cpus=0.5)",
    types=_TYPES,
    check=_cpu,
)
PROCESSES = ResourceRule(
    name="containers-process-limit",
    asks="A container has a limit of processes.",
    severity=Severity.MEDIUM,
    decides=(),
    why="a fork bomb would take the process numbers of the whole host",
    mend="set the ulimit nproc; the provider has no pids_limit",
    example='ulimits=[ContainerUlimitArgs(name="nproc", soft=4096, hard=4096)]',
    types=_TYPES,
    check=_processes,
)
ULIMITS = ResourceRule(
    name="containers-ulimits",
    asks="A container overrides only the limits of files and processes, with numbers.",
    severity=Severity.LOW,
    decides=("CIS-5.19",),
    why="the daemon's defaults were reviewed once for all",
    mend="leave the others to daemon.json",
    example='ulimits=[ContainerUlimitArgs(name="nofile", soft=16384, hard=16384)]',
    types=_TYPES,
    check=_ulimits,
)
READ_ONLY_ROOT = ResourceRule(
    name="containers-read-only-root",
    asks="A container cannot write to its root file system.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.13", "CL-0007"),
    why="an intruder could change the program, or bring one",
    mend="keep read_only_root and name what it writes as `scratch` or a Volume",
    example='scratch=("/tmp",)',
    types=_TYPES,
    check=_read_only_root,
)
BOUND_PORTS = ResourceRule(
    name="containers-bound-ports",
    asks="A published port names the address of its host.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.14", "KICS-container_traffic_not_bound_to_host_interface", "CL-0005"),
    why="Docker publishes past UFW, on every network that the host is in",
    mend="bind 127.0.0.1, or give a Route; what has to answer everywhere needs a waiver beside the service",
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
    mend="publish a port above 1023, or give a Route: Caddy alone has 80 and 443, by a waiver",
    example='routes=(Route(subdomain="llm", port=4000, access=Access.VPN),)',
    types=_TYPES,
    check=_privileged_ports,
)
RESTART = ResourceRule(
    name="containers-restart",
    asks="A container restarts on failure, at most five times.",
    severity=Severity.LOW,
    decides=("CIS-5.15", "KICS-restart_policy_on_failure_not_set_to_5"),
    why="a container that fails for ever hides its failure and costs CPU",
    mend="use on-failure with at most five retries; `unless-stopped` is waived for services that are watched",
    example='restart="on-failure", max_retry_count=5',
    types=_TYPES,
    check=_restart,
)
HOST_DIRECTORIES = ResourceRule(
    name="containers-host-directories",
    asks="A container sees no system directory of its host.",
    severity=Severity.HIGH,
    decides=("CIS-5.6", "KICS-volume_has_sensitive_host_directory", "CL-0013", "CL-0025"),
    why="whoever reads them knows the host's keys, whoever writes them owns it",
    mend="use a Volume or a Configuration; a HostMount says why, and until when that holds",
    example='HostMount(path="/sys", container_path="/sys", reason="the control groups", until=date(2027, 5, 31))',
    types=_TYPES,
    check=_host_directories,
)
DOCKER_SOCKET = ResourceRule(
    name="containers-docker-socket",
    asks="No container reaches Docker's socket.",
    severity=Severity.CRITICAL,
    decides=("CIS-5.32", "KICS-docker_socket_mounted_in_container", "CL-0001"),
    why="whoever talks to it is root on the host; a read-only mount changes nothing",
    mend="ask docker-proxy, which lets through what its policy names",
    example='needs=("docker-proxy",)',
    types=_TYPES,
    check=_docker_socket,
)
DEVICES = ResourceRule(
    name="containers-no-devices",
    asks="No container has a device of its host.",
    severity=Severity.HIGH,
    decides=("CIS-5.18", "CL-0016"),
    why="a raw device goes past every permission of the files on it",
    mend="remove it",
    example="devices=None",
    types=_TYPES,
    check=_devices,
)
PROPAGATION = ResourceRule(
    name="containers-mount-propagation",
    asks="No mount inside a container shows on its host.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.20", "CL-0017"),
    why="a mount made inside would hide the host's own files",
    mend="leave the propagation at its default, rprivate",
    example='ContainerMountBindOptionsArgs(propagation="rprivate")',
    types=_TYPES,
    check=_propagation,
)
HEALTHCHECK = ResourceRule(
    name="containers-healthcheck",
    asks="A container has a healthcheck.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.27", "KICS-healthcheck_not_set"),
    why="a new version that does not work would replace one that does",
    mend="give a command that asks 127.0.0.1 with a tool of the image",
    example='command=("wget", "-q", "-O", "/dev/null", "http://127.0.0.1:2020/health")',
    types=_TYPES,
    check=_healthcheck,
)
NO_SSHD = ResourceRule(
    name="containers-no-sshd",
    asks="No container runs sshd.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.7",),
    why="its users and keys are nobody's to revoke",
    mend="use `make exec SERVICE=...`",
    example="make exec SERVICE=redis",
    types=_TYPES,
    check=_sshd,
)
LOGGING = ResourceRule(
    name="containers-logging",
    asks="A container's log is kept, and bounded.",
    severity=Severity.MEDIUM,
    decides=("CL-0014",),
    why="without a log nobody learns what happened; without a bound the disk fills up",
    mend="use json-file with max-size and max-file",
    example='log_driver="json-file", log_opts={"max-size": "10m", "max-file": "3"}',
    types=_TYPES,
    check=_logging,
)
USER = ResourceRule(
    name="containers-user",
    asks="No container is told to run as root.",
    severity=Severity.MEDIUM,
    decides=("CL-0018",),
    why="it overrides the user that the image was built for",
    mend="give the uid:gid that owns its data",
    example='user="999:999"',
    types=_TYPES,
    check=_root,
)
TMPFS = ResourceRule(
    name="containers-tmpfs",
    asks="Nothing in a container's memory can be run.",
    severity=Severity.LOW,
    decides=("CL-0022",),
    why="it is where an intruder of a read-only container would put a program",
    mend="mount it noexec,nosuid",
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
    mend="give each its own directory; parts of one program need a waiver beside the service",
    example='Volume(path="/data", directory="redis", owner="999:999", mode=0o755, backup=Files())',
    check=_own_data,
)

RULES = (
    PRIVILEGED,
    CAPABILITIES,
    NO_NEW_PRIVILEGES,
    PROFILES,
    NAMESPACES,
    CGROUP,
    MEMORY,
    CPU,
    PROCESSES,
    ULIMITS,
    READ_ONLY_ROOT,
    BOUND_PORTS,
    PRIVILEGED_PORTS,
    RESTART,
    HOST_DIRECTORIES,
    DOCKER_SOCKET,
    DEVICES,
    PROPAGATION,
    HEALTHCHECK,
    NO_SSHD,
    LOGGING,
    USER,
    TMPFS,
    OWN_DATA,
)
