"""An `up` that could not ask is refused before anything is done for it, by the one line that says what to type instead."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest

from model.problem import Refused
from operations import up
from operations.stack import Stack
from operations.terminal import Terminal, of_up
from tests.fleets import PROJECT

ALL = Terminal(stdin=True, stdout=True)
NONE = Terminal(stdin=False, stdout=False)
PIPED = Terminal(stdin=True, stdout=False)


@pytest.mark.parametrize(
    ("stack", "terminal", "yes", "example"),
    [
        ("lab", ALL, False, None),
        ("lab", NONE, True, None),
        ("lab", NONE, False, "make up STACK=lab YES=1"),
        ("pr-7", PIPED, False, "make up STACK=pr-7 YES=1"),
        ("prod", ALL, False, None),
        ("prod", PIPED, False, None),
        ("prod", NONE, False, "make plan STACK=prod && make apply-plan STACK=prod"),
        ("prod", NONE, True, "make plan STACK=prod && make apply-plan STACK=prod"),
        ("prod", ALL, True, "make plan STACK=prod && make apply-plan STACK=prod"),
    ],
)
def test_who_cannot_be_asked_is_told_what_to_type(stack: str, terminal: Terminal, yes: bool, example: str | None) -> None:
    found = of_up(stack, terminal, guarded=stack == "prod", yes=yes)
    assert [problem.example for problem in found] == ([example] if example else [])


def test_make_asks_before_anything_is_set_up() -> None:
    shown = subprocess.run(["make", "-n", "up", "STACK=lab"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[0].strip() == 'python3 -m operations.terminal --stack "$STACK" ${YES:+--yes}'


def test_it_needs_no_package_and_fails_the_target() -> None:
    done = _ask(lambda words: subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=PROJECT))
    assert done.returncode == 1
    assert "stdin is no terminal, so pulumi cannot ask whether to update lab" in done.stderr


def test_a_terminal_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    done = _ask(lambda words: subprocess.run(words, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True, cwd=PROJECT))
    assert (done.returncode, done.stderr) == (0, "")
    monkeypatch.setenv("TERM", "dumb")
    done = _ask(lambda words: subprocess.run(words, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True, cwd=PROJECT))
    assert done.returncode == 1
    for end in (ours, theirs):
        os.close(end)


def _ask(run: Callable[[list[str]], subprocess.CompletedProcess[str]]) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-I", "-S", "-c", "import runpy, sys; sys.path.insert(0, '.'); " + _MAIN])


_MAIN = "sys.argv[1:] = ['--stack', 'lab']; runpy.run_module('operations.terminal', run_name='__main__')"


@pytest.mark.parametrize(("stack", "options"), [("lab", ()), ("prod", ()), ("prod", ("--yes",))])
def test_the_command_itself_refuses_before_it_touches_the_stack(
    stack: str, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Terminal, "here", lambda: NONE)
    monkeypatch.setattr(subprocess, "run", _must_not_run)
    with pytest.raises(Refused):
        up.up(Stack(stack), options=options)


def test_yes_reaches_pulumi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terminal, "here", lambda: NONE)
    ran: list[tuple[str, ...]] = []

    def pulumi_live(_: Stack, *arguments: str, **__: object) -> int:
        ran.append(arguments)
        return 1

    monkeypatch.setattr(Stack, "pulumi_live", pulumi_live)
    monkeypatch.setattr(up, "_nothing_to_do", lambda *_: False)
    assert up.up(Stack("lab"), options=["--yes"]) == 1
    assert ran[0][0] == "up" and ran[0][-1] == "--yes"


def _must_not_run(*arguments: object, **_: object) -> None:
    raise AssertionError(f"ran {arguments}")
