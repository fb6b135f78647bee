"""Which worker runs which test file: the first raises the lab, the others come to it when all else is done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xdist.scheduler import LoadScopeScheduling

from tests.timing import seconds_of_files

FIRST = "gw0"
"""The worker that uses this checkout's own lab from its first test on."""
RAISING_SECONDS = 300
"""What a further lab costs before its first test, on two cores (benchmarks/tests.json: the first test of a lab)."""
_UNKNOWN_SECONDS = 60
"""Taken for a file of lab tests that no run has measured yet."""


def choose(worker: str, waiting: Mapping[str, float], has_lab: bool) -> str | None:
    """Which of the files that wait (file -> seconds that it took the last time) `worker` runs next; None: it is done.

    The first worker prefers the lab's tests, the longest first, and any other what needs no lab. A worker without a lab
    raises one of its own when what is left for the lab is worth it.
    """
    lab = [file for file in waiting if _needs_lab(file)]
    shared = [file for file in lab if not _is_of_first(file)]
    rest = [file for file in waiting if not _needs_lab(file)]
    if worker == FIRST:
        return _longest(lab, waiting) or next(iter(rest), None)
    if rest:
        return rest[0]
    if has_lab or sum(waiting[file] for file in shared) > 2 * RAISING_SECONDS:
        return _longest(shared, waiting)
    return None


def _needs_lab(file: str) -> bool:
    return file.startswith(("tests/lab/", "tests/lab_itself/"))


def _is_of_first(file: str) -> bool:
    """Tests of the lab itself look at this checkout's own."""
    return file.startswith("tests/lab_itself/")


def _longest(files: list[str], waiting: Mapping[str, float]) -> str | None:
    return max(files, key=lambda file: waiting[file], default=None)


class LabBesideOthers(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """File by file, as `choose` says; a worker without further work ends, and takes its lab down."""

    def __init__(self, config: Any, log: Any, measured: Path) -> None:
        super().__init__(config, log)
        self._seconds = seconds_of_files(measured)
        self._with_lab = {FIRST}

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0]

    def _assign_work_unit(self, node: Any) -> None:
        worker = node.gateway.id
        waiting = {file: self._seconds.get(file, _UNKNOWN_SECONDS) for file in self.workqueue}
        file = choose(worker, waiting, worker in self._with_lab)
        if file is None:
            node.shutdown()
            return
        if _needs_lab(file):
            self._with_lab.add(worker)
        self.workqueue.move_to_end(file, last=False)
        super()._assign_work_unit(node)
