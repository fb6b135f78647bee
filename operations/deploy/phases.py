"""Duration of an `up` by phase, from the engine's event log."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from operations.table import table

_PHASES = (
    ("server", ("hcloud:", "vpai:index:Hetzner", "hetzner-contact:")),
    ("bootstrap", ("vpai:index:ManagedHost",)),
    ("mesh", ("mesh:", "::mesh-part", "-direct-path")),
    ("services", ("vpai:index:DockerHost", "vpai:index:ServiceContainer")),
)
"""Each phase with parts of its resources' URNs. Inner phases come first: a child's URN contains the types of its parents."""
_REST = "secrets, buckets"
_UNCHANGED = ("same", "read", "refresh")
_DONE = "resOutputsEvent"
_TOLD = ("resourcePreEvent", _DONE, "resOpFailedEvent")


@dataclass(frozen=True)
class Phase:
    """From the start of its first resource to the end of its last, in seconds since the start of the `up`; phases overlap."""

    name: str
    begin: int
    end: int
    changed: int
    """Resources that were created, updated or deleted."""


def phases(events: Iterable[str]) -> tuple[Phase, ...]:
    """Phases in which something changed, by their start; `events` are the lines of an event log.

    The log's clock has whole seconds. Providers, components and unchanged resources are left out.
    """
    begin: int | None = None
    spans: dict[str, list[tuple[int, bool]]] = {}
    for line in events:
        if not line.endswith("}"):
            break  # the last line of an engine that was killed
        event = json.loads(line)
        begin = event["timestamp"] if begin is None else begin
        kind = next((kind for kind in _TOLD if kind in event), "")
        step: dict[str, Any] = event[kind]["metadata"] if kind else {"op": "same"}
        state = step.get("new") or step.get("old") or {}
        if step["op"] in _UNCHANGED or not state.get("custom") or "::pulumi:" in step["urn"]:
            continue
        spans.setdefault(_of(step["urn"]), []).append((event["timestamp"] - begin, kind == _DONE))
    found = (
        Phase(name, min(at for at, _ in span), max(at for at, _ in span), sum(done for _, done in span))
        for name, span in spans.items()
    )
    return tuple(sorted(found, key=lambda phase: (phase.begin, phase.end)))


def shown(found: Iterable[Phase]) -> str:
    """The phases as a table."""
    rows = ((phase.name, f"{phase.begin} s", f"{phase.end - phase.begin} s", str(phase.changed)) for phase in found)
    return table(("phase", "begins after", "takes", "resources"), rows)


def _of(urn: str) -> str:
    return next((name for name, parts in _PHASES if any(part in urn for part in parts)), _REST)
