"""What of a service wakes somebody up besides that it runs, is healthy and has memory: a value of the service itself."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether it can wait until the morning."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Fires when `measure` is beyond its threshold for `seconds`. It has a value while all is well.

    In the texts of a service's own `$here` stands for the labels of the service on its host, `$on` for the host's, `$host`
    for the host's name.
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
