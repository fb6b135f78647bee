"""The pack as a gRPC server, for whatever host starts it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2_grpc

from policy.analyzer import Analyzer

_LARGEST_MESSAGE = 400 << 20
"""As the engine's own."""


def serve(analyzer: Analyzer) -> tuple[Any, int]:
    """The running server and its port on this machine."""
    server = grpc.server(ThreadPoolExecutor(max_workers=1), options=[("grpc.max_receive_message_length", _LARGEST_MESSAGE)])
    # It has the calls of an AnalyzerServicer without being one: that would bring gRPC where no gRPC is spoken.
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(cast("Any", analyzer), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
