"""Alerts that a service declares, besides those that every service has (running, healthy, memory)."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How urgent an alert is: a warning can wait until the morning."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, kw_only=True)
class Watch:
    """An alert that fires when `measure` is beyond its threshold for `seconds`. `measure` has a value also while all is well.

    In the texts of a service's own alerts `$here` stands for the labels of the service on its host, `$on` for the host's
    labels, `$host` for the host's name.
    """

    name: str
    measure: str
    """PromQL with one value at most."""
    above: float | None = None
    below: float | None = None
    seconds: int
    severity: Severity
    summary: str
    runbook: str
    """What to do first, one line."""
