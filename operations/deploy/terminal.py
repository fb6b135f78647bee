"""`python3 -m operations.deploy.terminal --stack STACK [--yes|--questions]`: whether an `up` or `make init` may begin.

It runs before any set-up and needs no package, because none is installed yet.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.problem import Problem, Refused, refuse
from stacks.kinds import profile
from stacks.standing import LAB

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
"""Pattern of a stack's name; a host may have the same name (model/settings.py)."""


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """Whether stdin and stdout are terminals; a dumb terminal does not count as stdout."""

    stdin: bool
    stdout: bool

    @classmethod
    def here(cls) -> "Terminal":
        dumb = os.environ.get("TERM", "").lower() == "dumb"  # pulumi does not ask on a dumb terminal
        return cls(stdin=sys.stdin.isatty(), stdout=sys.stdout.isatty() and not dumb)


def of_up(stack: str, terminal: Terminal, *, guarded: bool, yes: bool, target: str = "up") -> Iterator[Problem]:
    """Problems of starting an `up`: production reads the stack's name from stdin; pulumi's own question needs a full terminal.

    `target` is make's: "up", or "rollback", for which there is no plan to keep.
    """
    planned = f"make plan STACK={stack} && make apply-plan STACK={stack}"
    revert = f"git revert COMMIT && git push && {planned}"
    otherwise = planned if target == "up" else revert
    if guarded and yes:
        yield Problem(
            what=f"YES=1 is not for {stack}",
            why="production gets what was shown and read, and nothing else",
            fix=f"make a plan, read it, apply exactly that; or run `make {target}` at a terminal and type the stack's name",
            example=otherwise,
        )
    elif guarded and not terminal.stdin:
        yield Problem(
            what=f"stdin is no terminal, so nobody can type the name of {stack}",
            why="production gets what was shown and read, and nothing else",
            fix="run it at a terminal; or make a plan, read it, and apply exactly that",
            example=otherwise,
        )
    elif not guarded and not yes and not (terminal.stdin and terminal.stdout):
        missing = "stdin" if not terminal.stdin else "stdout"
        yield Problem(
            what=f"{missing} is no terminal, so pulumi cannot ask whether to update {stack}",
            why="it would end with an error after all has been set up",
            fix="run it at a terminal, or say yes beforehand",
            example=f"make {target} STACK={stack} YES=1",
        )


def of_questions(stack: str, terminal: Terminal) -> Iterator[Problem]:
    """Problems of starting `make init`: no terminal to ask on, or a stack that cannot be configured."""
    if stack == LAB or not NAME.fullmatch(stack):
        yield Problem(
            what=f"{stack} is the lab, whose configuration is committed" if stack == LAB else f"{stack[:80]!r} names no stack",
            why="the file of a stack, and the server of a copy, are called like it",
            fix="give a name of small letters, digits and dashes",
            example="make init STACK=prod",
        )
    if not (terminal.stdin and terminal.stdout):
        yield Problem(
            what=f"{'stdout' if terminal.stdin else 'stdin'} is no terminal, so nobody can be asked",
            why="it asks for what the stack is for, its domain, hosts, keys, services and secrets, and checks each answer",
            fix="run it at a terminal; or set each by hand: docs/runbooks/first-deploy.md, step 4, has the commands",
            example=f"make init STACK={stack}",
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m operations.deploy.terminal", description=__doc__)
    parser.add_argument("-s", "--stack", required=True)
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--questions", action="store_true", help="of a first configuration, instead of an up")
    arguments = parser.parse_args()
    try:
        stack, here = arguments.stack, Terminal.here()
        if arguments.questions:
            refuse(of_questions(stack, here))
        else:
            guarded = profile(stack, Path(__file__).parent.parent.parent).guarded
            refuse(of_up(stack, here, guarded=guarded, yes=arguments.yes))
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
