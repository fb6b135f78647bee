"""Secrets: declared where they are used, and complete."""

from collections.abc import Iterator

from model.placement import Placement
from model.problem import Problem
from model.secret import External, Generated


def secrets_are_declared(placement: Placement) -> Iterator[Problem]:
    """Every secret that a text refers to is declared, and none is where `docker inspect` shows it."""
    databases = {database.password.name for database in placement.databases()}
    for service in placement.services:
        declared = {secret.name for secret in service.secrets} | databases
        for name in sorted(service.referenced_secrets - declared):
            yield Problem(
                what=f"{placement.host.name}: {service.name} refers to the secret {name!r}, which nobody declares",
                why="there is no value to put in",
                fix="add it to the service's `secrets`",
                example=f'Secret(name="{name}", source=Generated())',
            )
        for key, text in service.environment.items():
            if "${secret:" in text:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} has a secret in the environment variable {key}",
                    why="`docker inspect` would show it",
                    fix="use secret_environment or a File",
                    example=f'secret_environment={{"{key}": f"{{secret}}"}}',
                )
        for key in sorted(set(service.environment) & set(service.secret_environment)):
            yield Problem(
                what=f"{placement.host.name}: {service.name} sets the environment variable {key} twice",
                why="the secret value would win inside the service while `docker inspect` shows the other",
                fix="keep it in environment or in secret_environment, not in both",
                example=f'secret_environment={{"{key}": f"{{secret}}"}}',
            )
        if service.secret_environment and not (service.entrypoint and service.configuration):
            yield Problem(
                what=f"{placement.host.name}: {service.name} has a secret_environment but no entrypoint or configuration",
                why="a line before the image's entrypoint reads the variables from a file of the configuration",
                fix="state the image's own entrypoint and a Configuration",
            )


def secrets_are_sound(placement: Placement) -> Iterator[Problem]:
    """A secret is declared in one way; generated secrets are long enough; external ones say where to get them."""
    seen = {database.password.name: database.password for database in placement.databases()}
    for service in placement.services:
        for secret in service.secrets:
            if seen.setdefault(secret.name, secret) != secret:
                yield Problem(
                    what=f"{placement.host.name}: the secret {secret.name!r} is declared in two ways",
                    why="one of the two would win by chance",
                    fix="declare it once and import it",
                )
            match secret.source:
                case Generated(length=length) if length < 24:
                    yield Problem(
                        what=f"{placement.host.name}: the generated secret {secret.name!r} has only {length} characters",
                        why="anything below 24 can be guessed in the long run",
                        fix="leave the default of 32",
                    )
                case External(obtain=obtain) if not obtain:
                    yield Problem(
                        what=f"{placement.host.name}: the external secret {secret.name!r} does not say where to get it",
                        why="whoever deploys first would have to guess",
                        fix="fill in `obtain`",
                        example='External(obtain="console.anthropic.com > API keys")',
                    )
