"""Waits for a condition, with a timeout."""

import time
from collections.abc import Callable


def until(
    condition: Callable[[], bool], seconds: float, *, every: float = 0.3, describe: Callable[[], str] | None = None
) -> None:
    """Ask `condition` every `every` seconds; fail after `seconds` with the text of `describe`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, describe() if describe else f"not within {seconds} s"
        time.sleep(every)
