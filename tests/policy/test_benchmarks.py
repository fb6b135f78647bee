"""Every published control has an answer, and the page of answers is what the code says."""

import inspect

import pulumi_docker as docker
import pytest

from operations.reference.catalogue import example_fleet
from operations.reference.policy import PAGE, page
from policy.benchmarks import (
    BENCHMARKS,
    CIS_CONTAINERS,
    CIS_DAEMON,
    COMPOSE_LINT,
    KICS,
    WITHOUT_RULE,
    Benchmark,
    Waived,
    deciding,
)
from policy.rules import RULES
from tests.policy.planted import TODAY


@pytest.mark.parametrize(
    ("benchmark", "controls", "answered"),
    [(CIS_CONTAINERS, 32, 32), (CIS_DAEMON, 18, 17), (KICS, 27, 27), (COMPOSE_LINT, 27, 27)],
)
def test_a_published_list_is_answered(benchmark: Benchmark, controls: int, answered: int) -> None:
    assert len(benchmark.controls) == controls
    assert sum(bool(deciding(control) or control in WITHOUT_RULE) for control in benchmark.controls) == answered


def test_rules_decide_known_controls_and_each_has_one_answer() -> None:
    known = {control for benchmark in BENCHMARKS for control in benchmark.controls}
    assert {control for rule in RULES for control in rule.decides} | set(WITHOUT_RULE) <= known
    assert not [control for control in WITHOUT_RULE if deciding(control)]
    open_ = {control for control in known if not deciding(control) and control not in WITHOUT_RULE}
    assert open_ == {"CIS-2.1"}


def test_what_no_rule_decides_is_softened_by_one_and_looked_at_again() -> None:
    for answer in WITHOUT_RULE.values():
        if isinstance(answer, Waived):
            assert answer.instead in {rule.name for rule in RULES}
            assert answer.until >= TODAY


def test_the_provider_offers_no_way_into_the_hosts_uts_namespace_and_no_limit_of_processes() -> None:
    offered = inspect.signature(docker.Container._internal_init).parameters
    assert "privileged" in offered
    assert not {"uts", "uts_mode", "pids_limit"} & set(offered)


def test_the_reference_page_is_what_make_docs_writes() -> None:
    assert PAGE.read_text() == page(example_fleet()), "docs/reference/policy.md is stale: run `make docs` and commit it"
