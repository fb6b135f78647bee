"""The rules as the engine asks for them, over its own protocol.

pulumi-policy's server decodes each resource once for every rule and does not pass on what is secret, which stack it is,
or whether this is a preview (docs/adr/0014); its values that are unknown in a preview and its severities are used.
"""

# ruff: noqa: N802 - the methods bear the names of gRPC calls

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import json_format  # type: ignore[import-untyped]
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2
from pulumi_policy.proxy import UnknownValueError, unknown_checking_proxy

from policy.program import Program, Resource
from policy.rule import Finding, ProgramRule, ResourceRule, Rule, Severity
from policy.rules import RULES

NAME, VERSION = "vpai", "1.0.0"
WAIVERS, UNDECIDED = "waivers-in-force", "undecided-in-preview"

_REPORTS = {WAIVERS: "What is waived, why, and until when.", UNDECIDED: "What is known after `up` only, and then decided."}
_SECRET_KEY, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
"""How a secret is marked on the wire."""
_RESOURCE_RULES = tuple(rule for rule in RULES if isinstance(rule, ResourceRule))
_PROGRAM_RULES = tuple(rule for rule in RULES if isinstance(rule, ProgramRule))
_SHORTEST_SECRET = 8
"""Of a configured value that is looked for in plain inputs: a shorter one is found everywhere."""
_LARGEST_MESSAGE = 400 << 20
"""As the engine's own."""


def serve(today: date | None = None) -> tuple[Any, int]:
    """The running server and its port on this machine."""
    server = grpc.server(ThreadPoolExecutor(max_workers=1), options=[("grpc.max_receive_message_length", _LARGEST_MESSAGE)])
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Analyzer(today or datetime.now(UTC).date()), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):
    """One run: what stack it is, then every resource before it is made, then the stack."""

    def __init__(self, today: date) -> None:
        self._preview = False
        self._program = Program(stack="", today=today)
        self._open: dict[str, list[str]] = {}
        """What rules found in a preview that nobody may have looked up yet; told once a rule."""

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:
        return analyzer_pb2.AnalyzerInfo(
            name=NAME,
            version=VERSION,
            policies=[
                *(
                    analyzer_pb2.PolicyInfo(
                        name=rule.name,
                        description=rule.asks,
                        enforcementLevel=self._level(rule),
                        severity=_severity(rule.severity),
                        remediation_steps=rule.mend,
                        tags=rule.decides,
                        policy_type=analyzer_pb2.POLICY_TYPE_RESOURCE
                        if isinstance(rule, ResourceRule)
                        else analyzer_pb2.POLICY_TYPE_STACK,
                    )
                    for rule in RULES
                ),
                *(
                    analyzer_pb2.PolicyInfo(
                        name=name,
                        description=description,
                        enforcementLevel=analyzer_pb2.ADVISORY,
                        policy_type=analyzer_pb2.POLICY_TYPE_STACK,
                    )
                    for name, description in _REPORTS.items()
                ),
            ],
        )

    def Configure(self, request: Any, context: Any) -> Any:
        # A rule is waived beside what it is for, never switched off from outside.
        return Empty()

    def ConfigureStack(self, request: Any, context: Any) -> Any:
        values = (request.config.get(key, "") for key in request.config_secret_keys)
        self._preview = request.dry_run
        self._program = Program(
            stack=request.stack,
            today=self._program.today,
            configured_secrets=tuple(value for value in values if len(value) >= _SHORTEST_SECRET),
        )
        return analyzer_pb2.AnalyzerStackConfigureResponse()

    def Remediate(self, request: Any, context: Any) -> Any:
        return analyzer_pb2.RemediateResponse()

    def Analyze(self, request: Any, context: Any) -> Any:
        resource = _resource(request)
        self._program.learn(resource)
        found = analyzer_pb2.AnalyzeResponse()
        for rule in _RESOURCE_RULES:
            self._tell(found, rule, rule.findings(resource, self._program), resource)
        return found

    def AnalyzeStack(self, request: Any, context: Any) -> Any:
        # Its resources carry outputs; the rules ask about the inputs, which have been learned by now.
        found = analyzer_pb2.AnalyzeResponse()
        for rule in _PROGRAM_RULES:
            self._tell(found, rule, rule.findings(self._program), None)
        for open_ in RULES:
            if whats := self._open.get(open_.name):
                text = open_.message(Finding(what="\n".join(whats)))
                found.diagnostics.append(_diagnostic(open_.name, open_.asks, text, analyzer_pb2.ADVISORY, rule=open_))
        for name, lines in ((WAIVERS, _waived(self._program)), (UNDECIDED, _undecided(self._program))):
            if text := "\n".join(lines):
                found.diagnostics.append(_diagnostic(name, _REPORTS[name], text, analyzer_pb2.ADVISORY))
        return found

    def Cancel(self, request: Any, context: Any) -> Any:
        return Empty()

    def _tell(self, found: Any, rule: Rule, findings: Iterable[Finding], resource: Resource | None) -> None:
        try:
            for finding in findings:
                if self._preview and rule.open_in_preview:
                    self._open.setdefault(rule.name, []).append(finding.what)
                    continue
                whose = finding.resource or resource
                urn = whose.urn if whose else ""
                found.diagnostics.append(
                    _diagnostic(rule.name, rule.asks, rule.message(finding), analyzer_pb2.MANDATORY, urn, rule)
                )
        except UnknownValueError as error:
            names = self._program.undecided.setdefault((rule.name, error.props[0]), [])
            names.append(resource.name if resource else "the stack")

    def _level(self, rule: Rule) -> Any:
        return analyzer_pb2.ADVISORY if self._preview and rule.open_in_preview else analyzer_pb2.MANDATORY


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


def _undecided(program: Program) -> Iterator[str]:
    for (rule, key), names in sorted(program.undecided.items()):
        yield f"{rule}, by `{key}` of {', '.join(sorted(names))}"
