"""The stacks that are deployed break no rule, and waive nothing for nothing."""

from collections.abc import Mapping
from pathlib import Path

import pulumi_command as command
import pulumi_docker as docker
import pulumi_hcloud as hcloud
import pytest

from components.hetzner.server import WAIVERS as SERVER_WAIVERS
from components.storage.bucket import Bucket
from operations.reference.policy import in_force
from policy.rule import ResourceRule
from policy.rules import RULES
from stacks.inputs import Inputs
from tests.graph.program import build, built
from tests.policy.planted import TODAY, Reported, reported, server
from tests.policy.recorded import requests
from tests.support.fleets import OTHERS, PROJECT, RENTED_COPY, inputs

_NOT_LOOKED_UP_YET = {"images-pinned", "images-named-version"}
"""The image lock says null where no registry could be asked."""


_RENTED = "preprod, rented"


@pytest.fixture(scope="module", params=["prod", "preprod", _RENTED, "lab", *OTHERS])
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def inputs_(stack: str, lab_files: dict[str, str]) -> Inputs:
    return inputs(stack.partition(",")[0], like="prod" if stack in OTHERS else "", **_changes(stack, lab_files))


@pytest.fixture(scope="module")
def verdict(inputs_: Inputs) -> Reported:
    with server(inputs_.stack, kind=inputs_.settings.kind) as client:
        return reported(client, requests(build(inputs_)))


def _changes(stack: str, lab_files: Mapping[str, str]) -> Mapping[str, str]:
    return {"lab": lab_files, _RENTED: RENTED_COPY, **OTHERS}.get(stack, {})


@pytest.fixture(scope="module")
def lab_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The lab's settings without the files that raising it makes."""
    lock = tmp_path_factory.mktemp("lab") / "images.lock.yaml"
    lock.write_text("{}\n")
    return {"imageLock": str(lock), "certificateAuthority": "", "authorizedKeys": "tests/authorized_keys"}


def test_a_stack_breaks_no_rule(stack: str, verdict: Reported) -> None:
    assert set(verdict.broken) <= _NOT_LOOKED_UP_YET
    assert set(verdict.broken) <= verdict.advisory
    assert not verdict.undecided or stack == _RENTED, "an address that is not there yet cannot be decided on"


def test_every_waiver_covers_something(inputs_: Inputs, verdict: Reported) -> None:
    # A rented server's is about an output that only a real engine keeps secret.
    for where, waiver in [entry for entry in in_force(inputs_.fleet) if entry[1] not in SERVER_WAIVERS]:
        subject = f" ({waiver.subject})" if waiver.subject else ""
        assert f"{waiver.rule}{subject}: " in verdict.waived, f"{where} waives {waiver.rule}{subject} for nothing"


def test_no_waiver_holds_for_more_than_a_year() -> None:
    for where, waiver in in_force(inputs("prod").fleet):
        assert (waiver.until - TODAY).days <= 366, f"{where}: {waiver.rule}"


def test_the_pack_imports_the_model_alone() -> None:
    for file in Path(PROJECT / "policy").rglob("*.py"):
        for room in ("services", "components", "stacks", "operations", "lab"):
            assert f"from {room}" not in file.read_text(), file


def test_rules_ask_about_types_that_exist() -> None:
    """A misspelt type would be a rule that finds nothing."""
    commands = (command.remote.Command, command.remote.CopyToRemote)
    offered = (*vars(docker).values(), *vars(hcloud).values(), *commands)
    known = {kind.pulumi_type for kind in offered if hasattr(kind, "pulumi_type")}
    known |= {resource.type for resource in built("prod").resources} | {f"pulumi-python:{Bucket._resource_type_name}"}
    asked = {kind for rule in RULES if isinstance(rule, ResourceRule) for kind in rule.types}
    assert asked <= known
