"""The kind of a stack (vpai:kind in its file), and everything that follows from it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from model.problem import Problem


class Kind(StrEnum):
    """The kinds of stacks. Nothing follows from a stack's name."""

    PRODUCTION = "production"
    COPY = "copy"
    LAB = "lab"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What follows from a kind of stack."""

    guarded: bool = False
    """Whether the stack is protected from accidents: an `up` needs a pushed commit, a preview that was read and the stack's typed
    name; a destroy is refused; images are verified before they run; SSH of its servers is open to the operator's addresses and
    key alone."""
    copy: bool = False
    """Whether the stack is ephemeral: it owns no hub, its names are below its own, and its bucket is deleted with it."""
    scale: float = 1.0
    """Factor on the limits of its services."""
    environment: str = "preprod"
    """Label of its servers in the cloud; the specification tells production from all others by it."""


PROFILES: Mapping[Kind, Profile] = {
    Kind.PRODUCTION: Profile(guarded=True, environment="prod"),
    Kind.COPY: Profile(copy=True, scale=0.5),
    Kind.LAB: Profile(),
}

DESTROY_GUARD = "what-stands-is-kept-see-docs-runbooks-state"
"""Name of the protected resource that a guarded stack creates last (components/destroy_guard.py). Pulumi's refusal shows it."""

_WRITTEN = re.compile(r"""^\s+["']?vpai:kind["']?:\s*["']?(\w*)["']?\s*(?:#.*)?$""", re.MULTILINE)


def written(text: str) -> str:
    """The kind in the text of a Pulumi.<stack>.yaml; empty where it has none. It needs no package: none is installed yet."""
    found = _WRITTEN.search(text)
    return found[1] if found else ""


def problems(stack: str, kind: str) -> Iterator[Problem]:
    """What is wrong with a stack's kind."""
    if kind not in list(Kind):
        yield Problem(
            what=f"Pulumi.{stack}.yaml says {f'vpai:kind {kind!r}' if kind else 'no vpai:kind'}",
            why="what is guarded and protected follows from whether this is production, a copy or a lab; a name does not say it",
            fix=f"say it: {', '.join(Kind)}",
            example=f"pulumi config set -s {stack} vpai:kind {Kind.PRODUCTION}",
        )
