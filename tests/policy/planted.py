"""Resources to plant, and the pack's own server to show them to, over the engine's own protocol."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE as UNKNOWN

from model.waiver import Waiver
from policy.analyzer import Analyzer
from policy.judge import UNDECIDED, WAIVERS
from policy.server import serve

TODAY = date(2026, 11, 23)
PRODUCTION = "prod"
SECRET = "swordfish-swordfish"
"""Encrypted in the configuration of every stack that is shown here."""


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A resource as a program would register it; `parent` is another one's name."""

    type: str
    name: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""
    protect: bool = False
    ignore_changes: Sequence[str] = ()
    host: str = ""

    def with_inputs(self, **inputs: Any) -> "Planted":
        return replace(self, inputs={**self.inputs, **inputs})

    @property
    def urn(self) -> str:
        return f"urn:pulumi:{PRODUCTION}::vpai::{self.type}::{self.name}"


def secret(value: str) -> Mapping[str, str]:
    """A secret as it travels."""
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": value}


def with_waiver(resources: Sequence[Planted], waiver: Waiver) -> Sequence[Planted]:
    """The same below a component that waives a rule."""
    component = Planted(type="vpai:index:Waiving", name="waiving", inputs={"waivers": [waiver.as_input()]})
    return [
        component,
        *(
            resource
            if resource.parent
            else replace(resource, parent=component.name)
            if "waivers" not in resource.inputs
            else resource.with_inputs(waivers=[*resource.inputs["waivers"], waiver.as_input()])
            for resource in resources
        ),
    ]


@dataclass(frozen=True)
class Reported:
    """What the pack says of a program."""

    broken: Mapping[str, list[str]]
    """Messages by rule."""
    advisory: frozenset[str]
    waived: str
    undecided: str


@contextmanager
def server(stack: str = PRODUCTION, *, kind: str = "", preview: bool = True, today: date = TODAY) -> Iterator[Any]:
    """A client of a running pack that knows its stack, and its kind, which is told by its name where it is not given."""
    running, port = serve(Analyzer(today))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        client = analyzer_pb2_grpc.AnalyzerStub(channel)
        client.ConfigureStack(_run(stack, kind, preview=preview))
        yield client
    running.stop(None).wait()


def _run(stack: str, kind: str = "", *, preview: bool) -> Any:
    kind = kind or ("production" if stack == PRODUCTION else "copy")
    config = {"vpai:some_api_key": SECRET, "vpai:domain": "vpai.test", "vpai:kind": kind}
    return analyzer_pb2.AnalyzerStackConfigureRequest(
        stack=stack, project="vpai", dry_run=preview, config=config, config_secret_keys=["vpai:some_api_key"]
    )


def tell(
    resources: Iterable[Planted], stack: str = PRODUCTION, *, kind: str = "", preview: bool = True, today: date = TODAY
) -> Reported:
    """Show a program to the pack as the engine does: resource by resource, then the stack."""
    with server(stack, kind=kind, preview=preview, today=today) as client:
        return reported(client, _requests(resources))


def tell_at_once(resources: Iterable[Planted], stack: str) -> Reported:
    """What `tell` does in an `up`, without a connection: for thousands of programs."""
    pack = _Called(Analyzer(TODAY))
    pack.ConfigureStack(_run(stack, preview=False))
    return reported(pack, _requests(resources))


@dataclass(frozen=True)
class _Called:
    """An analyzer's calls, as a client makes them."""

    analyzer: Analyzer

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        return lambda request: getattr(self.analyzer, name)(request, None)


def reported(client: Any, requests: Iterable[Any]) -> Reported:
    """The answers to `requests`, and to the whole."""
    diagnostics = [diagnostic for request in requests for diagnostic in client.Analyze(request).diagnostics]
    reports = {WAIVERS: "", UNDECIDED: ""}
    for diagnostic in client.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest()).diagnostics:
        if diagnostic.policyName in reports:
            reports[diagnostic.policyName] = diagnostic.message
        else:
            diagnostics.append(diagnostic)
    broken: dict[str, list[str]] = {}
    for diagnostic in diagnostics:
        broken.setdefault(diagnostic.policyName, []).append(diagnostic.message)
    advisory = frozenset(
        diagnostic.policyName for diagnostic in diagnostics if diagnostic.enforcementLevel == analyzer_pb2.ADVISORY
    )
    return Reported(broken, advisory, reports[WAIVERS], reports[UNDECIDED])


def _requests(resources: Iterable[Planted]) -> list[Any]:
    shown = list(resources)
    urns = {resource.name: resource.urn for resource in shown}
    return [_request(resource, urns) for resource in shown]


def _request(resource: Planted, urns: Mapping[str, str]) -> Any:
    request = analyzer_pb2.AnalyzeRequest(
        type=resource.type,
        urn=resource.urn,
        name=resource.name,
        properties=json_format.ParseDict(dict(resource.inputs), struct_pb2.Struct()),
        options=analyzer_pb2.AnalyzerResourceOptions(
            protect=resource.protect,
            ignoreChanges=list(resource.ignore_changes),
            parent=urns.get(resource.parent, ""),
        ),
    )
    if resource.host:
        request.provider.CopyFrom(
            analyzer_pb2.AnalyzerProviderResource(
                type="pulumi:providers:docker",
                properties=json_format.ParseDict({"host": f"ssh://{resource.host}"}, struct_pb2.Struct()),
            )
        )
    return request


__all__ = ["TODAY", "UNKNOWN", "Planted", "Reported", "reported", "secret", "server", "tell", "tell_at_once", "with_waiver"]
