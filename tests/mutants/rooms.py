"""What is mutated, by which tests it is judged, and which survivors are accepted, why."""

from collections.abc import Mapping
from dataclasses import dataclass

PROSE = (
    r"^\s*(what|why|fix|example|asks|reason|title|description|examples|obtain)=",
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


@dataclass(frozen=True)
class Part:
    """Files of a room, as patterns, and the tests that are to hold them: no more than those, or a survivor takes minutes."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Room:
    """A directory; what is in no part is not mutated."""

    path: str
    parts: tuple[Part, ...]
    accepted: tuple[Accepted, ...] = ()


def _part(room: str, files: str, tests: str) -> Part:
    return Part(
        tuple(f"{room}/{name}.py" for name in files.split()),
        tuple(name if "/" in name else f"tests/unit/{room.partition('/')[0]}/test_{name}.py" for name in tests.split()),
    )


_MODEL, _RULES, _PROXY, _HOST = "model", "policy/rules", "services/litellm/proxy", "components/host"

_MODEL_ACCEPTED = (
    Accepted(where=r"model\.laws\.graph\.needs_are_met", change=r"\+ *unmet = None", reason="None is as false as False"),
    Accepted(
        where=r"model\.mesh\.(policy|grants)",
        change=r"indent=|sort_keys=|reason=",
        reason="layout of a file that programs read; a reason's words",
    ),
    Accepted(where=r"model\.cost\.invoice", change=r"\+ *break", reason="buckets are the last kind of an invoice"),
    Accepted(where=r"model\.settings\._problem", change=r"XXXX", reason="every setting has an example"),
    Accepted(where=r"model\.bucket\.policy", change=r'"Sid": "(XXNotTheirsXX|nottheirs|NOTTHEIRS)"', reason="a statement's name"),
    Accepted(
        where=r"model\.reachability\._ports",
        change=r"ssh_public=None|or opening\.access is Access\.VPN|or True else MEMBER",
        reason="no host of the catalogue publishes a port for members alone; the firewall's own tests have such an opening",
    ),
)

ROOMS: Mapping[str, Room] = {
    "model": Room(
        path=_MODEL,
        accepted=_MODEL_ACCEPTED,
        parts=(
            _part(_MODEL, "laws/*", "laws"),
            _part(_MODEL, "route fleet problem placement", "fleet laws routes"),
            _part(
                _MODEL,
                "bucket cloud cost credential firewall host image mesh network reachability secret service settings waiver",
                "bucket cloud cost firewall hosts image_lock mesh reachability secret settings waiver "
                "tests/unit/components/test_hetzner_preflight.py tests/unit/stacks/test_inputs.py",
            ),
        ),
    ),
    "policy": Room(path=_RULES, parts=(_part(_RULES, "*", "tests/policy/test_rules.py"),)),
    "litellm": Room(
        path=_PROXY,
        parts=(
            _part(_PROXY, "budget hook ledger metrics settings telegram", "litellm_budget"),
            _part(_PROXY, "answers", "litellm_answers"),
            _part(_PROXY, "films", "litellm_films"),
        ),
    ),
    "host": Room(
        path=_HOST,
        parts=(
            _part(_HOST, "firewall", "tests/unit/model/test_firewall.py"),
            _part(_HOST, "sshd", "sshd"),
            _part(_HOST, "host_drift facts", "drift"),
            _part(_HOST, "baseline docker_daemon sysctl hardening audit fail2ban upgrades control files release", "baseline"),
        ),
    ),
}
