"""Sets fake values for the external secrets that a copy needs and lacks.

Not for OVH's: without a certificate no site answers.
"""

import json
from collections.abc import Collection, Iterator, Mapping

from model.problem import Problem, refuse
from model.secret import External
from operations.secrets.dummies import dummy
from operations.stack import Stack
from services import caddy, catalogue


def fake_secrets(stack: Stack) -> None:
    """Set every required secret that is missing; existing values stay. Refuses a stack that is no copy."""
    refuse(() if stack.profile.copy else _not_a_copy(stack.name))
    # Every declared key is listed, without a value when it is not set; a secret's value is never shown.
    shown = json.loads(stack.pulumi("config", "--json"))
    given = {key.removeprefix("vpai:") for key, entry in shown.items() if entry["secret"] or entry.get("value")}
    values = fakes(given)
    if values:
        # Fakes are not secret: they may be on a command line.
        stack.pulumi("config", "set-all", *(word for name in values for word in ("--secret", f"vpai:{name}={values[name]}")))
    print("\n".join(f"vpai:{name} is fake now" for name in sorted(values)) or "nothing is missing")


def fakes(given: Collection[str] = ()) -> Mapping[str, str]:
    """A fake of the right form for each secret that a deployment requires, without those `given`."""
    return {
        secret.name: dummy(secret.name, secret.source.pattern)
        for secret in set(catalogue.external_secrets()) - set(caddy.OVH)
        if isinstance(secret.source, External) and not secret.source.optional and secret.name not in given
    }


def _not_a_copy(stack: str) -> Iterator[Problem]:
    yield Problem(
        what=f"{stack} is no copy, and is given no fake secrets",
        why="its services would start and fail at their first use",
        fix="give it the real ones; the preview names each, and where to get it",
        example=f"pulumi config set -s {stack} --secret vpai:openai_api_key",
    )
