"""The pack at the end of two pipes, which is how our language host runs it; any other finds a gRPC server."""

import io
import struct
import subprocess
import sys
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from policy.analyzer import Analyzer
from policy.pipe import answer
from tests.policy.planted import TODAY
from tests.support.fleets import PROJECT

OK, UNKNOWN, UNIMPLEMENTED = 0, 2, 12


def answered(*calls: tuple[str, Any], analyzer: Analyzer | None = None) -> list[tuple[int, bytes]]:
    """Codes and answers, in the order of the calls."""
    asked = b""
    for name, message in calls:
        encoded = message.SerializeToString()
        asked += struct.pack(">II", len(name), len(encoded)) + name.encode() + encoded
    reported = io.BytesIO()
    answer(io.BytesIO(asked), reported, analyzer or Analyzer(TODAY))
    text, answers = reported.getvalue(), []
    while text:
        code, length = struct.unpack(">II", text[:8])
        answers.append((code, text[8 : 8 + length]))
        text = text[8 + length :]
    return answers


def test_what_a_resource_breaks_is_told_as_over_grpc() -> None:
    run = analyzer_pb2.AnalyzerStackConfigureRequest(stack="prod", dry_run=True)
    container = analyzer_pb2.AnalyzeRequest(type="docker:index/container:Container", name="bare", urn="urn:bare")
    container.properties.update({"image": "redis:latest", "privileged": True})
    configured, judged = answered(("ConfigureStack", run), ("Analyze", container))
    direct = Analyzer(TODAY)
    direct.ConfigureStack(run, None)
    assert configured == (OK, b"")
    assert judged == (OK, direct.Analyze(container, None).SerializeToString())
    assert "bare" in str(analyzer_pb2.AnalyzeResponse.FromString(judged[1]))


def test_a_call_that_no_pack_has_is_refused_and_the_next_is_answered() -> None:
    nothing = analyzer_pb2.AnalyzerHandshakeRequest()
    refused, greeted = answered(("Brew", nothing), ("Handshake", nothing))
    assert refused[0] == UNIMPLEMENTED
    assert greeted == (OK, b"")


def test_a_rule_that_fails_is_an_answer_with_its_traceback() -> None:
    class Broken(Analyzer):
        def Analyze(self, request: Any, context: Any) -> Any:  # noqa: N802
            raise ValueError("a rule of thumb")

    [(code, text)] = answered(("Analyze", analyzer_pb2.AnalyzeRequest()), analyzer=Broken(TODAY))
    assert code == UNKNOWN
    assert b"a rule of thumb" in text


def test_without_pipes_the_pack_prints_its_port_and_answers_there() -> None:
    with subprocess.Popen([sys.executable, "-u", PROJECT / "policy"], stdout=subprocess.PIPE, text=True) as pack:
        try:
            assert pack.stdout
            with grpc.insecure_channel(f"127.0.0.1:{pack.stdout.readline().strip()}") as channel:
                client = analyzer_pb2_grpc.AnalyzerStub(channel)
                assert client.GetAnalyzerInfo(Empty()).name == "vpai"
                bare = analyzer_pb2.AnalyzeRequest(type="docker:index/container:Container", name="bare", urn="urn:bare")
                assert client.Analyze(bare).diagnostics
        finally:
            pack.kill()
