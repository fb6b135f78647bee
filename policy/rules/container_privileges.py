"""Containers: privileges of a program inside that was broken into."""

from collections.abc import Iterator
from typing import Any

from policy.meaning.docker import HARMLESS, capability, is_root, keeps_privileges_down, loosened
from policy.program import CONTAINER, Program, Resource
from policy.rule import Finding, ResourceRule, Severity

_TYPES = (CONTAINER,)


def _privileged(container: Resource, _: Program) -> Iterator[Finding]:
    if container.inputs.get("privileged"):
        yield Finding(what=f"{container.name} is privileged")


def _capabilities(container: Resource, _: Program) -> Iterator[Finding]:
    capabilities: Any = container.inputs.get("capabilities") or {}
    dropped = {capability(name) for name in capabilities.get("drops") or ()}
    if "ALL" not in dropped:
        yield Finding(what=f"{container.name} keeps Docker's default capabilities", subject="drop")
    for name in capabilities.get("adds") or ():
        if capability(name) not in HARMLESS:
            yield Finding(what=f"{container.name} has the capability {capability(name)}", subject=capability(name))


def _no_new_privileges(container: Resource, _: Program) -> Iterator[Finding]:
    if not keeps_privileges_down(map(str, container.list("securityOpts"))):
        yield Finding(what=f"{container.name} may gain privileges by a setuid program")


def _profiles(container: Resource, _: Program) -> Iterator[Finding]:
    for option in container.list("securityOpts"):
        if loose := loosened(str(option)):
            yield Finding(what=f"{container.name} has {loose}", subject=loose)


def _namespaces(container: Resource, _: Program) -> Iterator[Finding]:
    for key, value in container.texts("networkMode", "pidMode", "ipcMode", "usernsMode"):
        if value == "host" or ":" in value:
            namespace = key.removesuffix("Mode")
            yield Finding(what=f"{container.name} shares the {namespace} namespace ({value})", subject=namespace)


def _cgroup(container: Resource, _: Program) -> Iterator[Finding]:
    if container.text("cgroupParent"):
        parent = container.text("cgroupParent")
        yield Finding(what=f"{container.name} is put below the control group {parent}", subject=parent)
    if container.text("cgroupnsMode") == "host":
        yield Finding(what=f"{container.name} sees the control groups of its host", subject="host")


def _devices(container: Resource, _: Program) -> Iterator[Finding]:
    for device in (*container.list("devices"), *container.list("deviceRequests")):
        path = str(device.get("hostPath") or device.get("driver") or "a device")
        yield Finding(what=f"{container.name} has {path} of its host", subject=path)
    if container.text("gpus"):
        yield Finding(what=f"{container.name} has the GPUs of its host", subject="gpus")


def _root(container: Resource, _: Program) -> Iterator[Finding]:
    if is_root(container.text("user")):
        yield Finding(what=f"{container.name} runs as root, whatever its image says", subject="root")


PRIVILEGED = ResourceRule(
    name="containers-unprivileged",
    asks="No container is privileged.",
    severity=Severity.CRITICAL,
    decides=("CIS-5.5", "KICS-privileged_containers_enabled", "CL-0002"),
    why="a privileged container is root on its host",
    fix="remove `privileged`; add the one capability that is needed",
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
    fix=f"drop ALL and add only from {', '.join(sorted(HARMLESS))}; any other needs a waiver beside the service",
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
    fix="set it; a program that needs more starts with more",
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
    fix="leave the profile on; where one call is missing, give a profile of its own",
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
    fix="leave the mode unset and join a network",
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
    fix="leave cgroup_parent and cgroupns_mode unset; who measures containers needs a waiver",
    example="host_cgroups=False",
    types=_TYPES,
    check=_cgroup,
)
DEVICES = ResourceRule(
    name="containers-no-devices",
    asks="No container has a device of its host.",
    severity=Severity.HIGH,
    decides=("CIS-5.18", "CL-0016"),
    why="a raw device goes past every permission of the files on it",
    fix="remove it",
    example="devices=None",
    types=_TYPES,
    check=_devices,
)
USER = ResourceRule(
    name="containers-user",
    asks="No container is told to run as root.",
    severity=Severity.MEDIUM,
    decides=("CL-0018",),
    why="it overrides the user that the image was built for",
    fix="give the uid:gid that owns its data",
    example='user="999:999"',
    types=_TYPES,
    check=_root,
)

RULES = (PRIVILEGED, CAPABILITIES, NO_NEW_PRIVILEGES, PROFILES, NAMESPACES, CGROUP, DEVICES, USER)
