"""What the engine asks of a policy pack, call by call: each takes and gives the protocol's messages.

pulumi-policy's server decodes each resource once for every rule and does not pass on what is secret, which stack it is,
or whether this is a preview (docs/adr/0014); its values that are unknown in a preview and its severities are used.
"""

# ruff: noqa: N802 - the methods bear the names of gRPC calls

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2, plugin_pb2

from policy import NAME, VERSION

if TYPE_CHECKING:
    from policy.judge import Judge


class Analyzer:
    """What is asked before the program starts is answered without the rules, which are imported meanwhile."""

    def __init__(self, today: date | None = None) -> None:
        self._today = today or datetime.now(UTC).date()
        self._run = analyzer_pb2.AnalyzerStackConfigureRequest()
        self._judge: Judge | None = None

    def Handshake(self, request: Any, context: Any) -> Any:
        return analyzer_pb2.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:
        # The list of policies is for Pulumi Cloud (ours: docs/reference/policy.md); the engine would walk it for each resource.
        return analyzer_pb2.AnalyzerInfo(name=NAME, version=VERSION)

    def Configure(self, request: Any, context: Any) -> Any:
        # A rule is waived beside what it is for, never switched off from outside.
        return Empty()

    def ConfigureStack(self, request: Any, context: Any) -> Any:
        self._run, self._judge = request, None
        return analyzer_pb2.AnalyzerStackConfigureResponse()

    def Remediate(self, request: Any, context: Any) -> Any:
        return analyzer_pb2.RemediateResponse()

    def Analyze(self, request: Any, context: Any) -> Any:
        return analyzer_pb2.AnalyzeResponse(diagnostics=self._judging().resource(request))

    def AnalyzeStack(self, request: Any, context: Any) -> Any:
        # Its resources carry outputs; the rules ask about the inputs.
        return analyzer_pb2.AnalyzeResponse(diagnostics=self._judging().program())

    def Cancel(self, request: Any, context: Any) -> Any:
        return Empty()

    def _judging(self) -> "Judge":
        from policy.judge import Judge  # waits while `__main__` still imports it

        if self._judge is None:
            self._judge = Judge(self._run, self._today)
        return self._judge
