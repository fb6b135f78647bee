"""The workflows: judged by actionlint and zizmor, every step a target of the Makefile, no more rights than they use."""

import re
from pathlib import Path

import pytest

from tests.fleets import PROJECT
from tests.workflows import DIRECTORY, judged, read, steps

ALL = sorted(DIRECTORY.glob("*.yml"))
RIGHTS = {"ci": {"contents": "read"}, "images": {"contents": "read", "packages": "write"}, "reap": {"contents": "read"}}
"""What each workflow may: ours alone to extend."""

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
    assert not any("permissions" in job for job in workflow["jobs"].values()), "one place for them"
    assert "concurrency" in workflow
    assert "pull_request_target" not in path.read_text()
    assert not [step["uses"] for step in steps(workflow) if "uses" in step], "no SHA of an action can be looked up here"
