"""The workflows: judged by actionlint and zizmor, every step a target of the Makefile, no more rights than they use."""

import re
from pathlib import Path

import pytest

from tests.fleets import PROJECT
from tests.workflows import DIRECTORY, judged, read, steps

ALL = sorted(DIRECTORY.glob("*.yml"))
READ = {"contents": "read"}
RIGHTS = {path.stem: READ for path in ALL} | {"images": {**READ, "packages": "write"}}
"""What each workflow may: ours alone to extend."""
MORE = {
    ("preview", "comment"): {**READ, "pull-requests": "write"},
    ("deploy-prod", "plan"): {"contents": "write"},
    ("deploy-prod", "apply"): {"contents": "write"},
}
"""What a job may besides: only one that runs nothing of a pull request's."""

_BAD = """
name: bad
on: pull_request_target
jobs:
  bad:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - run: echo ${{ github.event.pull_request.title }}
      - run: echo ${{ no.such.context }}
"""


def test_actionlint_and_zizmor_find_nothing() -> None:
    assert judged(DIRECTORY) == ""


def test_both_refuse_a_bad_workflow(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text(_BAD)
    told = judged(tmp_path)
    assert "undefined variable" in told, "actionlint"
    assert "dangerous-triggers" in told, "zizmor"
    assert "unpinned-uses" in told, "zizmor"


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_what_a_workflow_makes_is_a_target(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    called = {name for step in steps(read(path)) for name in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))}
    assert called <= targets
    assert called or path.stem == "images"


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_workflow_has_no_more_rights_than_it_uses(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == RIGHTS[path.stem]
    for name, job in workflow["jobs"].items():
        assert job.get("permissions") == MORE.get((path.stem, name))
    assert "concurrency" in workflow
    assert "pull_request_target" not in path.read_text()
    assert not [step["uses"] for step in steps(workflow) if "uses" in step], "no SHA of an action can be looked up here"


def test_what_a_pull_request_runs_knows_no_secret_and_comments_nothing() -> None:
    workflow = read(DIRECTORY / "preview.yml")
    assert "secrets." not in (DIRECTORY / "preview.yml").read_text()
    preview, comment = workflow["jobs"]["preview"], workflow["jobs"]["comment"]
    assert [step["name"] for step in preview["steps"] if "TOKEN" in str(step.get("env"))] == ["check out"]
    assert "github.event.pull_request.base.sha" in comment["steps"][0]["env"]["BASE"]
    assert "head.repo.full_name == github.repository" in comment["if"], "a fork's token may not"


@pytest.mark.parametrize("name", ["deploy-prod", "drift"])
def test_one_thing_at_a_time_touches_production(name: str) -> None:
    assert read(DIRECTORY / f"{name}.yml")["concurrency"] == "stack-prod"


def test_production_gets_the_plan_that_was_shown_and_approved() -> None:
    jobs = read(DIRECTORY / "deploy-prod.yml")["jobs"]
    planned, applied = (
        re.findall(r"make ([a-z-]+)", str([step.get("run") for step in jobs[name]["steps"]])) for name in ("plan", "apply")
    )
    assert planned == ["runner", "plan", "publish-plan"]
    assert applied == ["runner", "take-plan", "apply-plan", "smoke", "notify", "snapshot", "publish-snapshot"]
    assert jobs["apply"]["environment"] == "prod"
    assert "vars.APPROVAL == 'reviewers'" in jobs["apply"]["if"], "an environment without reviewers lets everything through"
