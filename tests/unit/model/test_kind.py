"""A stack is of the kind that its file says, whatever its name."""

from pathlib import Path

import pytest

from model.kind import PROFILES, Kind, written
from model.problem import Refused
from stacks.kinds import profile
from tests.support.fleets import PROJECT, host_config, inputs


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("config:\n  vpai:kind: production\n", "production"),
        ("config:\n  vpai:domain: x\n  vpai:kind: 'copy'  # for a while\n", "copy"),
        ('config:\n    "vpai:kind": lab', "lab"),
        ("config:\n  vpai:kind:\n", ""),
        ("# vpai:kind: production\nconfig:\n  vpai:domain: vpai:kind\n", ""),
        ("", ""),
    ],
)
def test_the_kind_is_read_before_there_is_any_package(text: str, kind: str) -> None:
    assert written(text) == kind


@pytest.mark.parametrize(("text", "said"), [(None, "no vpai:kind"), ("config:\n  vpai:kind: prod\n", "vpai:kind 'prod'")])
def test_a_stack_whose_file_says_no_kind_is_told_how_to_say_it(text: str | None, said: str, tmp_path: Path) -> None:
    if text:
        (tmp_path / "Pulumi.second.yaml").write_text(text)
    with pytest.raises(Refused) as refused:
        profile("second", tmp_path)
    assert f"Pulumi.second.yaml says {said}" in str(refused.value)
    assert "pulumi config set -s second vpai:kind production" in str(refused.value)


def test_the_committed_stacks_say_theirs() -> None:
    found = {stack: profile(stack, PROJECT) for stack in ("preprod", "lab")}
    assert found == {"preprod": PROFILES[Kind.COPY], "lab": PROFILES[Kind.LAB]}


def test_a_second_production_is_guarded_and_protected_as_the_first_is() -> None:
    first, second = inputs("prod"), inputs("second", like="prod", domain="second.example.net")
    assert second.profile == first.profile and second.profile.guarded
    assert (second.deploy_key, second.settings.protect_data) == (first.authorized_keys[0], True)
    assert {bucket.name for bucket in second.fleet.buckets} == {bucket.name for bucket in first.fleet.buckets}


def test_a_copy_may_have_any_name() -> None:
    hosts = host_config("preprod").replace("preprod", "second")
    assert inputs("second", like="preprod", hosts=hosts).profile.copy


@pytest.mark.parametrize("kind", ["", "prod"])
def test_a_program_without_a_kind_is_refused_with_everything_else(kind: str) -> None:
    with pytest.raises(Refused) as refused:
        inputs("prod", kind=kind, domain="no dots")
    reported = [problem.what for problem in refused.value.problems]
    assert any(what.startswith("vpai:kind") for what in reported) and any(what.startswith("vpai:domain") for what in reported)
