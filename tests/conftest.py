"""Minutes for each suite, printed before the runner's own summary."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.fleets import PROJECT

_SECONDS: dict[str, float] = defaultdict(float)


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
