"""Patches of Pulumi's SDK (3.259) that make a program of hundreds of resources faster; measured in docs/adr/0024."""

import asyncio
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pulumi
from pulumi.runtime import resource, stack
from pulumi.runtime.proto import source_pb2

Tasks = set[asyncio.Task[Any]]


def patch_sdk() -> None:
    """Replace functions of Pulumi's SDK that are slow for a program of hundreds of resources."""
    # The SDK sends four debug messages a resource, each a blocking call to the engine. Only `pulumi --debug` shows them.
    pulumi.log.debug = _unsaid
    # The SDK walks the call stack of each resource for a line number in the state. Every edit of a program would change it.
    resource._get_stack_trace = source_pb2.StackTrace
    # The SDK waits for the first of thousands of outputs, then looks at all that are left, and so on.
    stack.asyncio = SimpleNamespace(**{**vars(asyncio), "wait": until_one_fails})  # type: ignore[assignment,attr-defined]


async def until_one_fails(tasks: Collection[asyncio.Task[Any]], **_: str) -> tuple[Tasks, Tasks]:
    """(done, pending) tasks, when all are done or one has failed; the SDK then raises the error."""
    return await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)


def _unsaid(*_: object, **__: object) -> None:
    pass
