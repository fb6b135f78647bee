"""A rule of the pack as a value: what it asks, of which resources, which published controls it decides, and how to fix."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from model.problem import Problem
from policy.program import Program, Resource


class Severity(StrEnum):
    """As the engine's protocol names them."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that breaks a rule. `subject` is what a waiver can name: a path, a port, a capability."""

    what: str
    subject: str = ""
    resource: Resource | None = None
    """Whose fault it is, for rules about a whole program."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`check` finds what breaks it; `why`, `fix` and `example` complete the message."""

    name: str
    asks: str
    """What has to hold, in one sentence."""
    severity: Severity
    decides: tuple[str, ...]
    """Ids of `policy.benchmarks`."""
    why: str
    fix: str
    example: str
    open_in_preview: bool = False
    """Asks for facts that nobody may have looked up yet: a preview warns of them, an `up` refuses."""

    def message(self, finding: Finding) -> str:
        """What an operator reads, after `asks`."""
        return str(Problem(what=finding.what, why=self.why, fix=self.fix, example=self.example))


@dataclass(frozen=True, kw_only=True)
class ResourceRule(Rule):
    """Asked of each resource of `types` (empty: of every one) before it is made."""

    types: tuple[str, ...]
    check: Callable[[Resource, Program], Iterable[Finding]]

    def findings(self, resource: Resource, program: Program) -> Iterator[Finding]:
        """What is broken and not waived."""
        if not self.types or resource.type in self.types:
            for finding in self.check(resource, program):
                if not program.accepts(self.name, finding.subject, resource):
                    yield finding


@dataclass(frozen=True, kw_only=True)
class ProgramRule(Rule):
    """Asked once, when everything is registered."""

    check: Callable[[Program], Iterable[Finding]]

    def findings(self, program: Program) -> Iterator[Finding]:
        """What is broken and not waived."""
        for finding in self.check(program):
            if not program.accepts(self.name, finding.subject, finding.resource):
                yield finding
