"""What replaces the SDK's wait keeps what the SDK needs of it."""

import asyncio

import pulumi
from pulumi.runtime import stack

from stacks import event_loop


async def _after(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def _failing() -> float:
    raise ValueError("wrong")


def test_a_failure_is_told_before_the_others_are_done() -> None:
    async def waited() -> tuple[int, int]:
        tasks = [asyncio.ensure_future(work) for work in (_after(60), _failing())]
        done, left = await event_loop.until_one_fails(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        assert [type(task.exception()) for task in done] == [ValueError]
        return len(done), len(left)

    assert asyncio.run(waited()) == (1, 1)


def test_success_is_told_once_for_all() -> None:
    async def waited() -> int:
        done, left = await event_loop.until_one_fails([asyncio.ensure_future(_after(number / 100)) for number in range(5)])
        assert not left
        return len(done)

    assert asyncio.run(waited()) == 5


def test_the_sdk_waits_that_way_and_stays_silent(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(pulumi.log, "debug", pulumi.log.debug)
    monkeypatch.setattr(stack, "asyncio", stack.asyncio)  # type: ignore[attr-defined]
    event_loop.patch_sdk()
    assert stack.asyncio.wait is event_loop.until_one_fails  # type: ignore[attr-defined]
    assert stack.asyncio.sleep is asyncio.sleep  # type: ignore[attr-defined]
    assert pulumi.log.debug("said to nobody") is None  # type: ignore[func-returns-value]
