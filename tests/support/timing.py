"""How long each test took: printed with the run, and kept in a file that later decisions quote."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

SLOWEST = 30


def seconds_of_files(measured: Path) -> Mapping[str, float]:
    """Seconds of each test file in what `Timing.write` wrote; nothing when there is no such file."""
    sums: dict[str, float] = defaultdict(float)
    if measured.exists():
        for nodeid, seconds in json.loads(measured.read_text())["tests"].items():
            sums[nodeid.partition("::")[0]] += seconds
    return sums


class Timing:
    """Seconds of each test, its fixtures included, as they come in; under xdist from every worker."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def add(self, nodeid: str, seconds: float) -> None:
        """One phase (setup, call, teardown) of a test."""
        self.seconds[nodeid] += seconds

    @property
    def folders(self) -> Mapping[str, float]:
        """Seconds of each folder of tests/, in the order in which they began."""
        sums: dict[str, float] = defaultdict(float)
        for nodeid, seconds in self.seconds.items():
            sums[Path(nodeid.split("::")[0]).parent.name] += seconds
        return sums

    @property
    def slowest(self) -> list[tuple[str, float]]:
        """The tests that took longest, longest first."""
        return sorted(self.seconds.items(), key=lambda entry: -entry[1])[:SLOWEST]

    def write(self, path: Path, wall_seconds: float) -> None:
        """Everything, as JSON; tests below a tenth of a second are counted in their folder alone."""
        kept = {nodeid: round(seconds, 1) for nodeid, seconds in sorted(self.seconds.items()) if seconds >= 0.1}
        folders = {name: round(seconds, 1) for name, seconds in sorted(self.folders.items())}
        path.write_text(json.dumps({"wall": round(wall_seconds, 1), "folders": folders, "tests": kept}, indent=1) + "\n")
