"""compose-lint's opinion of the same containers: `python -m tests.policy.compose_lint` writes docs/reference/compose-lint.md.

The containers of prod's preview, and those that the cases plant, as a Compose file; its findings against the pack's,
waivers aside. An independent judge: it was written by others, from the same benchmarks.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from operations.table import markdown
from policy.benchmarks import COMPOSE_LINT, deciding
from policy.program import CONTAINER, REMOTE_IMAGE, Program, Resource
from policy.rule import ResourceRule
from tests.graph.program import built
from tests.policy.cases import CASES
from tests.support.fleets import PROJECT

PAGE = PROJECT / "docs/reference/compose-lint.md"

EXPLAINED: Mapping[str, str] = {
    "CL-0008": "the pack also refuses another container's network namespace",
    "CL-0010": "the pack also refuses the host's user namespace",
    "CL-0013": "the pack also counts what compose-lint gives to CL-0001 (a socket, the whole root), and single files: openclaw's "
    "/usr/bin/docker",
    "CL-0014": "the pack also asks for a bound, and for a driver that is named",
    "CL-0016": "the pack also counts GPUs",
    "CL-0019": "a floating tag is CL-0004's there; the pack asks for a digest all the same",
    "CL-0022": "Docker's default is noexec,nosuid; the pack wants it said",
    "CL-0025": "the pack also counts what the driver of a volume mounts",
    "CL-0026": "the pack also counts swap beyond the limit",
}
"""What the pack finds alone, and why. compose-lint alone finds nothing."""


@dataclass(frozen=True)
class Verdicts:
    """Containers by control: found by both, by us alone, by them alone."""

    both: Mapping[str, frozenset[str]]
    ours: Mapping[str, frozenset[str]]
    theirs: Mapping[str, frozenset[str]]


def main() -> int:
    PAGE.write_text(page(compare(catalogue()), compare(planted())))
    return 0


def catalogue() -> tuple[Resource, ...]:
    """Every container and image of prod."""
    return tuple(
        Resource(urn=registered.urn, type=registered.type, name=registered.name, inputs=registered.inputs)
        for registered in built("prod").resources
        if registered.type in (CONTAINER, REMOTE_IMAGE)
    )


def planted() -> tuple[Resource, ...]:
    """What the cases break, one container or image each."""
    found = [
        (f"{name}-{number}", program[-1])
        for name, case in CASES.items()
        for number, program in enumerate(case.breaks)
        if program[-1].type in (CONTAINER, REMOTE_IMAGE) and not name.startswith("secrets-docker")
    ]
    return tuple(Resource(urn=name, type=resource.type, name=name, inputs=resource.inputs) for name, resource in found)


def compare(resources: tuple[Resource, ...]) -> Verdicts:
    """Both judges over the same containers; an image counts for the container of its name."""
    ours = {control: frozenset(_ours(control, resources)) for control in COMPOSE_LINT.controls}
    theirs = _theirs(compose(resources))
    return Verdicts(
        both={control: ours[control] & theirs.get(control, frozenset()) for control in ours},
        ours={control: ours[control] - theirs.get(control, frozenset()) for control in ours},
        theirs={control: theirs.get(control, frozenset()) - ours[control] for control in ours},
    )


def compose(resources: tuple[Resource, ...]) -> Mapping[str, Any]:
    """The Compose file that would make the same containers."""
    images = {resource.name: resource.inputs["name"] for resource in resources if resource.type == REMOTE_IMAGE}
    pinned = f"registry.example.org/some/image:1.0@sha256:{'a' * 64}"
    services = {
        resource.name: _service(resource, images.get(resource.name, pinned))
        for resource in resources
        if resource.type == CONTAINER
    }
    lone = {name: {**_SOUND, "image": image} for name, image in images.items() if name not in services}
    return {"services": {**services, **lone}}


_SOUND = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "mem_limit": "1m", "cpus": "1"}


def _service(container: Resource, image: str) -> dict[str, Any]:
    given = container.inputs
    capabilities = given.get("capabilities") or {}
    service = {
        "image": image,
        "entrypoint": given.get("entrypoints"),
        "command": given.get("command"),
        "environment": given.get("envs"),
        "user": given.get("user"),
        "privileged": given.get("privileged"),
        "read_only": given.get("readOnly"),
        "tmpfs": [f"{path}:{options}" if options else path for path, options in (given.get("tmpfs") or {}).items()],
        "cap_drop": capabilities.get("drops"),
        "cap_add": [name.removeprefix("CAP_") for name in capabilities.get("adds") or ()],
        "security_opt": given.get("securityOpts"),
        "volumes": list(_volumes(container)),
        "devices": [f"{device['hostPath']}:{device['containerPath']}" for device in given.get("devices") or ()],
        "ports": [
            {
                "target": int(port["internal"]),
                "published": str(int(port["external"])),
                "protocol": port.get("protocol", "tcp"),
                **({"host_ip": port["ip"]} if port.get("ip") else {}),
            }
            for port in given.get("ports") or ()
        ],
        "network_mode": given.get("networkMode"),
        "pid": given.get("pidMode"),
        "ipc": given.get("ipcMode"),
        "userns_mode": given.get("usernsMode"),
        "mem_limit": f"{int(given['memory'])}m" if given.get("memory") else None,
        "cpus": given.get("cpus"),
        "logging": {"driver": given.get("logDriver"), "options": given.get("logOpts")} if given.get("logDriver") else None,
        "healthcheck": {"test": given["healthcheck"]["tests"]} if given.get("healthcheck") else None,
        "restart": given.get("restart"),
    }
    # In a Compose file a dollar sign begins a variable.
    filled = {key: value for key, value in service.items() if value not in (None, [], {})}
    escaped: dict[str, Any] = json.loads(json.dumps(filled).replace("$", "$$"))
    return escaped


def _volumes(container: Resource) -> Iterator[dict[str, Any]]:
    for volume in container.inputs.get("volumes") or ():
        source, target, read_only = volume["hostPath"], volume["containerPath"], bool(volume.get("readOnly"))
        yield {"type": "bind", "source": source, "target": target, "read_only": read_only}
    for mount in container.inputs.get("mounts") or ():
        bind = {"bind": dict(mount["bindOptions"])} if mount.get("bindOptions") else {}
        source = {"source": mount["source"]} if mount.get("source") else {}
        yield {"type": mount.get("type", "bind"), "target": mount["target"], **source, **bind}


def _ours(control: str, resources: tuple[Resource, ...]) -> Iterator[str]:
    program = Program(stack="prod", kind="production", today=date(2026, 11, 23))
    for rule in deciding(control):
        if isinstance(rule, ResourceRule):
            yield from (
                resource.name
                for resource in resources
                if resource.type in rule.types
                and list(rule.check(resource, program))
                and _is_about(control, rule, resource, program)
            )


def _is_about(control: str, rule: ResourceRule, resource: Resource, program: Program) -> bool:
    """Whether one of the findings is what this control, of several that a rule decides, is about."""
    wanted = _GRADES.get(control)
    return not wanted or any(
        wanted.fullmatch(finding.subject) or wanted.search(finding.what) for finding in rule.check(resource, program)
    )


_GRADES: Mapping[str, re.Pattern[str]] = {
    "CL-0006": re.compile("drop"),
    "CL-0008": re.compile("network"),
    "CL-0010": re.compile("pid|ipc|userns"),
    "CL-0011": re.compile("NET_ADMIN|BPF|SYS_BOOT"),
    "CL-0025": re.compile("and may write$"),
    "CL-0024": re.compile("ALL|SYS_ADMIN|SYS_MODULE|SYS_RAWIO"),
    "CL-0027": re.compile("SYS_PTRACE|DAC_READ_SEARCH"),
    "CL-0028": re.compile("PERFMON|SYS_TIME"),
    "CL-0029": re.compile("SYS_NICE|IPC_LOCK|LEASE"),
    "CL-0030": re.compile("SYSLOG"),
}
"""compose-lint has a rule for each grade of harm; the pack has one that names the capability."""


def _theirs(document: Mapping[str, Any]) -> Mapping[str, frozenset[str]]:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "compose.yml"
        file.write_text(yaml.safe_dump(document))
        command = [sys.executable, "-m", "compose_lint", "check", "--format", "json", "--no-env", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=directory)
    found: dict[str, set[str]] = {}
    for finding in json.loads(done.stdout)["findings"]:
        found.setdefault(finding["rule_id"], set()).add(finding["service"])
    return {control: frozenset(names) for control, names in found.items()}


def page(real: Verdicts, broken: Verdicts) -> str:
    """The agreement table."""
    total = {
        kind: sum(len(getattr(verdicts, kind)[c]) for verdicts in (real, broken) for c in verdicts.both)
        for kind in ("both", "ours", "theirs")
    }
    rows = (
        (
            control,
            asks,
            *(str(len(getattr(verdicts, kind)[control])) for verdicts in (real, broken) for kind in ("both", "ours", "theirs")),
            EXPLAINED.get(control, "-"),
        )
        for control, asks in COMPOSE_LINT.controls.items()
    )
    head = (
        "id",
        "asks",
        "prod: both",
        "ours alone",
        "theirs alone",
        "planted: both",
        "ours alone",
        "theirs alone",
        "why they differ",
    )
    return f"""# Reference: the policy pack and compose-lint

Written by `make docs`; do not edit. A test fails when it is stale, or when a difference has no explanation.

compose-lint 0.36.2 reads prod's containers, and those that break a rule each, as a Compose file; what it finds is compared
with what the pack finds, container by container, waivers aside. In agreement: {total["both"]} findings of
{sum(total.values())}; the pack alone has {total["ours"]}, compose-lint alone {total["theirs"]}.

{markdown(head, rows)}
"""


if __name__ == "__main__":
    sys.exit(main())
