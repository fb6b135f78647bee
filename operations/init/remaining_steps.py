"""The steps after the questions: what an `up` would still refuse, and what only the operator can do."""

import os
from collections.abc import Iterator

from model.fleet import Fleet
from model.problem import Problem, Refused
from model.secret import External
from operations.init.services import missing
from operations.init.session import Session
from operations.mesh import dns
from operations.secrets.recovery_kit import FILE
from operations.stack import CommandFailed, Stack
from stacks import inputs


def rest(session: Session, given: str) -> None:
    """Print the remaining steps; `given` is the passphrase file that the shell had set."""
    report = session.dialogue.report
    session.dialogue.topic("What remains", "")
    for number, text in enumerate(_left(session, given), 1):
        first, *more = text.splitlines()
        report(f"{number}. {first}")
        report("\n".join(more), indent="   ") if more else None
    report(f"\nWhat an up would make, and what is still missing, at any time: make preview STACK={session.stack}")


def _left(session: Session, given: str) -> Iterator[str]:
    stack, fleet = session.stack, session.placed()
    settings = inputs.parsed(stack, session.written.settings)
    if os.environ.get(FILE, "") != given:
        yield f"In each shell that deploys; and a copy of that file elsewhere:\nexport {FILE}={os.environ[FILE]}"
    secrets = [secret for secret, source in missing(session, fleet) if not source.optional]
    if secrets:
        lines = [f"{secret.name}: {secret.source.obtain}" for secret in secrets if isinstance(secret.source, External)]
        fake = f"\nOr fakes that open nothing: make fake-secrets STACK={stack}" if session.is_copy else ""
        yield f"Secrets; make init STACK={stack} asks for them again:\n" + "\n".join(lines) + fake
    reported = {f"pulumi config set -s {stack} --secret vpai:{secret.name}" for secret in secrets}
    yield from (str(problem) for problem in _refused(stack) if problem.example not in reported)
    yield from map(str, inputs.unpinned_hosts(fleet, session.known_hosts))
    if images := inputs.unpinned_images(fleet, settings):
        yield f"{len(images)} images have no digest in {settings.image_lock}, and an up refuses them:\nmake images WRITE=1"
    yield from _records(session, fleet)
    if not session.is_copy:
        yield "The firewall of the hub's provider, where it has one: docs/runbooks/first-deploy.md, step 2, names the ports"
    yield f"What was written, into git:\ngit add Pulumi.{stack}.yaml hosts && git commit -m 'Our {stack}' && git push"


def _refused(stack: str) -> tuple[Problem, ...]:
    """Problems that the program finds in its inputs."""
    try:
        _ = Stack(stack).inputs
    except Refused as refused:
        return refused.problems
    return ()


def _records(session: Session, fleet: Fleet) -> Iterator[str]:
    """Each DNS record that is not published as the fleet needs it."""
    ask = session.resolvers()
    try:
        needed = dns.zone(fleet, lambda address: dns.address_of(address, ask))
        wrong = [record for record, _ in dns.differences(needed, ask)]
    except CommandFailed as silent:
        yield f"DNS was not asked: {str(silent).splitlines()[0]}\nmake dns STACK={session.stack}"
        return
    lines = [line for record in wrong for line in record.lines or (f"no {record.kind} of {record.name}: {record.reason}",)]
    if lines:
        yield f"DNS, at the zone's provider; make dns STACK={session.stack} compares again:\n" + "\n".join(lines)
