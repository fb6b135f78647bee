"""Controls of a published benchmark: each is met, or waived with a reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Setting:
    """Met by values that we set; `note` says where the benchmark's wording differs."""

    title: str
    values: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Inherent:
    """Met without a setting of ours."""

    title: str
    reason: str


@dataclass(frozen=True)
class Deviation:
    """Not met as published; `values` are what we set instead."""

    title: str
    reason: str
    values: Mapping[str, str] = field(default_factory=dict)


Control = Setting | Inherent | Deviation


def settings(controls: Mapping[str, Control]) -> dict[str, str]:
    """All values that the controls set, in the controls' order."""
    return {
        key: value for control in controls.values() if not isinstance(control, Inherent) for key, value in control.values.items()
    }
