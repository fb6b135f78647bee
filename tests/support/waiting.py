"""Waiting for what takes a while, and for no longer than it may."""

import time
from collections.abc import Callable


def until(
    condition: Callable[[], bool], seconds: float, *, every: float = 0.3, describe: Callable[[], str] | None = None
) -> None:
    """Ask `condition` every so many seconds; when `seconds` have passed, `describe` says what was seen instead."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, describe() if describe else f"not within {seconds} s"
        time.sleep(every)
