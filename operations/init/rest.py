"""What is left when all is asked: what an `up` would refuse, and what nobody but the operator can do."""

import os
from collections.abc import Iterator

from model.fleet import Fleet
from model.problem import Refused
from operations import dns
from operations.init.session import Session
from operations.recovery_kit import FILE
from operations.stack import CommandFailed, Stack

_UNPINNED_IMAGE = "has no digest in"


def rest(session: Session, given: str) -> None:
    """Print it; `given` is the file of the passphrase as the shell had it."""
    session.dialogue.topic("What remains", "")
    for number, text in enumerate(_left(session, given), 1):
        print(f"{number}. " + text.replace("\n", "\n   "))
    session.dialogue.say(f"\nWhat an up would make, and what is still missing, at any time: make preview STACK={session.stack}")


def _left(session: Session, given: str) -> Iterator[str]:
    stack = session.stack
    if os.environ.get(FILE, "") != given:
        yield f"In each shell that deploys; and a copy of that file elsewhere:\n  export {FILE}={os.environ[FILE]}"
    try:
        read = Stack(stack).inputs
    except Refused as refused:
        yield from map(str, refused.problems)
        if session.is_copy:
            yield f"Secrets that you do not have may be fakes, which open nothing:\n  make fake-secrets STACK={stack}"
    else:
        yield from (str(problem) for problem in read.unresolved if _UNPINNED_IMAGE not in problem.what)
        images = sum(_UNPINNED_IMAGE in problem.what for problem in read.unresolved)
        if images:
            yield f"{images} images have no digest in {read.settings.image_lock}, and an up refuses them:\n  make images WRITE=1"
        yield from _records(session, read.fleet)
    if not session.is_copy:
        yield "The firewall of the hub's provider, where it has one: docs/runbooks/first-deploy.md, step 2, names the ports"
    yield f"What was written, into git:\n  git add Pulumi.{stack}.yaml hosts && git commit -m 'Our {stack}' && git push"


def _records(session: Session, fleet: Fleet) -> Iterator[str]:
    """DNS: each record that is not published as the fleet needs it."""
    ask = session.resolvers()
    try:
        needed = dns.zone(fleet, lambda address: dns.address_of(address, ask))
        wrong = [each for each, _ in dns.differences(needed, ask)]
    except CommandFailed as silent:
        yield f"DNS was not asked: {str(silent).splitlines()[0]}\n  make dns STACK={session.stack}"
        return
    lines = [line for each in wrong for line in each.lines or (f"no {each.kind} of {each.name}: {each.reason}",)]
    if lines:
        yield f"DNS, at the zone's provider; make dns STACK={session.stack} compares again:\n  " + "\n  ".join(lines)
