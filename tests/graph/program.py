"""Run the program against mocks and record what it registers, resource options included."""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import mocks

from stacks.deployment import deploy
from stacks.inputs import Inputs
from tests.support.fleets import inputs as inputs_of
from tests.support.hetzner import PUBLIC_KEY

_SECRET = "4dabf18193072939515e22adb298388d"


@dataclass
class Registered:
    """One resource as the engine would see it; secret inputs are told by name."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    secret_inputs: frozenset[str]
    protect: bool
    retained: bool
    """Whether a delete leaves the thing itself where it is."""
    delete_before_replace: bool
    replace_on_changes: tuple[str, ...]
    dependencies: tuple[str, ...]
    ignore_changes: tuple[str, ...]
    request: Any
    """As it came."""
    urn: str


@dataclass
class Graph:
    """Everything a program registered."""

    resources: list[Registered] = field(default_factory=list)

    def of_type(self, ending: str) -> Iterator[Registered]:
        """Resources whose type ends so."""
        return (resource for resource in self.resources if resource.type.endswith(ending))


class _Mocks(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        known = {"imageId": f"sha256:{args.name}", "result": f"generated-{args.name}", "hex": f"generated-{args.name}"}
        if args.typ.startswith("hcloud:"):
            return "1000001", {**args.inputs}
        if args.typ.endswith(":HostKey"):
            return args.name, {**args.inputs, "public": PUBLIC_KEY, "private": "generated"}
        return f"{args.name}-id", {**known, **args.inputs}

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(f"{args.token} is called: invokes run in previews and need the cloud")


class _Monitor(mocks.MockMonitor):
    def __init__(self, graph: Graph) -> None:
        super().__init__(_Mocks())
        self.graph = graph

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        inputs = pulumi.runtime.rpc.deserialize_properties(request.object, keep_unknowns=True)
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        self.graph.resources.append(
            Registered(
                type=request.type,
                name=request.name,
                inputs=_plain(inputs),
                secret_inputs=frozenset(key for key, value in inputs.items() if _has_secret(value)),
                protect=request.protect,
                retained=request.retainOnDelete,
                delete_before_replace=request.deleteBeforeReplace,
                replace_on_changes=tuple(request.replaceOnChanges),
                ignore_changes=tuple(request.ignoreChanges),
                dependencies=tuple(urn.rpartition("::")[2] for urn in request.dependencies),
                request=request,
                urn=response.urn,
            )
        )
        return response


@cache
def built(stack: str, **changes: str) -> Graph:
    """The graph of a preview of `stack` with `changes` to its configuration, built once for all tests: it is read only."""
    return build(inputs_of(stack, **changes))


def build(inputs: Inputs) -> Graph:
    """The graph of a preview of `inputs`."""
    graph = Graph()
    asyncio.set_event_loop(asyncio.new_event_loop())
    mocks.set_mocks(_Mocks(), project="vpai", stack=inputs.stack, preview=True, monitor=_Monitor(graph))

    # Elsewhere than in the checkout, whose `.vpai/lab` a lab may be deploying by right now.
    with tempfile.TemporaryDirectory() as directory:

        @pulumi.runtime.test  # type: ignore[untyped-decorator]
        def run() -> None:
            deploy(inputs, Path(directory))

        run()
    return graph


def _has_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return _SECRET in value or any(_has_secret(item) for item in value.values())
    return isinstance(value, list) and any(_has_secret(item) for item in value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _plain(value["value"]) if _SECRET in value else {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
