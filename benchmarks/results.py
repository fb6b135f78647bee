"""Rows of numbers, as a table and in results.json."""

import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from benchmarks.meter import Run
from operations.table import table

_JSON = Path(__file__).with_name("results.json")
_MARKDOWN = Path(__file__).with_name("results.md")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One benchmark; `peer` names the row that it is compared with, `ratio` says how many times its median the peer's is."""

    name: str
    unit: str
    runs: int
    min: float
    median: float
    max: float
    target: float | None = None
    peer: str | None = None
    ratio: float | None = None
    peak_mib: float | None = None
    taken: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))

    @classmethod
    def of_times(cls, name: str, runs: Sequence[Run], target: float | None = None, *, whole_tree: bool = True) -> "Row":
        """Seconds of `runs`; without `whole_tree` the work happens in processes whose memory was not seen."""
        peak = round(max(run.peak_mib for run in runs)) if whole_tree else None
        return cls._of(name, "s", [run.seconds for run in runs], target, peak)

    @classmethod
    def of_memory(cls, name: str, runs: Sequence[Run]) -> "Row":
        """The largest process of each run."""
        peaks = [run.peak_mib for run in runs]
        return cls._of(name, "MiB", peaks, None, round(max(peaks)))

    @classmethod
    def of_ratio(cls, name: str, row: "Row", to: "Row", target: float | None) -> "Row":
        """How many times the median of `to` that of `row` is."""
        return replace(cls._of(name, "x", [row.median / to.median], target, None), runs=row.runs)

    def compared_with(self, peer: "Row") -> "Row":
        return replace(self, peer=peer.name, ratio=round(peer.median / self.median, 1))

    @property
    def verdict(self) -> str:
        """Whether the median keeps to the target."""
        if self.target is None:
            return ""
        return "met" if self.median <= self.target else "missed"

    @classmethod
    def _of(cls, name: str, unit: str, values: Sequence[float], target: float | None, peak: float | None) -> "Row":
        low, middle, high = (round(value, 2) for value in (min(values), statistics.median(values), max(values)))
        return cls(name=name, unit=unit, runs=len(values), min=low, median=middle, max=high, target=target, peak_mib=peak)


def former() -> Mapping[str, Row]:
    """The rows of the last run that was saved, by name."""
    rows = json.loads(_JSON.read_text()) if _JSON.exists() else []
    return {row["name"]: Row(**row) for row in rows}


def save(rows: Sequence[Row], notes: Sequence[str]) -> None:
    """Write results.json, and the same numbers for readers, with where and when they were taken."""
    _JSON.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    listed = "".join(f"- {note}\n" for note in notes)
    _MARKDOWN.write_text(f"# Benchmarks\n\nWritten by `make bench`; {machine()}.\n\n```\n{shown(rows)}\n```\n\n{listed}")


def shown(rows: Sequence[Row]) -> str:
    """The rows as a table for terminals."""
    head = ("name", "unit", "runs", "min", "median", "max", "target", "", "peer", "ratio", "peak MiB", "taken")
    return table(head, [_cells(row) for row in rows])


def machine() -> str:
    """Where and when, and how busy the machine was with other things."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {memory:.0f} GiB, load average at the end {load}"


def _cells(row: Row) -> tuple[str, ...]:
    values = (row.min, row.median, row.max, row.target)
    numbers = ["" if value is None else f"{value:g}" for value in values]
    ratio = f"{row.ratio:g}" if row.ratio else ""
    peak = f"{row.peak_mib:g}" if row.peak_mib else ""
    return (row.name, row.unit, str(row.runs), *numbers, row.verdict, row.peer or "", ratio, peak, row.taken)
