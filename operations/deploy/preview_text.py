"""Text of a preview for a pull request or a terminal: data at risk comes first, lines are short enough for a phone."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from model.host import host_of
from model.reachability import Difference, Reach
from model.urn import name_of

State = Mapping[str, Any]

MARK = "<!-- vpai preview -->"
"""First line of the comment; the next run finds the comment to update by this line."""

_CREATE, _UPDATE, _REPLACE, _DELETE = "create", "update", "replace", "delete"
_ACTIONS = {"create": _CREATE, "update": _UPDATE, "replace": _REPLACE, "delete": _DELETE}
"""The engine's operations; of the two steps of a replacement only `replace` counts."""
_ORDER = (_DELETE, _REPLACE, _UPDATE, _CREATE)

SERVER = "hcloud:index/server:Server"
_DATA_TYPES = (SERVER, "hcloud:index/volume:Volume", "pulumi-python:dynamic/s3:Bucket")
DIRECTORIES = "command:local:Command"
"""Type of the resources that make data directories; their names end in -data."""
_RANDOM = ("random:index/randomPassword:RandomPassword", "random:index/randomBytes:RandomBytes")
_NOT_SHOWN = ("pulumi:providers:", "pulumi:pulumi:Stack", "vpai:index:")
"""Components, providers and the stack itself: the resources inside them are shown instead."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that an `up` would change. `forced_by`: the properties that force its replacement."""

    action: str
    urn: str
    properties: tuple[str, ...] = ()
    forced_by: tuple[str, ...] = ()
    protected: bool = False
    left_behind: tuple[str, ...] = ()
    """Data directories, each with its owner, that the service no longer uses after an update: it would start with an empty
    one, or could not read its data."""

    @property
    def name(self) -> str:
        return name_of(self.urn)

    @property
    def type(self) -> str:
        """The engine's type token."""
        return self.urn.split("::")[2].rpartition("$")[2]

    @property
    def loses_data(self) -> bool:
        """Whether the resource holds data and would be deleted or replaced, or lose its data directory."""
        if self.action not in (_DELETE, _REPLACE):
            return bool(self.left_behind)
        return _has_data(self.urn) or self.type in _DATA_TYPES or (self.type in _RANDOM and self.protected)


