"""What the SDK (3.259) does for each of a program's hundreds of resources, and nobody needs: docs/adr/0024."""

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
    # Four messages a resource, each a call to the engine that the whole program waits for; `pulumi --debug` alone shows them.
    pulumi.log.debug = _unsaid
    # Who called, file by file up to here: for a line number in the state, which each edit of a program would change.
    resource._get_stack_trace = source_pb2.StackTrace
    # Whenever one output is known it looks at all others again, and there are thousands.
    stack.asyncio = SimpleNamespace(**{**vars(asyncio), "wait": until_one_fails})  # type: ignore[assignment,attr-defined]


async def until_one_fails(tasks: Collection[asyncio.Task[Any]], **_: str) -> tuple[Tasks, Tasks]:
    """Those that are done and those that are not, when all are done or one has failed, which the SDK then raises."""
    return await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)


def _unsaid(*_: object, **__: object) -> None:
    pass
