"""What a stack is for. Its file says it, vpai:kind; what follows from it stands here and nowhere else."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from model.problem import Problem


class Kind(StrEnum):
    """The kinds of stacks. A stack's name says nothing of what it is."""

    PRODUCTION = "production"
    COPY = "copy"
    LAB = "lab"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a kind of stack is given, and what it is kept from."""

    guarded: bool = False
    """Whether nothing of it goes by accident: what is applied was read and its name typed, of a pushed commit; a destroy is
    refused, images are looked at before they run, and its servers' SSH is for the operator's addresses and key alone."""
    copy: bool = False
    """Whether it is thrown away: it owns no hub, its names are below its own, its bucket goes with it."""
    scale: float = 1.0
    """Of the limits of its services."""
    environment: str = "preprod"
    """Label of its servers in the cloud, by which the specification tells production from all others."""


PROFILES: Mapping[Kind, Profile] = {
    Kind.PRODUCTION: Profile(guarded=True, environment="prod"),
    Kind.COPY: Profile(copy=True, scale=0.5),
    Kind.LAB: Profile(),
}

DESTROY_GUARD = "what-stands-is-kept-see-docs-runbooks-state"
"""The resource that a guarded stack has last and protects (components/destroy_guard.py). The engine's message names it."""

_WRITTEN = re.compile(r"""^\s+["']?vpai:kind["']?:\s*["']?(\w*)["']?\s*(?:#.*)?$""", re.MULTILINE)


def written(text: str) -> str:
    """The kind in the text of a Pulumi.<stack>.yaml, read before there is any package; empty where it says none."""
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
