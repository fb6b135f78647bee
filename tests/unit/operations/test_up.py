"""The pack's verdict as the engine's event log tells it, in the form seen in a preview of production."""

import json
from typing import Any

from operations.deploy.live_state import in_words
from operations.deploy.up import failure, refused_by_policy


def test_only_mandatory_findings_refuse() -> None:
    events = [
        {"sequence": 0, "preludeEvent": {"config": {}}},
        {"sequence": 1, "policyEvent": {"enforcementLevel": "advisory", "policyName": "waivers-in-force", "message": "What"}},
        {"sequence": 2, "policyEvent": {"enforcementLevel": "mandatory", "policyName": "images-pinned", "message": "Each\nx"}},
    ]
    assert list(refused_by_policy("".join(f"{json.dumps(event)}\n" for event in events))) == ["images-pinned: Each"]


def test_the_live_state_names_what_is_not_well_and_who_does_not_answer() -> None:
    def container(service: str, **state: object) -> dict[str, Any]:
        return {"Config": {"Labels": {"vpai.service": service}}, "State": {"Running": True, "Status": "running", **state}}

    well = container("redis", Health={"Status": "healthy"})
    assert in_words({"sese": [well], "waza": [well]}) == "Live: 2 services on 2 hosts, all healthy."
    sick, ended = container("n8n", Health={"Status": "unhealthy"}), container("loki", Running=False, Status="exited")
    said = in_words({"sese": [well, sick, ended, container("x")], "seko": None})
    assert said == (
        "Live: 4 services on 2 hosts, seko does not answer; sese/loki is exited; sese/n8n is unhealthy; "
        "sese/x is without a healthcheck."
    )


def test_a_failed_preview_is_told_as_it_was_meant_to_be_read() -> None:
    shown = {"config": {"vpai:domain": "x"}, "diagnostics": [{"severity": "warning", "message": "warning: w"}]}
    refused = {"severity": "error", "message": "error: 2 problems; nothing has been touched.\n\n1. no domain\n"}
    shown["diagnostics"] = [*shown["diagnostics"], refused, refused]
    said = failure(shown, json.dumps(shown, indent=4), "")
    assert said == "pulumi preview failed:\n\n2 problems; nothing has been touched.\n\n1. no domain"
    assert (
        failure({}, "", "error: no stack named 'prod' found\n") == "pulumi preview failed:\n\nerror: no stack named 'prod' found"
    )
    assert failure({}, '{"cut of', "") == 'pulumi preview failed:\n\n{"cut of'
    assert "config" not in failure({"config": {}}, '{"config": {}}', "killed")
