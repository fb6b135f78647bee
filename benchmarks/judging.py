"""What the policy pack adds to a preview of the whole of production, every resource of it new: `python -m benchmarks.judging`."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.meter import Run
from benchmarks.results import Row, machine, shown
from operations.previews.ephemeral_stack import EphemeralStack
from operations.stack import PROJECT

NAME = "policy pack on a preview of prod, above none"
RUNS = 5


def measure() -> list[Row]:
    """With and without in turn, so that what else the machine does weighs on both; the first pair is not counted."""
    with tempfile.TemporaryDirectory() as directory:
        program = EphemeralStack(PROJECT, Path(directory), "prod")
        pairs = [
            (_timed(program.previewed), _timed(lambda: program.previewed("--policy-pack", "policy"))) for _ in range(RUNS + 1)
        ]
    return [
        Row.of_times("pulumi preview of prod, everything new", _runs([less for less, _ in pairs[1:]]), whole_tree=False),
        Row.of_times(NAME, _runs([more - less for less, more in pairs[1:]]), 0.5, whole_tree=False),
    ]


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _runs(seconds: Sequence[float]) -> list[Run]:
    return [Run(each, 0) for each in seconds]


if __name__ == "__main__":
    print(f"{shown(measure())}\n\n{machine()}")
