"""Who of the hub's members has expired; Headscale leaves out what is not set."""

from collections.abc import Mapping
from typing import Any

from operations.mesh.renew import expired

NOW = 1_800_000_000.0


def test_only_those_whose_key_has_expired_are_renewed() -> None:
    members: list[Mapping[str, Any]] = [
        {"given_name": "never"},
        {"given_name": "nothing-set", "expiry": None},
        {"given_name": "zero", "expiry": {"seconds": -62135596800}},
        {"given_name": "late", "expiry": {"seconds": int(NOW) - 1}},
        {"given_name": "later", "expiry": {"seconds": int(NOW) + 1}},
    ]
    assert expired(members, NOW) == ("late",)
