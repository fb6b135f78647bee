"""`make init STACK=`: a first configuration by questions. Each answer is checked where possible, and saved at once."""

import os

from model.problem import Refused, refuse
from operations.deploy.terminal import Terminal, of_questions
from operations.init.configuration_file import ConfigurationFile
from operations.init.dialogue import Dialogue
from operations.init.hosts import hosts
from operations.init.identity import domain, keys, kind, shown, state
from operations.init.optional_settings import others
from operations.init.outside_checks import Outside
from operations.init.remaining_steps import rest
from operations.init.services import from_others, services
from operations.init.session import Session
from operations.secrets.recovery_kit import FILE
from operations.stack import CommandFailed, Stack

QUESTIONS = (state, shown, kind, domain, keys, hosts, others, services, from_others)
"""In order; each asks only for what is not configured."""


def init(stack: Stack, outside: Outside | None = None) -> int:
    """Ask for what is missing; 0 when nothing is left to ask, 130 after an interruption."""
    refuse(of_questions(stack.name, Terminal.here()))
    dialogue, given = Dialogue(), os.environ.get(FILE, "")
    session = Session(stack=stack.name, dialogue=dialogue, outside=outside or Outside(), written=ConfigurationFile(stack.name))
    again = f"make init STACK={stack.name}"
    dialogue.report(
        f"The configuration of {stack.name}, by questions. Each answer is kept at once in Pulumi.{stack.name}.yaml: Ctrl-C "
        f"ends at any time, and {again} goes on where it was. Nothing is deployed."
    )
    try:
        for question in QUESTIONS:
            question(session)
        rest(session, given)
    except (KeyboardInterrupt, EOFError):
        dialogue.report(f"\n\nInterrupted. What was answered is kept, whole. To go on where this was: {again}")
        return 130
    except (Refused, CommandFailed) as error:
        dialogue.report(f"\n{error}\n\nWhat was answered before is kept. When that is fixed, to go on: {again}")
        return 1
    return 0
