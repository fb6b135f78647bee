"""The pack's verdict as the engine's event log tells it, in the form seen in a preview of production."""

import json

from operations.up import refused_by_policy


def test_only_mandatory_findings_refuse() -> None:
    events = [
        {"sequence": 0, "preludeEvent": {"config": {}}},
        {"sequence": 1, "policyEvent": {"enforcementLevel": "advisory", "policyName": "waivers-in-force", "message": "What"}},
        {"sequence": 2, "policyEvent": {"enforcementLevel": "mandatory", "policyName": "images-pinned", "message": "Each\nx"}},
    ]
    assert list(refused_by_policy("".join(f"{json.dumps(event)}\n" for event in events))) == ["images-pinned: Each"]
