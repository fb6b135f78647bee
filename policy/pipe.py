"""Serves the pack over two pipes: our language host (toolchain/pulumi) speaks gRPC for it (docs/adr/0014).

A call is the lengths of its name and of its message, then both. An answer is a gRPC code and a length, then a message or a
text.
"""

import struct
import traceback
from typing import Any, BinaryIO

from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2

from policy.analyzer import Analyzer

_HEAD = struct.Struct(">II")
_OK, _UNKNOWN, _UNIMPLEMENTED = 0, 2, 12
_METHODS = analyzer_pb2.DESCRIPTOR.services_by_name["Analyzer"].methods_by_name


def answer(calls: BinaryIO, answers: BinaryIO, analyzer: Analyzer) -> None:
    """Answer one call after another until `calls` ends."""
    while head := calls.read(_HEAD.size):
        name, message = (calls.read(length) for length in _HEAD.unpack(head))
        code, text = _answer(analyzer, name.decode(), message)
        answers.write(_HEAD.pack(code, len(text)) + text)
        answers.flush()


def _answer(analyzer: Analyzer, name: str, message: bytes) -> tuple[int, bytes]:
    method: Any = _METHODS.get(name)
    if method is None:
        return _UNIMPLEMENTED, b"no call of a policy pack"
    try:
        request = GetMessageClass(method.input_type).FromString(message)
        return _OK, getattr(analyzer, name)(request, None).SerializeToString()
    except Exception:
        return _UNKNOWN, traceback.format_exc().encode()
