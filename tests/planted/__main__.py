"""`python -m tests.planted`: each fault is planted alone in a copy of the checkout, and its test has to turn red there.

Each test is first seen green without the fault. Red is a failed test: one that could not be collected or built shows nothing.
The table goes to docs/proofs/planted.md too; exit code 1 when a fault stays unseen.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.planted.faults import FAULTS, Fault
from tests.support.copies import tracked
from tests.support.fleets import PROJECT

PAGE = PROJECT / "docs/proofs/planted.md"
_FAILED = 1
"""pytest's exit code when it ran tests and some failed."""


@dataclass(frozen=True)
class Run:
    """What a test came to: `red` is a test that ran and failed, `green` one that passed; neither is one that never ran."""

    red: bool
    green: bool
    seconds: float
    text: str


@dataclass(frozen=True)
class Row:
    """A fault and what its test said of it."""

    fault: Fault
    run: Run


def main() -> int:
    """Plant all of them, in turn."""
    with tempfile.TemporaryDirectory(prefix="planted-") as directory:
        copy = Path(directory)
        tracked(copy)
        rows = list(_rows(copy))
    PAGE.write_text(page(rows))
    seen = sum(row.run.red for row in rows)
    print(f"{seen} of {len(rows)} faults were seen; {PAGE.relative_to(PROJECT)}")
    return 0 if seen == len(rows) else 1


def _rows(copy: Path) -> Iterator[Row]:
    if not_green := sound(copy):
        raise SystemExit(f"not green without any fault:\n{not_green}")
    for fault in FAULTS:
        with planted(copy, fault):
            found = run(copy, fault.test)
        seen = "seen  " if found.red else "UNSEEN"
        print(f"{seen} {found.seconds:5.1f} s  {fault.what}: {fault.file}; {fault.test}", flush=True)
        if not found.red:
            print(found.text)
        yield Row(fault, found)


def sound(copy: Path) -> str:
    """What the tests say where nothing is planted, all of pytest's in one run; empty when every one passes."""
    tests = {fault.test for fault in FAULTS}
    go = sorted(test for test in tests if test.startswith("images/"))
    runs = [run(copy, *sorted(tests - set(go))), *(run(copy, test) for test in go)]
    return "\n".join(run.text for run in runs if not run.green)


@contextmanager
def planted(copy: Path, fault: Fault) -> Iterator[None]:
    """The fault in the copy, for as long as the context lasts."""
    file = copy / fault.file
    text = file.read_text()
    if text.count(fault.old) != 1:
        raise SystemExit(f"{fault.file} has {text.count(fault.old)} times what the fault {fault.what!r} replaces: {fault.old!r}")
    _write(file, text.replace(fault.old, fault.new))
    try:
        yield
    finally:
        _write(file, text)


def _write(file: Path, text: str) -> None:
    """Python takes a file of the same second and size for the one that it has compiled."""
    for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
        compiled.unlink()
    file.write_text(text)


def run(copy: Path, *tests: str) -> Run:
    """The tests, in the copy; one when it is Go's."""
    start = time.monotonic()
    folder, _, name = tests[0].partition(":")
    if folder.startswith("images/"):
        go = os.environ.get("GO", "go")
        command = [go, "test", "-count=1", f"-run=^{name}$", "-v", "."]
        done = _run(command, copy / folder, {"GOWORK": "off", "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"})
        red, green = f"--- FAIL: {name}" in done.stdout, f"--- PASS: {name}" in done.stdout and not done.returncode
    else:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", *tests]
        done = _run(command, copy, {})
        passed = re.search(r"^\d+ passed", done.stdout, re.MULTILINE) is not None
        red, green = done.returncode == _FAILED and " failed" in done.stdout, not done.returncode and passed
    return Run(red, green, time.monotonic() - start, (done.stdout + done.stderr)[-3000:])


def _run(command: list[str], directory: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=directory, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600)


def page(rows: Iterable[Row]) -> str:
    """The table as Markdown."""
    rows = list(rows)
    lines = [
        "# Planted faults",
        "",
        f"`make planted`, {datetime.now(UTC):%Y-%m-%d}: each fault alone in a copy of the checkout, its test green without it.",
        f"{sum(row.run.red for row in rows)} of {len(rows)} turned their test red.",
        "",
        "| Fault | File | Test | Red | Seconds |",
        "| --- | --- | --- | --- | --- |",
        *map(_line, rows),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    fault, red = row.fault, "yes" if row.run.red else "**no**"
    return f"| {fault.what} | `{fault.file}` | `{fault.test}` | {red} | {row.run.seconds:.1f} |"


if __name__ == "__main__":
    sys.exit(main())
