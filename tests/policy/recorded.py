"""The whole program as the pack sees it: what the graph of a preview registers, in the engine's own messages."""

from collections.abc import Iterator
from typing import Any

from pulumi.runtime.proto import analyzer_pb2

from tests.graph.program import Graph


def requests(graph: Graph) -> Iterator[Any]:
    """One request a resource, in the order of registration."""
    providers = {
        registered.urn: registered.request for registered in graph.resources if registered.type.startswith("pulumi:providers:")
    }
    for registered in graph.resources:
        request = registered.request
        asked = analyzer_pb2.AnalyzeRequest(
            type=request.type,
            urn=registered.urn,
            name=request.name,
            properties=request.object,
            options=analyzer_pb2.AnalyzerResourceOptions(
                protect=request.protect, ignoreChanges=list(request.ignoreChanges), parent=request.parent
            ),
        )
        provider = providers.get(request.provider.rpartition("::")[0])
        if provider is not None:
            asked.provider.CopyFrom(analyzer_pb2.AnalyzerProviderResource(type=provider.type, properties=provider.object))
        yield asked
