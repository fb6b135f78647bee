"""Checks tests that documents and tables name: each must run, and must be able to fail."""

import ast
from functools import cache
from pathlib import Path

from tests.support.fleets import PROJECT

RUN_BY_MAKE = ("unit", "graph", "policy", "engine", "lab", "lab_itself", "prove")
"""Folders of tests/ that `make test` and `make prove` run."""


def why_not(path: str, name: str) -> str:
    """Why the test `path::name` proves nothing; empty when it does prove something."""
    folder = Path(path).parts[1:-1]
    if not (PROJECT / path).is_file():
        return f"{path} does not exist"
    if folder[:1] not in [(directory,) for directory in RUN_BY_MAKE] or not Path(path).name.startswith("test_"):
        return f"{path} is not run by `make test` or `make prove`"
    module = _parsed(PROJECT / path)
    classes = [node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test")]
    nodes = [node for body in (module.body, *classes) for node in body]
    found = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == name]
    if len(found) != 1 or not name.startswith("test_"):
        return f"{path} has no test {name}"
    [test] = found
    if any(mark in ast.unparse(decorator) for decorator in test.decorator_list for mark in ("skip", "xfail")):
        return f"{path}::{name} is skipped"
    return "" if can_fail(test, module) else f"{path}::{name} asserts nothing"


def can_fail(test: ast.FunctionDef, module: ast.Module) -> bool:
    """Whether the test asserts, expects an error, or calls a function of its file or a check of the deployment that does."""
    for node in ast.walk(test):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.keyword) and node.arg == "check" and ast.unparse(node.value) == "True":
            return True
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.rpartition(".")[2] in _CHECKS:
                return True
            for other in module.body:
                if isinstance(other, ast.FunctionDef) and other.name == called and other is not test and can_fail(other, module):
                    return True
    return False


_CHECKS = ("raises", "smoke", "until", "up")
"""Calls that raise on failure: pytest's, and those of tests/support/waiting.py and tests/lab/deployment.py."""


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())
