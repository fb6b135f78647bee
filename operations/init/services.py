"""Which services run, checked against the machines' memory; and the secrets that others issue for them."""

import secrets
from collections.abc import Sequence

from model.fleet import Fleet
from model.problem import Refused
from model.secret import External, Secret
from operations.init import answers
from operations.init.dialogue import Wrong
from operations.init.session import Session
from services import catalogue
from stacks.inputs import CLOUD_TOKEN

_PLENTY_MIB = 1 << 20
_ALL, _CORE = "all", "the core"


def services(session: Session) -> None:
    """Ask which services run."""
    if "services" in session.written.values:
        return
    names = catalogue.names_of_services()
    everything = session.placed(memory_mib=_PLENTY_MIB, services=(), expires="")
    offered = {service.name: service.limits.memory_mib for _, service in everything.services() if service.name in names}
    enter = _CORE if session.is_copy and "expires" in session.written.values else _ALL
    session.dialogue.topic(
        "Services",
        "What runs, each with what it needs; the number is the memory that it may take, in MiB.\n"
        + ", ".join(f"{name} {mib}" for name, mib in offered.items())
        + f"\nEnter: {enter}.\nExample: litellm, n8n",
    )

    def read(answer: str) -> tuple[str, ...]:
        return () if answer == enter else answers.some_of(offered, "service")(answer)

    chosen = session.checked("services", read, lambda chosen: fits(session, chosen), enter=enter)
    session.written.set({"services": list(chosen)})


def fits(session: Session, chosen: Sequence[str]) -> None:
    """Raises `Wrong` with every law that the fleet would break, given each machine's memory and what is free there now."""
    try:
        session.placed(services=tuple(chosen))
    except Refused as refused:
        said = [f"{problem.what}.\nWhy it matters: {problem.why}. How to fix it: {problem.fix}." for problem in refused.problems]
        raise Wrong("\n".join(said)) from None
    try:
        session.placed(services=tuple(chosen), free={host: facts.free_mib for host, facts in session.facts.items()})
    except Refused as refused:
        said = [problem.what for problem in refused.problems]
        raise Wrong("By what is free there now, because other programs run on it already:\n" + "\n".join(said)) from None


def missing(session: Session, fleet: Fleet) -> list[tuple[Secret, External]]:
    """External secrets that the fleet needs or can use, and that are not set."""
    rents = any(placement.host.rented for placement in fleet.placements)
    return [
        (secret, secret.source)
        for secret in (*fleet.secrets(), *((CLOUD_TOKEN,) if rents else ()))
        if isinstance(secret.source, External) and secret.name not in session.written.secrets
    ]


def from_others(session: Session) -> None:
    """Ask for the secrets that others issue."""
    found = missing(session, session.placed())
    needed = [secret for secret, source in found if not source.optional]
    extra = [secret for secret, source in found if source.optional]
    if needed:
        session.dialogue.topic(
            "Secrets",
            f"{len(needed)} that the services need, each from whoever issues it. What you type or paste is not shown, and goes "
            "into the file encrypted.\nEnter: later.",
        )
    for secret in needed:
        _secret(session, secret)
    if extra:
        session.dialogue.topic("Optional secrets", f"Off without them: {', '.join(secret.name for secret in extra)}")
        if session.dialogue.yes("ask for them now", enter="no"):
            for secret in extra:
                _secret(session, secret)


def _secret(session: Session, secret: Secret) -> None:
    assert isinstance(secret.source, External)
    chosen, checks = secret.source.chosen, session.outside.tokens.get(secret.name)
    session.dialogue.report(
        f"\n{secret.name}\n  {secret.source.obtain}" + ("\n  or type new: one is made here" if chosen else "")
    )
    read = answers.secret(secret)
    while True:
        value = session.dialogue.ask(
            "value", lambda answer: secrets.token_hex(32) if chosen and answer == "new" else read(answer), enter="", hidden=True
        )
        if not value:
            return
        if checks is None or session.holds(checks, value):
            break
    session.written.set_secret(secret.name, value)
    shown = f" To read it: pulumi config get -s {session.stack} vpai:{secret.name}" if chosen else ""
    session.dialogue.report(f"{secret.name} is set, encrypted.{shown}")
