"""A rule of the pack as a value: its requirement, its resources, the published controls that it decides, and the fix."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from model.problem import Problem
from policy.program import Program, Resource


class Severity(StrEnum):
    """Severities, named as in the engine's protocol."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One violation of a rule. `subject` is what a waiver can name: a path, a port, a capability."""

    what: str
    subject: str = ""
    resource: Resource | None = None
    """The resource that causes it, for rules about a whole program."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule. `check` finds the violations; `why`, `fix` and `example` complete the message."""

    name: str
    asks: str
    """The requirement, in one sentence."""
    severity: Severity
    decides: tuple[str, ...]
    """Ids of the controls in `policy.benchmarks`."""
    why: str
    fix: str
    example: str
    open_in_preview: bool = False
    """Whether the rule needs facts that nobody may have looked up yet: a preview then warns, an `up` refuses."""

    def message(self, finding: Finding) -> str:
        """The text that an operator reads after `asks`."""
        return str(Problem(what=finding.what, why=self.why, fix=self.fix, example=self.example))


@dataclass(frozen=True, kw_only=True)
class ResourceRule(Rule):
    """A rule about each resource of `types` (empty: of every type), checked before the resource is created."""

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
    """A rule about the whole program, checked once, when everything is registered."""

    check: Callable[[Program], Iterable[Finding]]

    def findings(self, program: Program) -> Iterator[Finding]:
        """What is broken and not waived."""
        for finding in self.check(program):
            if not program.accepts(self.name, finding.subject, finding.resource):
                yield finding
