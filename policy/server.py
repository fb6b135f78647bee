"""The pack as a gRPC server, for any language host."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2_grpc

from policy.analyzer import Analyzer

_LARGEST_MESSAGE = 400 << 20
"""The engine's own limit, in bytes."""


def serve(analyzer: Analyzer) -> tuple[Any, int]:
    """The running server and its port on 127.0.0.1."""
    server = grpc.server(ThreadPoolExecutor(max_workers=1), options=[("grpc.max_receive_message_length", _LARGEST_MESSAGE)])
    # The analyzer is no subclass of AnalyzerServicer: importing that would bring in gRPC where it is not used.
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(cast("Any", analyzer), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