def changes(steps: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    """The changes among the steps of `pulumi preview --json`, sorted."""
    found = (_change(step) for step in steps if step["op"] in _ACTIONS)
    shown = (change for change in found if not change.type.startswith(_NOT_SHOWN))
    return tuple(sorted(shown, key=lambda change: (_ORDER.index(change.action), change.name)))


def _change(step: Mapping[str, Any]) -> Change:
    old: State = step.get("oldState") or {}
    reasons = step.get("diffReasons") or ()
    forced = step.get("replaceReasons") or ()
    return Change(
        action=_ACTIONS[step["op"]],
        urn=step["urn"],
        properties=tuple(sorted({*reasons, *(path.split(".")[0].split("[")[0] for path in step.get("detailedDiff") or ())})),
        forced_by=tuple(sorted(forced)),
        protected=bool(old.get("protect")),
        left_behind=_left_behind(old, step.get("newState") or {}) if step["op"] == _UPDATE and _has_data(step["urn"]) else (),
    )


def _has_data(urn: str) -> bool:
    return urn.endswith("-data") and f"{DIRECTORIES}::" in urn


_DIRECTORY = re.compile(r"(\d+:\d+) 0[0-7]{3} (/[\w./-]+)")
"""Arguments of directories.sh: owner, mode, path."""


def _left_behind(old: State, new: State) -> tuple[str, ...]:
    before, after = (_DIRECTORY.findall(str((state.get("inputs") or {}).get("create", ""))) for state in (old, new))
    return tuple(sorted(f"{path} of {owner}" for owner, path in {*before} - {*after}))


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The content of the comment."""

    stack: str
    against: str
    """What the checkout is compared with, in words."""
    hosts: tuple[str, ...]
    changes: tuple[Change, ...]
    cost_before: Decimal
    cost_after: Decimal
    reach: Difference
    policy: tuple[str, ...]
    """Findings of the policy pack that refuse the change."""
    unpriced: tuple[str, ...] = ()
    """Names of rented resources without a known price."""
    missing: tuple[str, ...] = ()
    """Facts that are not looked up yet: an `up` refuses without them."""


def comment(preview: Preview) -> str:
    """The comment in Markdown. It has no tables, so that a phone shows it without sideways scrolling."""
    sections = [f"{MARK}\n### {preview.stack}: {_count(preview.changes)}\n\nAgainst {preview.against}."]
    sections += _data_at_risk(preview.changes)
    sections += _by_host(preview)
    sections += _reach(preview.reach)
    sections.append(f"**Cost**: {_cost(preview)}")
    sections.append(_policy(preview.policy))
    sections += _missing(preview.missing)
    return "\n\n".join(sections) + "\n"


def refusal(stack: str, said: str) -> str:
    """The comment for a program that refuses its own inputs: there is no preview then."""
    return f"{MARK}\n### {stack}: the program refuses\n\n```\n{said}\n```\n"


def _count(found: Sequence[Change]) -> str:
    counts = {action: sum(change.action == action for change in found) for action in _ORDER}
    return ", ".join(f"{count} to {action}" for action, count in counts.items() if count) or "no changes"


def _data_at_risk(found: Sequence[Change]) -> Iterator[str]:
    lines = [f"- **{change.action} {_kind(change)} {change.name}**{_reason(change)}" for change in found if change.loses_data]
    if lines:
        yield "\n".join(["**Data at risk**", "", *lines])


def _by_host(preview: Preview) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for change in preview.changes:
        groups.setdefault(_host(change, preview.hosts), []).append(
            f"- {change.action} {_kind(change)} `{change.name}`{_reason(change)}"
        )
    for host in sorted(groups, key=lambda host: (host == _STACK, host)):
        yield "\n".join([f"**{host}**", "", *groups[host]])


_STACK = "the stack itself"


def _host(change: Change, hosts: Iterable[str]) -> str:
    return host_of(change.name, hosts) or _STACK


def _kind(change: Change) -> str:
    """The resource type, since an image and its container have the same name."""
    return change.type.rpartition(":")[2]


def _reason(change: Change) -> str:
    if change.action == _REPLACE and change.forced_by:
        return f": forced by {_words(change.forced_by)}"
    if change.action == _REPLACE and not change.properties:
        return ": along with what it depends on"
    if change.left_behind:
        return f": leaves behind {_words(change.left_behind)}"
    return f": {_words(change.properties)}" if change.action in (_UPDATE, _REPLACE) and change.properties else ""


def _words(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _reach(difference: Difference) -> Iterator[str]:
    lines = [*(f"- opens: {_row(row)}" for row in difference.opened), *(f"- closes: {_row(row)}" for row in difference.closed)]
    yield "\n".join(["**Who reaches what**", "", *lines]) if lines else "**Who reaches what**: as before"


def _row(row: Reach) -> str:
    return f"{row.source} → {row.target} ({row.by})"


def _cost(preview: Preview) -> str:
    unknown = f"; without a known price: {', '.join(preview.unpriced)}" if preview.unpriced else ""
    if preview.cost_after == preview.cost_before:
        return f"as before, {preview.cost_after:.2f} EUR a month net{unknown}"
    change = preview.cost_after - preview.cost_before
    return f"{change:+.2f} EUR a month net ({preview.cost_before:.2f} → {preview.cost_after:.2f}){unknown}"


_SHOWN = 5


def _missing(facts: Sequence[str]) -> Iterator[str]:
    if facts:
        more = [f"- and {len(facts) - _SHOWN} more"] if len(facts) > _SHOWN else []
        heading = f"**An up refuses** until {len(facts)} things are put right"
        yield "\n".join([heading, "", *(f"- {fact}" for fact in facts[:_SHOWN]), *more])


def _policy(refused: Sequence[str]) -> str:
    if not refused:
        return "**Policy**: passes"
    return "\n".join([f"**Policy**: refuses, {len(refused)}", "", *(f"- {text}" for text in refused)])
