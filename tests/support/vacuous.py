"""A pytest plugin (pyproject.toml) that fails a test when an assertion in one of its loops never ran."""

import ast
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from _pytest.assertion import util

_RAN = pytest.StashKey[set[int]]()

_CALLED = b"_check_if_assertion_pass_impl"
"""What pytest 8 compiles into a test to report passed assertions."""


def pytest_pycollect_makemodule(module_path: Path) -> None:
    """Remove bytecode without those reports, so that pytest compiles the test again: its cache ignores the difference."""
    for compiled in module_path.parent.glob(f"__pycache__/{module_path.stem}.*-pytest-*.pyc"):
        content = compiled.read_bytes()
        if b"AssertionError" in content and _CALLED not in content:
            compiled.unlink(missing_ok=True)


def pytest_assertion_pass(item: pytest.Item, lineno: int) -> None:
    """Record an assertion that passed."""
    item.stash.setdefault(_RAN, set()).add(lineno)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """After a passed test, fail it unless each assertion in its loops has run at least once."""
    asserted = in_loops(pyfuncitem.path, pyfuncitem.function.__code__.co_firstlineno)
    if not asserted:
        # To report an assertion, pytest formats both of its sides: nine tenths of a property test's time.
        util._assertion_pass = None  # pytest sets it again for each test
    done = yield
    ran = pyfuncitem.stash.get(_RAN, set())
    if never := sorted(asserted - ran):
        lines = ", ".join(map(str, never))
        pytest.fail(f"{pyfuncitem.path.name}:{lines}: asserted in a loop that had nothing to assert", pytrace=False)
    return done


@cache
def in_loops(file: Path, first_line: int) -> frozenset[int]:
    """Line numbers of assertions in loops of the function that begins at `first_line`, which may be a decorator's."""
    for function in ast.walk(ast.parse(file.read_text())):
        if isinstance(function, ast.FunctionDef) and first_line in (
            function.lineno,
            *(decorator.lineno for decorator in function.decorator_list),
        ):
            return frozenset(_asserted(function, looped=False))
    return frozenset()


def _asserted(node: ast.AST, *, looped: bool) -> Iterator[int]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(child, ast.Assert):
            if looped:
                yield child.lineno
        else:
            yield from _asserted(child, looped=looped or isinstance(child, ast.For))
