"""Durations of tests: printed with the run, and written to a file on which later decisions are based."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

SLOWEST = 30


def seconds_of_files(measured: Path) -> Mapping[str, float]:
    """Seconds of each test file, from a file that `Timing.write` wrote; empty when there is no such file."""
    sums: dict[str, float] = defaultdict(float)
    if measured.exists():
        for nodeid, seconds in json.loads(measured.read_text())["tests"].items():
            sums[nodeid.partition("::")[0]] += seconds
    return sums


class Timing:
    """Collects the seconds of each test with its fixtures, under xdist from every worker."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def add(self, nodeid: str, seconds: float) -> None:
        """Add one phase (setup, call, teardown) of a test."""
        self.seconds[nodeid] += seconds

    @property
    def folders(self) -> Mapping[str, float]:
        """Seconds of each folder of tests/, in the order of their first tests."""
        sums: dict[str, float] = defaultdict(float)
        for nodeid, seconds in self.seconds.items():
            sums[Path(nodeid.split("::")[0]).parent.name] += seconds
        return sums

    @property
    def slowest(self) -> list[tuple[str, float]]:
        """The slowest tests, slowest first."""
        return sorted(self.seconds.items(), key=lambda entry: -entry[1])[:SLOWEST]

    def write(self, path: Path, wall_seconds: float) -> None:
        """Write all durations as JSON; tests below a tenth of a second count in their folder only."""
        kept = {nodeid: round(seconds, 1) for nodeid, seconds in sorted(self.seconds.items()) if seconds >= 0.1}
        folders = {name: round(seconds, 1) for name, seconds in sorted(self.folders.items())}
        path.write_text(json.dumps({"wall": round(wall_seconds, 1), "folders": folders, "tests": kept}, indent=1) + "\n")
