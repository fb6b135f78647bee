"""Which tests run side by side; minutes for each suite, printed before the runner's own summary."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.fleets import PROJECT

_SECONDS: dict[str, float] = defaultdict(float)


class _LabBesideOthers(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Of two workers one has the lab, which there is once; the other has everything else."""

    def _split_scope(self, nodeid: str) -> str:
        return "lab" if nodeid.startswith("tests/lab/") else "others"


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """What `-n 2` means here."""
    return _LabBesideOthers(config, log)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _SECONDS[Path(report.nodeid.split("::")[0]).parent.name] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("minutes per suite")
    for suite, seconds in _SECONDS.items():
        terminalreporter.line(f"{suite:10} {seconds / 60:6.2f}")


@pytest.fixture(scope="session")
def toolchain() -> Path:
    """The directory of the built (or installed) engine."""
    shown = subprocess.run([sys.executable, "-m", "toolchain", "--path"], cwd=PROJECT, capture_output=True, text=True, check=True)
    return Path(shown.stdout.strip())
