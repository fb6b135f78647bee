"""Containers: limits, restarts, healthchecks and logs."""

import re
from collections.abc import Iterator
from typing import Any

from policy.program import CONTAINER, Program, Resource
from policy.rule import Finding, ResourceRule, Severity

_TYPES = (CONTAINER,)
_MAX_OPEN_FILES = 1048576
_BOUND = re.compile(r"0*[1-9]\d*(\.\d+)? ?[kmg]?b?", re.IGNORECASE)
"""A value that limits; Docker takes -1 for no limit."""


def _memory(container: Resource, _: Program) -> Iterator[Finding]:
    if float(container.inputs.get("memory") or 0) <= 0:
        yield Finding(what=f"{container.name} may use all memory of its host")
    elif container.inputs.get("memorySwap") != container.inputs.get("memory"):
        yield Finding(what=f"{container.name} may swap: memorySwap is not the memory limit")


def _cpu(container: Resource, _: Program) -> Iterator[Finding]:
    if not any(float(container.inputs.get(key) or 0) > 0 for key in ("cpus", "cpuQuota")):
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


def _restart(container: Resource, _: Program) -> Iterator[Finding]:
    policy = container.text("restart") or "no"
    retries = int(container.inputs.get("maxRetryCount") or 0)
    if policy != "on-failure" or not 0 < retries <= 5:
        yield Finding(what=f"{container.name} restarts by {policy!r}, at most {retries or 'for ever'}", subject=policy)


def _healthcheck(container: Resource, _: Program) -> Iterator[Finding]:
    check: Any = container.inputs.get("healthcheck") or {}
    tests = list(check.get("tests") or ())
    if len(tests) < 2 or tests[0] not in ("CMD", "CMD-SHELL"):
        yield Finding(what=f"{container.name} is not checked")


def _logging(container: Resource, _: Program) -> Iterator[Finding]:
    options: Any = container.inputs.get("logOpts") or {}
    if container.text("logDriver") not in ("json-file", "local"):
        yield Finding(what=f"{container.name} logs to {container.text('logDriver') or 'whatever its daemon says'}")
    elif not all(_BOUND.fullmatch(str(options.get(key) or "")) for key in ("max-size", "max-file")):
        yield Finding(what=f"the log of {container.name} grows until the disk is full")


MEMORY = ResourceRule(
    name="containers-memory-limit",
    asks="A container has a limit of memory, swap included.",
    severity=Severity.HIGH,
    decides=("CIS-5.11", "KICS-memory_not_limited", "CL-0026"),
    why="one leak would have the kernel kill whatever it likes",
    fix="set Limits(memory_mib=...) to what it was seen to use, and a quarter more",
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
    fix="set Limits(cpus=...)",
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
    fix="set the ulimit nproc; the provider has no pids_limit",
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
    fix="leave the others to daemon.json",
    example='ulimits=[ContainerUlimitArgs(name="nofile", soft=16384, hard=16384)]',
    types=_TYPES,
    check=_ulimits,
)
RESTART = ResourceRule(
    name="containers-restart",
    asks="A container restarts on failure, at most five times.",
    severity=Severity.LOW,
    decides=("CIS-5.15", "KICS-restart_policy_on_failure_not_set_to_5"),
    why="a container that fails for ever hides its failure and costs CPU",
    fix="use on-failure with at most five retries; `unless-stopped` is waived for services that are watched",
    example='restart="on-failure", max_retry_count=5',
    types=_TYPES,
    check=_restart,
)
HEALTHCHECK = ResourceRule(
    name="containers-healthcheck",
    asks="A container has a healthcheck.",
    severity=Severity.MEDIUM,
    decides=("CIS-5.27", "KICS-healthcheck_not_set"),
    why="a new version that does not work would replace one that does",
    fix="give a command that asks 127.0.0.1 with a tool of the image",
    example='command=("wget", "-q", "-O", "/dev/null", "http://127.0.0.1:2020/health")',
    types=_TYPES,
    check=_healthcheck,
)
LOGGING = ResourceRule(
    name="containers-logging",
    asks="A container's log is kept, and bounded.",
    severity=Severity.MEDIUM,
    decides=("CL-0014",),
    why="without a log nobody learns what happened; without a bound the disk fills up",
    fix="use json-file with max-size and max-file",
    example='log_driver="json-file", log_opts={"max-size": "10m", "max-file": "3"}',
    types=_TYPES,
    check=_logging,
)

RULES = (MEMORY, CPU, PROCESSES, ULIMITS, RESTART, HEALTHCHECK, LOGGING)
