"""`python -m lab.reference`: writes docs/reference/authentication.md: production's credentials, and what checks them here."""

import sys
from collections.abc import Iterator
from pathlib import Path

from lab.images import SERVICES
from model.credential import Basic, Credential, Header, Login, PostgresLogin, RedisLogin, Request, StoredSecret, Unverifiable
from model.fleet import Fleet
from model.secret import External, Secret
from model.service import Service
from operations.reference.catalogue import example_fleet
from operations.table import markdown

PAGE = Path(__file__).parent.parent / "docs/reference/authentication.md"


def main() -> int:
    PAGE.write_text(page(example_fleet()))
    return 0


def page(fleet: Fleet) -> str:
    """The page in Markdown."""
    head = ("host", "service", "credential", "who shows it", "asked", "where it stands", "right", "wrong or none", "in the lab")
    reasons = ((f"`{secret.name}`", reason) for secret, reason in unproven(fleet))
    return f"""# Reference: who gets in with what

Written by `make docs` from `services/`; do not edit. A test fails when it is stale.

`make authentication STACK=` asks every one of these of a running stack: with the right credential, with one that differs
in its last character, and with none. `tests/lab/test_authentication.py` does so in the lab.

{markdown(head, _rows(fleet))}

A copy that is *held* is compared with the state's: nobody presents it, so "right" means that the running service has
exactly this value, "wrong" that it has no other.

## Secrets that no question of ours shows

{markdown(("secret", "why"), reasons)}
"""


def unproven(fleet: Fleet) -> Iterator[tuple[Secret, str]]:
    """Secrets without a row in the table, with the reason; an empty reason means that somebody forgot the secret."""
    reported = [(service, credential) for _, service in fleet.services() for credential in service.credentials]
    proven = {credential.secret.name for _, credential in reported if isinstance(credential, Credential)}
    reasons = {credential.secret.name: credential.reason for _, credential in reported if isinstance(credential, Unverifiable)}
    repository = "opens the host's repository: `make backups` asks it, another is refused (`tests/engine/test_backup_program.py`)"
    reasons |= {placement.backup.password.name: repository for placement in fleet.placements if placement.backup}
    for secret in fleet.secrets():
        if secret.name not in proven:
            issued = f"not ours to check; from: {secret.source.obtain}" if isinstance(secret.source, External) else ""
            yield secret, reasons.get(secret.name, issued)


def _rows(fleet: Fleet) -> Iterator[tuple[str, ...]]:
    for placement, service in fleet.services():
        for credential in service.credentials:
            if isinstance(credential, Credential):
                asked, place, right, wrong = _question(credential)
                note = f" ({credential.note})" if credential.note else ""
                name = f"`{credential.secret.name}`"
                yield (
                    placement.host.name,
                    service.name,
                    name,
                    credential.holder,
                    asked,
                    place,
                    right,
                    wrong + note,
                    _in_lab(service),
                )


def _question(credential: Credential) -> tuple[str, str, str, str]:
    match credential.proof:
        case Request() as request:
            asked = f"`{request.method} {request.path}` on {request.port}"
            return asked, _place(request), _statuses(request.accepted), _statuses(request.refused)
        case PostgresLogin(user=user, database=database):
            return f"psql to `{database}`", f"password of `{user}`", "logged in", "password authentication failed"
        case RedisLogin(user=user):
            return "`PING`", f"password of `{user}`", "PONG", "WRONGPASS, NOAUTH"
        case StoredSecret(variable=variable, file=file):
            return "held", f"`{variable or file}`", "the same", "another"


def _place(request: Request) -> str:
    match request.place:
        case Header(name=name, scheme=scheme):
            return f"`{name}: {scheme}`".replace(": `", "`")
        case Basic(user=user):
            return f"`Authorization: Basic`, password of `{user}`"
        case Login(others=others, password=password):
            return f"field `{password}`, beside " + ", ".join(f"`{name}={value}`" for name, value in others.items())


def _statuses(statuses: tuple[int, ...]) -> str:
    return " or ".join(map(str, statuses))


def _in_lab(service: Service) -> str:
    kind, _, _ = SERVICES[service.image].real.partition(":")
    return kind


if __name__ == "__main__":
    sys.exit(main())
