"""An independent judge finds what the pack finds, and nothing that the pack does not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from policy.benchmarks import COMPOSE_LINT
from tests.policy.compose_lint import EXPLAINED, PAGE, Verdicts, catalogue, compare, page, planted


@pytest.fixture(scope="module")
def verdicts() -> tuple[Verdicts, Verdicts]:
    return compare(catalogue()), compare(planted())


def test_compose_lint_finds_nothing_that_the_pack_does_not(verdicts: tuple[Verdicts, Verdicts]) -> None:
    assert not {control: names for verdict in verdicts for control, names in verdict.theirs.items() if names}


def test_what_the_pack_finds_alone_is_explained_and_no_explanation_is_idle(verdicts: tuple[Verdicts, Verdicts]) -> None:
    assert {control for verdict in verdicts for control, names in verdict.ours.items() if names} == set(EXPLAINED)


def test_both_find_every_control_broken_somewhere(verdicts: tuple[Verdicts, Verdicts]) -> None:
    assert not [control for control in COMPOSE_LINT.controls if not any(verdict.both[control] for verdict in verdicts)]


def test_the_reference_page_is_what_make_docs_writes(verdicts: tuple[Verdicts, Verdicts]) -> None:
    assert PAGE.read_text() == page(*verdicts), "docs/reference/compose-lint.md is stale: run `make docs` and commit it"


def test_the_list_of_controls_is_compose_lints_own(tmp_path: Path) -> None:
    file = tmp_path / "compose.yml"
    file.write_text("services:\n  one:\n    image: redis\n")
    command = [sys.executable, "-m", "compose_lint", "check", "--format", "sarif", "--no-env", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    rules = json.loads(done.stdout)["runs"][0]["tool"]["driver"]["rules"]
    assert {rule["id"] for rule in rules} == set(COMPOSE_LINT.controls)
