"""The calls of Pulumi's analyzer protocol. Each takes and returns the protocol's messages.

pulumi-policy's own server is not used: it decodes each resource once per rule, and does not pass on what is secret, the stack
or whether this is a preview (docs/adr/0014). Its unknown values and its severities are used.
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
    """Answers the engine's calls. Calls before the program starts do not need the rules, which are imported meanwhile."""

    def __init__(self, today: date | None = None) -> None:
        self._today = today or datetime.now(UTC).date()
        self._run = analyzer_pb2.AnalyzerStackConfigureRequest()
        self._judge: Judge | None = None

    def Handshake(self, request: Any, context: Any) -> Any:
        return analyzer_pb2.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:
        # No list of policies: it is for Pulumi Cloud, and the engine would walk it for each resource. Ours:
        # docs/reference/policy.md.
        return analyzer_pb2.AnalyzerInfo(name=NAME, version=VERSION)

    def Configure(self, request: Any, context: Any) -> Any:
        # No configuration: a rule is waived beside the resource it is about, and never switched off from outside.
        return Empty()

    def ConfigureStack(self, request: Any, context: Any) -> Any:
        self._run, self._judge = request, None
        return analyzer_pb2.AnalyzerStackConfigureResponse()

    def Remediate(self, request: Any, context: Any) -> Any:
        return analyzer_pb2.RemediateResponse()

    def Analyze(self, request: Any, context: Any) -> Any:
        return analyzer_pb2.AnalyzeResponse(diagnostics=self._judging().resource(request))

    def AnalyzeStack(self, request: Any, context: Any) -> Any:
        # The request's resources are not used: they carry outputs, and the rules judge inputs.
        return analyzer_pb2.AnalyzeResponse(diagnostics=self._judging().program())

    def Cancel(self, request: Any, context: Any) -> Any:
        return Empty()

    def _judging(self) -> "Judge":
        from policy.judge import Judge  # waits while `__main__` still imports it

        if self._judge is None:
            self._judge = Judge(self._run, self._today)
        return self._judge
