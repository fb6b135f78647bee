"""No command of docs/runbooks/restore.md that no test runs."""

import ast
from collections.abc import Iterator

from tests.support import runbook
from tests.support.fleets import PROJECT

PAGE = "restore.md"


def test_every_command_of_the_page_is_run_by_a_test() -> None:
    """By `runbook.one` or `runbook.below`, which refuse what is not on the page; what runs them is in the test itself."""
    asked = set(_asked())
    untried = [
        command for command in dict.fromkeys((*runbook.commands(PAGE), *runbook.in_sentences(PAGE))) if command not in asked
    ]
    assert untried == []


def _asked() -> Iterator[str]:
    for path in (PROJECT / "tests").rglob("test_*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            match call:
                case ast.Call(func=ast.Attribute(value=ast.Name("runbook"), attr="one"), args=[_, ast.Constant(str(command))]):
                    yield command
                case ast.Call(func=ast.Attribute(value=ast.Name("runbook"), attr="below"), args=[_, ast.Constant(str(title))]):
                    yield from runbook.below(PAGE, title)
