"""An `up` that could not ask is refused before anything is done for it, by the one line that says what to type instead."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model.problem import Refused
from operations.deploy import up
from operations.deploy.terminal import Terminal, of_questions, of_up
from operations.stack import Stack
from tests.support.copies import tracked
from tests.support.fleets import PROJECT

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
    assert shown.stdout.splitlines()[0].strip() == 'python3 -m operations.deploy.terminal --stack "$STACK" ${YES:+--yes}'


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


@pytest.mark.parametrize(
    ("stack", "terminal", "said"),
    [
        ("prod", ALL, []),
        ("prod", NONE, ["stdin is no terminal, so nobody can be asked"]),
        ("prod", PIPED, ["stdout is no terminal, so nobody can be asked"]),
        ("lab", ALL, ["lab is the lab, whose configuration is committed"]),
        ("Our Stack", ALL, ["'Our Stack' names no stack"]),
    ],
)
def test_a_configuration_is_asked_for_at_a_terminal_and_of_a_stack_that_can_have_one(
    stack: str, terminal: Terminal, said: list[str]
) -> None:
    assert [problem.what for problem in of_questions(stack, terminal)] == said


def test_at_a_pipe_the_questions_say_what_they_need_before_anything_is_set_up(tmp_path: Path) -> None:
    clone = tmp_path / "vpai"
    clone.mkdir()
    tracked(clone)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        ["make", "init", "STACK=prod"],
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "it asks for what the stack is for, its domain, hosts, keys, services and secrets" in done.stderr
    assert "docs/runbooks/first-deploy.md" in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["vpai"] and not (clone / ".venv").exists()


def _ask(run: Callable[[list[str]], subprocess.CompletedProcess[str]]) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-I", "-S", "-c", "import runpy, sys; sys.path.insert(0, '.'); " + _MAIN])


_MAIN = "sys.argv[1:] = ['--stack', 'lab']; runpy.run_module('operations.deploy.terminal', run_name='__main__')"


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
    monkeypatch.setattr(up, "nothing_to_do", lambda *_: False)
    assert up.up(Stack("lab"), options=["--yes"]) == 1
    assert ran[0][0] == "up" and ran[0][-1] == "--yes"


def _must_not_run(*arguments: object, **_: object) -> None:
    raise AssertionError(f"ran {arguments}")
