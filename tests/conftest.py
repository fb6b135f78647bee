"""Which tests run side by side; minutes for each suite and the slowest tests, printed before the runner's own summary."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.fleets import PROJECT
from tests.support.scheduling import LabBesideOthers
from tests.support.timing import Timing

# A busy machine is slow, which says nothing of what is tested.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

MEASURED = PROJECT / "benchmarks/tests.json"
"""Seconds of each test in the last run of all that was committed."""
_LAST_LINES = 40
_TIMING = Timing()
_BEGAN = time.monotonic()


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LabBesideOthers:
    """What `-n 2` means here."""
    return LabBesideOthers(config, log, MEASURED)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str, str] | None:
    """With -v each test shows its seconds, so that the log of a run that was ended says where its time went."""
    if report.passed and report.when == "call" and report.duration >= 1:
        return "passed", ".", f"PASSED in {report.duration:.0f} s"
    return None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--timing", metavar="FILE", help="write the seconds of each test there, as JSON")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _TIMING.add(report.nodeid, report.duration)
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        # At once: a run of many minutes may be ended before its summary.
        print(f"\n{report.nodeid}\n" + "\n".join(report.longreprtext.splitlines()[-_LAST_LINES:]), file=sys.stderr, flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if file := config.getoption("--timing"):
        terminalreporter.section(f"the {len(_TIMING.slowest)} slowest tests, seconds")
        for nodeid, seconds in _TIMING.slowest:
            terminalreporter.line(f"{seconds:7.1f}  {nodeid}")
        _TIMING.write(Path(file), time.monotonic() - _BEGAN)
    terminalreporter.section("minutes per suite")
    for suite, seconds in _TIMING.folders.items():
        terminalreporter.line(f"{suite:10} {seconds / 60:6.2f}")


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    """A module leaves the environment as it was: what is left behind is another module's failure."""
    before = dict(os.environ)
    yield
    changed = {name for name in {*before, *os.environ} - {"PYTEST_CURRENT_TEST"} if before.get(name) != os.environ.get(name)}
    assert changed == set(), "put back what the module has set: pytest.MonkeyPatch.context()"


@pytest.fixture(scope="session")
def toolchain() -> Path:
    """The directory of the built (or installed) engine."""
    shown = subprocess.run([sys.executable, "-m", "toolchain", "--path"], cwd=PROJECT, capture_output=True, text=True, check=True)
    return Path(shown.stdout.strip())
