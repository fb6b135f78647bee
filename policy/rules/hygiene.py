"""Hygiene: deletions, loosened containers, protected data and memory limits."""

import re
from collections.abc import Iterator

from policy.meaning.commands import DockerCall, docker_calls, written_files
from policy.meaning.docker import HARMLESS, capability, is_root, keeps_privileges_down, loosened
from policy.meaning.paths import is_own
from policy.program import (
    CADDY,
    CONFIGURATION,
    CONTAINER,
    DOCKER_VOLUME,
    HOST_ACCESS,
    LOCAL_COMMAND,
    MANAGED_HOST,
    REMOTE_COMMAND,
    Program,
    Resource,
    known_first,
)
from policy.rule import Finding, ProgramRule, ResourceRule, Severity

_COMMANDS = (LOCAL_COMMAND, REMOTE_COMMAND)
_DELETES_DATA = re.compile(r"\bremove (?:true|false) .*/data/")
_SWARM = ("swarm init", "swarm join", "service create", "service update", "stack deploy")
_NAMESPACES = ("--pid", "--ipc", "--network", "--uts", "--userns", "--cgroupns")
_MOUNT = re.compile(r"(?:^|,)(?:source|src)=([^,]+)")


def _delete_commands(command: Resource, _: Program) -> Iterator[Finding]:
    if not command.text("delete").strip():
        yield Finding(what=f"{command.name} says nothing of its deletion")


def _docker_commands(command: Resource, _: Program) -> Iterator[Finding]:
    for key, text in _texts(command):
        for call in docker_calls(text):
            for does in _loosened(call):
                yield Finding(what=f"{command.name} runs `docker {call.verb}` {does}", subject=key)


def _texts(resource: Resource) -> Iterator[tuple[str, str]]:
    """Texts that a resource runs, by input: its commands, and the files that it puts onto a host."""
    if resource.type in _COMMANDS:
        yield from resource.texts("create", "update", "delete", "stdin")
        yield from (("stdin", content) for _, content in written_files(resource.text("stdin")))
        return
    files = resource.inputs.get("files") or {}
    yield from known_first((lambda path=path: (path, str(files[path]["content"]))) for path in files)  # type: ignore[misc]


def _loosened(call: DockerCall) -> Iterator[str]:
    """Options of a call that loosen a container's confinement."""
    if call.verb in _SWARM:
        yield "in a Swarm"
    if call.verb.startswith("plugin ") and call.verb not in ("plugin ls", "plugin inspect"):
        yield "with a program of its own"
    if call.is_on("--privileged"):
        yield "--privileged"
    if any(map(is_root, call.values("--user"))):
        yield "as root"
    for name in call.values("--cap-add"):
        if capability(name) not in HARMLESS:
            yield f"with the capability {capability(name)}"
    for name in _NAMESPACES:
        for value in call.values(name):
            if value == "host" or ":" in value:
                yield f"{name}={value}"
    for path in (*call.values("--volume"), *(found for mount in call.values("--mount") for found in _MOUNT.findall(mount))):
        source = path.partition(":")[0]
        if source.startswith("/") and not is_own(source):
            yield f"with {source} of its host"
    for device in call.values("--device", "--gpus", "--device-cgroup-rule"):
        yield f"with the device {device}"
    options = call.values("--security-opt")
    for loose in filter(None, map(loosened, options)):
        yield f"with {loose}"
    if any(option.startswith("no-new-privileges") for option in options) and not keeps_privileges_down(options):
        yield "with new privileges"


def _data_protected(resource: Resource, program: Program) -> Iterator[Finding]:
    holds_data = resource.type == DOCKER_VOLUME or _DELETES_DATA.search(resource.text("delete"))
    if program.is_production and holds_data and not resource.protect:
        yield Finding(what=f"{resource.name} can be deleted in prod, and its data with it")


def _memory(program: Program) -> Iterator[Finding]:
    for host in program.of_type(MANAGED_HOST):
        available = host.inputs.get("serviceMemoryMib")
        if available is None:
            continue
        limits = {c.name: int(c.inputs.get("memory") or 0) for c in program.of_type(CONTAINER) if c.host == host.name}
        total = sum(limits.values())
        if total > int(available):
            yield Finding(
                what=f"{host.name}: memory limits add up to {total} MiB; services may have {int(available)}", resource=host
            )


DELETE_COMMANDS = ResourceRule(
    name="hygiene-delete-commands",
    asks="A command says what its deletion does.",
    severity=Severity.MEDIUM,
    decides=("PUL-1",),
    why="what it made would stay behind when it is taken out of the program",
    fix="give `delete`; where nothing is to be undone, `HostScript(stays=...)` says why",
    example='HostScript(..., delete=["withdraw", stack])',
    types=_COMMANDS,
    check=_delete_commands,
)
DOCKER_COMMANDS = ResourceRule(
    name="hygiene-docker-commands",
    asks="No command, and no file on a host, makes a Swarm or has Docker loosen a container: as root, privileged, with the host.",
    severity=Severity.HIGH,
    decides=("CIS-5.1", "CIS-5.23", "CIS-5.24"),
    why="it would undo what confines the container",
    fix="let the container's own user do it",
    example="docker exec sese-postgresql psql -U postgres",
    types=(*_COMMANDS, HOST_ACCESS, CONFIGURATION, CADDY),
    check=_docker_commands,
)
DATA_PROTECTED = ResourceRule(
    name="hygiene-data-protected",
    asks="In prod whatever holds data is protected.",
    severity=Severity.CRITICAL,
    decides=("PUL-2",),
    why="a service taken out of the catalogue by mistake would take its data along",
    fix="leave vpai:protectData on; to remove data on purpose, unprotect that one resource",
    example="pulumi config set -s prod vpai:protectData true",
    types=(*_COMMANDS, DOCKER_VOLUME),
    check=_data_protected,
)
MEMORY_SUM = ProgramRule(
    name="hygiene-memory-sum",
    asks="The memory limits of a host add up to what it has, minus its reserve.",
    severity=Severity.HIGH,
    decides=("PUL-3",),
    why="the kernel would kill services under load (the predecessor was overcommitted 1.6 times)",
    fix="lower a limit, move a service, or take a larger host",
    example="pulumi config set --path 'vpai:hosts.sese.memoryMib' 16384",
    check=_memory,
)

RULES = (DELETE_COMMANDS, DOCKER_COMMANDS, DATA_PROTECTED, MEMORY_SUM)
