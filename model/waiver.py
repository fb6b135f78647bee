"""A waiver: a rule of the policy pack that something does not meet, why, and until when that is accepted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

LONGEST = timedelta(days=366)
"""From the day of a run to a waiver's last: what nobody looks at for longer is no exception but a rule."""
WARNED = timedelta(days=42)
"""Before its last day, in which each run says so: time to look at the reason again."""


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """Stands next to what it is for and travels with it: the pack reads it from the inputs of a component."""

    rule: str
    """The rule's name, as in docs/reference/policy.md."""
    reason: str
    until: date
    """The last day on which it holds; the reason is looked at again before."""
    subject: str = ""
    """The one thing that is waived: a path, a port, a capability. Empty for whatever the rule finds."""

    def holds(self, today: date) -> bool:
        """Whether it covers anything: it has not ended, and ends within a year."""
        return timedelta() <= self.until - today <= LONGEST

    def ends_soon(self, today: date) -> bool:
        """Whether it is time to look at it again."""
        return self.holds(today) and self.until - today <= WARNED

    def as_input(self) -> Mapping[str, str]:
        """As a component passes it to the engine."""
        return {"rule": self.rule, "reason": self.reason, "until": self.until.isoformat(), "subject": self.subject}

    @classmethod
    def from_input(cls, value: Mapping[str, str]) -> "Waiver":
        """The inverse of `as_input`."""
        until = date.fromisoformat(value["until"])
        return cls(rule=value["rule"], reason=value["reason"], until=until, subject=value.get("subject", ""))
