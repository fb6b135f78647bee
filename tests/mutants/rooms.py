"""What is mutated, by which tests it is judged, and which survivors are accepted, why."""

from collections.abc import Mapping
from dataclasses import dataclass

PROSE = (
    r"^\s*(what|why|mend|example|asks|reason|title|description|examples|obtain)=",
    r"^\s*\+? ?f?\"[^\"]*\",?$",
    r"^\s*\+? ?f?'[^']*',?$",
)
"""Lines that are a message's text: that it is there is tested, how it is put is for reviewers."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """Survivors of one kind."""

    where: str
    """A regular expression over the mutant's function, e.g. `model.cost.*`."""
    change: str
    """One over its changed lines, `- old` and `+ new`."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Room:
    """Files and the tests that hold them."""

    paths: tuple[str, ...]
    tests: tuple[str, ...]
    accepted: tuple[Accepted, ...] = ()


def _unit(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/unit/test_{name}.py" for name in names)


ROOMS: Mapping[str, Room] = {
    "model": Room(
        paths=("model",),
        tests=_unit(
            *("laws", "bucket", "cost", "firewall", "mesh", "reachability", "secret", "inputs", "hetzner_preflight"),
            *("stack_buckets", "dns", "services", "authentication", "waiver"),
        ),
    ),
    "policy": Room(paths=("policy/rules",), tests=("tests/policy/test_rules.py",)),
    "litellm": Room(paths=("services/litellm/proxy",), tests=_unit("litellm_budget", "litellm_answers", "litellm_films")),
    "host": Room(paths=("components/host",), tests=_unit("baseline", "drift", "firewall", "sshd")),
}
