"""Decides which worker runs which test file. The first starts the lab; the others run lab tests once all other tests are done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xdist.scheduler import LoadScopeScheduling

from tests.support.timing import seconds_of_files

FIRST = "gw0"
"""The worker that uses this checkout's own lab from its first test on."""
RAISING_SECONDS = 300
"""Duration of starting a further lab, on two cores (benchmarks/tests.json: the first test of a lab)."""
LAB_MIB = 8192
"""Memory for a lab with all its services, plus a margin. With less free memory there is one lab only."""
_UNKNOWN_SECONDS = 60
"""Assumed for a file of lab tests that was never measured."""


def choose(worker: str, waiting: Mapping[str, float], *, has_lab: bool, free_mib: int) -> str | None:
    """The waiting file that `worker` runs next; None when the worker is done. `waiting`: file -> seconds of its last run.

    The first worker begins with tests/lab_itself, which needs this checkout's own lab, and goes on with the longest files of
    tests/lab. Other workers begin with files that need no lab. A worker without a lab starts one if the remaining lab tests take
    long enough and there is memory for it.
    """
    itself = [file for file in waiting if file.startswith("tests/lab_itself/")]
    lab = sorted((file for file in waiting if file.startswith("tests/lab/")), key=lambda file: -waiting[file])
    rest = [file for file in waiting if file not in {*itself, *lab}]
    if worker == FIRST:
        return next(iter([*itself, *lab, *rest]), None)
    if has_lab or (sum(waiting[file] for file in lab) > 2 * RAISING_SECONDS and free_mib >= LAB_MIB):
        return next(iter([*rest, *lab]), None)
    return next(iter(rest), None)


class LabBesideOthers(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Schedules file by file, by `choose`; a worker without further work ends, and takes its lab down."""

    def __init__(self, config: Any, log: Any, measured: Path) -> None:
        super().__init__(config, log)
        self._seconds = seconds_of_files(measured)
        self._with_lab = {FIRST}

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0]

    def _assign_work_unit(self, node: Any) -> None:
        worker = node.gateway.id
        waiting = {file: self._seconds.get(file, _UNKNOWN_SECONDS) for file in self.workqueue}
        file = choose(worker, waiting, has_lab=worker in self._with_lab, free_mib=_free_mib())
        if file is None:
            node.shutdown()
            return
        if file.startswith("tests/lab/"):
            self._with_lab.add(worker)
        self.workqueue.move_to_end(file, last=False)
        super()._assign_work_unit(node)


def _free_mib() -> int:
    [kib] = (line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
    return int(kib) // 1024
