"""A waiver: a rule of the policy pack that something does not meet, why, and until when that is accepted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


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

    def as_input(self) -> Mapping[str, str]:
        """As a component passes it to the engine."""
        return {"rule": self.rule, "reason": self.reason, "until": self.until.isoformat(), "subject": self.subject}

    @classmethod
    def from_input(cls, value: Mapping[str, str]) -> "Waiver":
        """The inverse of `as_input`."""
        until = date.fromisoformat(value["until"])
        return cls(rule=value["rule"], reason=value["reason"], until=until, subject=value.get("subject", ""))
