"""Which tests run side by side; minutes for each suite and the slowest tests, printed before the runner's own summary."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.fleets import PROJECT
from tests.timing import Timing

# A busy machine is slow, which says nothing of what is tested.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

_TIMING = Timing()
_BEGAN = time.monotonic()


class _LabBesideOthers(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Of two workers one has the lab, which there is once and which comes first; all else goes file by file to who is free."""

    def _split_scope(self, nodeid: str) -> str:
        return "lab" if nodeid.startswith(("tests/lab/", "tests/lab_itself/")) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """What `-n 2` means here."""
    return _LabBesideOthers(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--timing", metavar="FILE", help="write the seconds of each test there, as JSON")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _TIMING.add(report.nodeid, report.duration)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if file := config.getoption("--timing"):
        terminalreporter.section(f"the {len(_TIMING.slowest)} slowest tests, seconds")
        for nodeid, seconds in _TIMING.slowest:
            terminalreporter.line(f"{seconds:7.1f}  {nodeid}")
        _TIMING.write(Path(file), time.monotonic() - _BEGAN)
    terminalreporter.section("minutes per suite")
    for suite, seconds in _TIMING.folders.items():
        terminalreporter.line(f"{suite:10} {seconds / 60:6.2f}")


@pytest.fixture(scope="session")
def toolchain() -> Path:
    """The directory of the built (or installed) engine."""
    shown = subprocess.run([sys.executable, "-m", "toolchain", "--path"], cwd=PROJECT, capture_output=True, text=True, check=True)
    return Path(shown.stdout.strip())
