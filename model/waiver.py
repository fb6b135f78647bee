"""A waiver: an accepted violation of a rule of the policy pack, with its reason and its last day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

LONGEST = timedelta(days=366)
"""Longest time from the day of a run to a waiver's last day. A longer exception is a rule: nobody reviews it."""
WARNED = timedelta(days=42)
"""Time before a waiver's last day in which each run warns, so that the reason is reviewed."""


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """A waiver, declared beside what it is for. The pack reads it from the inputs of a component."""

    rule: str
    """The rule's name, as in docs/reference/policy.md."""
    reason: str
    until: date
    """The last day on which the waiver holds."""
    subject: str = ""
    """The one thing that is waived: a path, a port, a capability. Empty: everything that the rule finds."""

    def holds(self, today: date) -> bool:
        """Whether the waiver is in force: it has not ended, and ends within a year."""
        return timedelta() <= self.until - today <= LONGEST

    def ends_soon(self, today: date) -> bool:
        """Whether the waiver is in force and its reason is due for review."""
        return self.holds(today) and self.until - today <= WARNED

    def as_input(self) -> Mapping[str, str]:
        """The waiver as an input of a component."""
        return {"rule": self.rule, "reason": self.reason, "until": self.until.isoformat(), "subject": self.subject}

    @classmethod
    def from_input(cls, value: Mapping[str, str]) -> "Waiver":
        """The inverse of `as_input`."""
        until = date.fromisoformat(value["until"])
        return cls(rule=value["rule"], reason=value["reason"], until=until, subject=value.get("subject", ""))
