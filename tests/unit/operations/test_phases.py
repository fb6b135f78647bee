"""What the engine's event log says of an `up`, as phases; events in the form seen in the lab's."""

import json
from collections.abc import Iterator

from operations.deploy.phases import Phase, phases

_SERVER = "vpai:index:HetznerServer$hcloud:index/server:Server::pr-1"
_BASELINE = "vpai:index:ManagedHost$command:local:Command::pr-1-baseline"
_CONTAINER = "vpai:index:DockerHost$vpai:index:ServiceContainer$docker:index/container:Container::pr-1-redis"
_UNCHANGED = "vpai:index:ManagedHost$command:local:Command::seko-baseline"


def _log(*reported: tuple[int, str, str, str]) -> Iterator[str]:
    yield json.dumps({"sequence": 0, "timestamp": 1000, "preludeEvent": {"config": {}}})
    for at, kind, op, resource in reported:
        state = {"custom": resource.count("vpai:index") != 1 or "$" in resource}
        metadata = {"op": op, "urn": f"urn:pulumi:pr-1::vpai::{resource}", "old": None, "new": state}
        yield json.dumps({"timestamp": 1000 + at, kind: {"metadata": metadata}})


def test_a_phase_lasts_from_its_first_begin_to_its_last_end_and_unchanged_resources_belong_to_none() -> None:
    begun, done, failed = "resourcePreEvent", "resOutputsEvent", "resOpFailedEvent"
    log = _log(
        (1, begun, "create", "vpai:index:ManagedHost::pr-1"),
        (1, begun, "same", _UNCHANGED),
        (2, begun, "create", _SERVER),
        (3, begun, "create", "pulumi:providers:docker::pr-1"),
        (9, done, "create", _SERVER),
        (9, begun, "create", _BASELINE),
        (20, begun, "create", _CONTAINER),
        (22, done, "create", _BASELINE),
        (31, failed, "create", _CONTAINER),
    )
    assert phases(log) == (Phase("server", 2, 9, 1), Phase("bootstrap", 9, 22, 1), Phase("services", 20, 31, 0))


def test_an_up_without_changes_has_no_phases() -> None:
    assert phases(_log((1, "resourcePreEvent", "same", _SERVER))) == ()
    assert phases([]) == ()


def test_what_a_killed_engine_had_written_is_read_up_to_its_last_whole_event() -> None:
    log = [*_log((1, "resourcePreEvent", "create", _SERVER), (4, "resOutputsEvent", "create", _SERVER)), '{"sequence": 3, "time']
    assert phases(log) == (Phase("server", 1, 4, 1),)
