"""`python3 -m benchmarks.meter RUNS COMMAND...` runs a command once to warm up, then RUNS times; prints each run as JSON.
With 0 it runs once.

It runs beside the command, in the operator too, so that nothing but the command is in its time. Standard library only.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One run: wall time, and the largest resident set among the processes of its tree."""

    seconds: float
    peak_mib: float


class Failed(Exception):
    """The measured command failed; carries its last output."""


def measure(runs: int, command: Sequence[str], directory: Path | None = None, *, warm_up: bool = True) -> list[Run]:
    """Run `command` again and again; raises `Failed` when it does not succeed: its time would mean nothing."""
    if warm_up:
        _run(command, directory)
    return [_run(command, directory) for _ in range(runs)]


def _run(command: Sequence[str], directory: Path | None) -> Run:
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        # wait4 counts what the process waited for itself: the engine's plugins, too.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            said = output.read()[-3000:].decode(errors="replace")
            raise Failed(f"`{' '.join(command)}` failed, so there is nothing to measure; it said last:\n{said}")
    return Run(seconds, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    runs = int(sys.argv[1])
    try:
        print(json.dumps([asdict(run) for run in measure(max(runs, 1), sys.argv[2:], warm_up=runs > 0)]))
    except Failed as failure:
        sys.exit(str(failure))
