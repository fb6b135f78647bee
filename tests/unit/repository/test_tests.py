"""What is asked of tests: their loops assert something, and those that a document names can fail."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants.rooms import ROOMS
from tests.planted.faults import FAULTS, Fault
from tests.support import named
from tests.support.fleets import PROJECT
from tests.support.vacuous import in_loops

REHEARSALS = ("tests/lab", "tests/prove")
"""Where the project is changed by its text."""
LOOPS = """
import pytest

@pytest.mark.parametrize("found", [(), (1,)])
def test_of_a_query(found):
    assert True
    for each in found:
        if each:
            assert each

def test_that_waits():
    while False:
        assert False
    def later():
        for each in ():
            assert each
"""


def test_a_loop_without_a_turn_fails_its_test_and_one_with_a_turn_does_not(tmp_path: Path) -> None:
    (tmp_path / "test_loops.py").write_text(LOOPS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        str(PROJECT / "pyproject.toml"),
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert "test_loops.py:9: asserted in a loop that had nothing to assert" in done.stdout


def test_the_lines_of_looped_assertions_are_those_of_the_function_itself(tmp_path: Path) -> None:
    (file := tmp_path / "test_loops.py").write_text(LOOPS)
    assert in_loops(file, 4) == {9}, "found by its decorator's line too"
    assert in_loops(file, 5) == {9}
    assert in_loops(file, 11) == set()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def test_it():\n    assert 1", ""),
        ("class TestIt:\n    def test_it(self):\n        assert 1", ""),
        ("def checked():\n    assert 1\ndef test_it():\n    checked()", ""),
        ("def test_it():\n    with pytest.raises(ValueError):\n        int('x')", ""),
        ("def test_it():\n    run(['shellcheck'], check=True)", ""),
        ("# def test_it():\ndef other():\n    assert 1", "has no test test_it"),
        ("def test_it():\n    print(1)", "asserts nothing"),
        ("@pytest.mark.skip\ndef test_it():\n    assert 1", "is skipped"),
        ("@pytest.mark.xfail(reason='later')\ndef test_it():\n    assert 1", "is skipped"),
    ],
)
def test_a_test_that_is_named_runs_and_can_fail(text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "PROJECT", tmp_path)
    file = tmp_path / "tests/unit/test_some.py"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    found = named.why_not("tests/unit/test_some.py", "test_it")
    assert found.endswith(why) if why else found == ""
    assert "does not exist" in named.why_not("tests/unit/test_other.py", "test_it")


def test_a_file_that_make_does_not_run_holds_nothing() -> None:
    assert "is not run by" in named.why_not("tests/support/fleets.py", "placement")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault_can_still_be_planted(fault: Fault) -> None:
    assert (PROJECT / fault.file).read_text().count(fault.old) == 1, "the file has changed: say in tests/planted/faults.py where"


def _replaced(rehearsal: Path) -> Iterator[tuple[str, str]]:
    """Each file of the project that a rehearsal changes, with a text in it that it replaces: `"path.py", ("old", "new"), ...`."""
    for node in ast.walk(ast.parse(rehearsal.read_text())):
        parts = node.elts if isinstance(node, ast.Tuple) else node.args if isinstance(node, ast.Call) else []
        path, *changes = [*parts, None]
        if isinstance(path, ast.Constant) and isinstance(path.value, str) and (PROJECT / path.value).suffix == ".py":
            for change in changes:
                if isinstance(change, ast.Tuple) and change.elts and isinstance(change.elts[0], ast.Constant):
                    yield path.value, str(change.elts[0].value)


@pytest.mark.parametrize(
    "rehearsal", [f"{folder}/{path.name}" for folder in REHEARSALS for path in (PROJECT / folder).glob("*.py")]
)
def test_what_a_rehearsal_replaces_stands_in_its_file(rehearsal: str) -> None:
    gone = [(file, old) for file, old in _replaced(PROJECT / rehearsal) if old not in (PROJECT / file).read_text()]
    assert gone == []


def test_what_a_rehearsal_replaces_is_found(tmp_path: Path) -> None:
    (file := tmp_path / "test_a.py").write_text(
        'A = ("model/laws/data.py", ("old", "new"))\nstack.edit("model/host.py", ("one", "two"), B)\n'
    )
    assert set(_replaced(file)) == {("model/laws/data.py", "old"), ("model/host.py", "one")}


def test_what_is_mutated_and_who_judges_it_are_files_that_exist() -> None:
    patterns = [pattern for room in ROOMS.values() for part in room.parts for pattern in (*part.files, *part.tests)]
    assert len(patterns) > 20
    assert [pattern for pattern in patterns if not list(PROJECT.glob(pattern))] == []
