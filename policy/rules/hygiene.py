"""Hygiene: what keeps a program deployable, removable and honest about what it does not meet."""

import re
from collections.abc import Iterator

from policy.program import (
    CONTAINER,
    DOCKER_VOLUME,
    LOCAL_COMMAND,
    MANAGED_HOST,
    REMOTE_COMMAND,
    SERVICE,
    Program,
    Resource,
)
from policy.rule import Finding, ProgramRule, ResourceRule, Severity

_COMMANDS = (LOCAL_COMMAND, REMOTE_COMMAND)
_DELETES_DATA = re.compile(r"\bremove (?:true|false) .*/data/")
_DOCKER = (
    (re.compile(r"\bdocker swarm (?:init|join)\b"), "makes the host a member of a Docker Swarm"),
    (re.compile(r"\bdocker (?:container )?exec\b[^\n;|&]*\s--privileged\b"), "runs `docker exec --privileged`"),
    (re.compile(r"\bdocker (?:container )?exec\b[^\n;|&]*\s(?:-u|--user)[= ]?(?:root|0)\b"), "runs `docker exec` as root"),
)


def _waivers(component: Resource, program: Program) -> Iterator[Finding]:
    # Not at the top: the list of rules holds this one.
    from policy.rules import RULES

    known = {rule.name for rule in RULES}
    for waiver in component.waivers:
        if waiver.until < program.today:
            what = f"{component.name}: the waiver of {waiver.rule} ended on {waiver.until}: {waiver.reason}"
            yield Finding(what=what, subject=waiver.rule)
        if waiver.rule not in known:
            yield Finding(what=f"{component.name} waives {waiver.rule!r}, which is no rule", subject=waiver.rule)
        if not waiver.reason.strip():
            yield Finding(what=f"{component.name} waives {waiver.rule} without a reason", subject=waiver.rule)


def _delete_commands(command: Resource, _: Program) -> Iterator[Finding]:
    if not command.text("delete").strip():
        yield Finding(what=f"{command.name} says nothing of its deletion")


def _docker_commands(command: Resource, _: Program) -> Iterator[Finding]:
    for key, text in command.texts("create", "update", "delete", "stdin"):
        for pattern, does in _DOCKER:
            if pattern.search(text):
                yield Finding(what=f"{command.name} {does}", subject=key)


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
        spawned = {
            f"{service.name} (spawned)": int(service.inputs.get("spawnedMemoryMib") or 0)
            for service in program.of_type(SERVICE)
            if service.text("host") == host.name
        }
        total = sum(limits.values()) + sum(spawned.values())
        if total > int(available):
            yield Finding(
                what=f"{host.name}: memory limits add up to {total} MiB; services may have {int(available)}", resource=host
            )


WAIVERS = ResourceRule(
    name="hygiene-waivers",
    asks="A waiver names a rule, has a reason, and has not ended.",
    severity=Severity.HIGH,
    decides=(),
    why="an exception that nobody looks at again is a hole",
    mend="mend what it is for, or look at the reason again and set a later day, at most a year ahead",
    example='Waiver(rule="containers-read-only-root", reason="it writes beside its program", until=date(2027, 5, 31))',
    types=(),
    check=_waivers,
)
DELETE_COMMANDS = ResourceRule(
    name="hygiene-delete-commands",
    asks="A command says what its deletion does.",
    severity=Severity.MEDIUM,
    decides=("PUL-1",),
    why="what it made would stay behind when it is taken out of the program",
    mend="give `delete`; where nothing is to be undone, `HostScript(stays=...)` says why",
    example='HostScript(..., delete=["withdraw", stack])',
    types=_COMMANDS,
    check=_delete_commands,
)
DOCKER_COMMANDS = ResourceRule(
    name="hygiene-docker-commands",
    asks="No command makes a Swarm, nor enters a container as root or privileged.",
    severity=Severity.HIGH,
    decides=("CIS-5.1", "CIS-5.23", "CIS-5.24"),
    why="it would undo what confines the container",
    mend="let the container's own user do it",
    example="docker exec sese-postgresql psql -U postgres",
    types=_COMMANDS,
    check=_docker_commands,
)
DATA_PROTECTED = ResourceRule(
    name="hygiene-data-protected",
    asks="In prod whatever holds data is protected.",
    severity=Severity.CRITICAL,
    decides=("PUL-2",),
    why="a service taken out of the catalogue by mistake would take its data along",
    mend="leave vpai:protectData on; to remove data on purpose, unprotect that one resource",
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
    mend="lower a limit, move a service, or take a larger host",
    example="pulumi config set --path 'vpai:hosts.sese.memoryMib' 16384",
    check=_memory,
)

RULES = (WAIVERS, DELETE_COMMANDS, DOCKER_COMMANDS, DATA_PROTECTED, MEMORY_SUM)
