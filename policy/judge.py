"""Runs every rule on a program and returns the violations as messages of Pulumi's analyzer protocol."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from google.protobuf import json_format  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy.proxy import UnknownValueError, unknown_checking_proxy

from policy import NAME, VERSION
from policy.program import Program, Resource
from policy.rule import Finding, ProgramRule, ResourceRule, Rule, Severity
from policy.rules import RULES

WAIVERS, ENDING, UNDECIDED = "waivers-in-force", "waivers-ending", "undecided-in-preview"

_REPORTS = {
    WAIVERS: "What is waived, why, and until when.",
    ENDING: "What is waived for a few weeks more: remove the waiver, or look at its reason again and set a later day.",
    UNDECIDED: "What is known after `up` only, and then decided.",
}
_SECRET_KEY, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
"""Key and value that mark a secret in the engine's messages."""
_RESOURCE_RULES = tuple(rule for rule in RULES if isinstance(rule, ResourceRule))
_PROGRAM_RULES = tuple(rule for rule in RULES if isinstance(rule, ProgramRule))
_SHORTEST_SECRET = 8
"""Least length of a configured secret that is searched for in plain inputs: shorter values are found everywhere."""


class Judge:
    """Judges one run: each resource before it is created, then the whole program."""

    def __init__(self, run: Any, today: date) -> None:
        configured = (run.config.get(key, "") for key in run.config_secret_keys)
        self._preview = run.dry_run
        self._program = Program(
            stack=run.stack,
            kind=run.config.get("vpai:kind", ""),
            today=today,
            configured_secrets=tuple(value for value in configured if len(value) >= _SHORTEST_SECRET),
        )
        self._open: dict[str, list[str]] = {}
        """Findings of a preview about facts that nobody may have looked up yet; reported once per rule."""

    def resource(self, request: Any) -> Iterator[Any]:
        """The violations of one resource."""
        resource = _resource(request)
        self._program.learn(resource)
        for rule in _RESOURCE_RULES:
            yield from self._reported(rule, rule.findings(resource, self._program), resource)

    def program(self) -> Iterator[Any]:
        """The violations of the whole program, and the reports. Every resource's inputs are known by then."""
        for rule in _PROGRAM_RULES:
            yield from self._reported(rule, rule.findings(self._program), None)
        for open_ in RULES:
            if whats := self._open.get(open_.name):
                text = open_.message(Finding(what="\n".join(whats)))
                yield _diagnostic(open_.name, open_.asks, text, analyzer_pb2.ADVISORY, rule=open_)
        reports = {WAIVERS: _waived(self._program), ENDING: _ending(self._program), UNDECIDED: _undecided(self._program)}
        for name, lines in reports.items():
            if text := "\n".join(lines):
                yield _diagnostic(name, _REPORTS[name], text, analyzer_pb2.ADVISORY)

    def _reported(self, rule: Rule, findings: Iterable[Finding], resource: Resource | None) -> Iterator[Any]:
        try:
            for finding in findings:
                if self._preview and rule.open_in_preview:
                    self._open.setdefault(rule.name, []).append(finding.what)
                    continue
                whose = finding.resource or resource
                urn = whose.urn if whose else ""
                yield _diagnostic(rule.name, rule.asks, rule.message(finding), analyzer_pb2.MANDATORY, urn, rule)
        except UnknownValueError as error:
            names = self._program.undecided.setdefault((rule.name, error.props[0]), [])
            names.append(resource.name if resource else "the stack")


def _diagnostic(name: str, asks: str, text: str, level: Any, urn: str = "", rule: Rule | None = None) -> Any:
    return analyzer_pb2.AnalyzeDiagnostic(
        policyName=name,
        policyPackName=NAME,
        policyPackVersion=VERSION,
        description=asks,
        message=f"{asks}\n{text}",
        enforcementLevel=level,
        urn=urn,
        severity=_severity(rule.severity if rule else Severity.LOW),
    )


def _severity(severity: Severity) -> Any:
    return analyzer_pb2.PolicySeverity.Value(f"POLICY_SEVERITY_{severity.name}")


def _resource(request: Any) -> Resource:
    wire = json_format.MessageToDict(request.properties)
    host = json_format.MessageToDict(request.provider.properties).get("host", "") if request.HasField("provider") else ""
    return Resource(
        urn=request.urn,
        type=request.type,
        name=request.name,
        inputs=unknown_checking_proxy({key: _plain(value) for key, value in wire.items()}),
        secret_inputs=frozenset(key for key, value in wire.items() if _has_secret(value)),
        parent=request.options.parent,
        protect=request.options.protect,
        ignore_changes=frozenset(request.options.ignoreChanges),
        host=str(host).removeprefix("ssh://"),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.get(_SECRET_KEY) == _SECRET:
            return _plain(value["value"])
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _has_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return value.get(_SECRET_KEY) == _SECRET or any(map(_has_secret, value.values()))
    return isinstance(value, list) and any(map(_has_secret, value))


def _waived(program: Program) -> Iterator[str]:
    for waiver, names in sorted(program.waived.items(), key=lambda item: (item[0].until, item[0].rule, item[0].subject)):
        subject = f" ({waiver.subject})" if waiver.subject else ""
        yield f"until {waiver.until}: {waiver.rule}{subject}: {', '.join(sorted(names))}: {waiver.reason}"


def _ending(program: Program) -> Iterator[str]:
    for waiver, names in sorted(program.waived.items(), key=lambda item: (item[0].until, item[0].rule, item[0].subject)):
        if waiver.ends_soon(program.today):
            subject = f" ({waiver.subject})" if waiver.subject else ""
            left = (waiver.until - program.today).days
            yield f"in {left} days, {waiver.until}: {waiver.rule}{subject}: {', '.join(sorted(names))}"


def _undecided(program: Program) -> Iterator[str]:
    for (rule, key), names in sorted(program.undecided.items()):
        yield f"{rule}, by `{key}` of {', '.join(sorted(names))}"
