"""The workflows: judged by actionlint and zizmor, every step a target of the Makefile, no more rights than they use."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.fleets import PROJECT
from tests.support.workflows import DIRECTORY, judged, read, steps

ALL = sorted(DIRECTORY.glob("*.yml"))
READ = {"contents": "read"}
RIGHTS = {path.stem: READ for path in ALL} | {"images": {**READ, "packages": "write"}}
"""What each workflow may: ours alone to extend."""
MORE = {
    ("preview", "comment"): {**READ, "pull-requests": "write"},
    ("deploy-prod", "plan"): {"contents": "write"},
    ("deploy-prod", "apply"): {"contents": "write"},
    ("prove", "propose"): {"contents": "write", "pull-requests": "write"},
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
    reported = judged(tmp_path)
    assert "undefined variable" in reported, "actionlint"
    assert "dangerous-triggers" in reported, "zizmor"
    assert "unpinned-uses" in reported, "zizmor"


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_what_a_workflow_makes_is_a_target(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    called = {name for step in steps(read(path)) for name in re.findall(r"\bmake (?:--silent )?([a-z-]+)", step.get("run", ""))}
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


ACTIONS = sorted((PROJECT / ".github/actions").glob("*/action.yml"))
OF_GITHUB = r"[a-z-]+(/[a-z]+)?@[0-9a-f]{40} # v\d+\.\d+\.\d+"


@pytest.mark.parametrize("path", [*ALL, *ACTIONS], ids=lambda path: path.parent.name + "/" + path.stem)
def test_an_action_is_ours_or_githubs_own_at_a_commit(path: Path) -> None:
    used = re.findall(r"\buses: (.+)", path.read_text())
    allowed = rf"\./\.github/actions/toolchain|actions/{OF_GITHUB}"
    assert [action for action in used if not re.fullmatch(allowed, action)] == []


MAKES_AN_ENGINE = ("preview-pull-request", "runner", "plan", "reap", "test", "prove")


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_job_that_needs_the_toolchain_has_it_out_of_the_cache_first(path: Path) -> None:
    late = []
    for name, job in read(path)["jobs"].items():
        commands = [step.get("run", step.get("uses", "")) for step in job["steps"]]
        needs = [i for i, step in enumerate(commands) if re.match(rf"make ({'|'.join(MAKES_AN_ENGINE)})\b(?!-)", step)]
        # restic is in what the lab runs besides.
        whole = any(re.search(r"\bmake (test|prove|prune|drill)\b(?!-)", command) for command in commands)
        before = job["steps"][: needs[0]] if needs else []
        parts = [step.get("with", {}).get("part") for step in before if step.get("uses") == "./.github/actions/toolchain"]
        if needs and parts != ["all" if whole else None]:
            late.append(name)
    assert late == []


def test_both_bundles_are_cached_under_their_own_keys() -> None:
    kept = {
        step["id"]: step["with"]
        for step in yaml.safe_load(ACTIONS[0].read_text())["runs"]["steps"]
        if "with" in step and "id" in step
    }
    saved = [
        step["with"] for step in yaml.safe_load(ACTIONS[0].read_text())["runs"]["steps"] if "cache/save" in step.get("uses", "")
    ]
    assert [kept["deploy"], kept["lab"]] == saved
    for bundle in ("deploy", "lab"):
        assert kept[bundle]["key"] == f"toolchain-${{{{ steps.key.outputs.{bundle} }}}}"
        assert kept[bundle]["path"].rstrip("*") == f"~/.cache/vpai/toolchain/${{{{ steps.key.outputs.{bundle} }}}}"


def test_proofs_are_proposed_once_and_only_when_more_than_the_day_changed(tmp_path: Path) -> None:
    checkout, remote, log = tmp_path / "checkout", tmp_path / "remote", tmp_path / "log"
    page = checkout / "docs/proofs/door.md"
    for directory in (page.parent, checkout / "tests/prove"):
        directory.mkdir(parents=True)
    shutil.copy(PROJECT / "tests/prove/propose.sh", checkout / "tests/prove")
    page.write_text("# Door\n\n2026-01-01, 2 cores; `make prove`.\n\nshut 3 s\n")
    (tmp_path / "gh").write_text('#!/bin/sh\necho "$*" >>"$LOG"\n[ "$2" != list ] || grep -c create "$LOG" || true\n')
    (tmp_path / "gh").chmod(0o755)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(checkout)]
    subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True)
    for words in (["init", "--quiet", "--initial-branch=main"], ["add", "."], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *words], check=True)

    def propose(text: str) -> str:
        page.write_text(text)
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log)}
        words = ["bash", "tests/prove/propose.sh", str(remote)]
        return subprocess.run(words, cwd=checkout, env=environment, check=True, capture_output=True, text=True).stdout

    assert "nothing is proposed" in propose("# Door\n\n2026-02-02, 2 cores; `make prove`.\n\nshut 3 s\n")
    assert not log.exists()
    propose("# Door\n\n2026-02-02, 2 cores; `make prove`.\n\nshut 4 s\n")
    shown = subprocess.run(
        ["git", "-C", str(remote), "show", "proofs:docs/proofs/door.md"], capture_output=True, text=True, check=True
    )
    assert "shut 4 s" in shown.stdout
    propose("# Door\n\n2026-03-03, 2 cores; `make prove`.\n\nshut 5 s\n")
    assert [line.split()[1] for line in log.read_text().splitlines()] == ["list", "create", "list"]


def test_what_a_pull_request_runs_knows_no_secret_and_comments_nothing() -> None:
    workflow = read(DIRECTORY / "preview.yml")
    assert "secrets." not in (DIRECTORY / "preview.yml").read_text()
    preview, comment = workflow["jobs"]["preview"], workflow["jobs"]["comment"]
    assert [step["name"] for step in preview["steps"] if "TOKEN" in str(step.get("env"))] == ["check out"]
    assert "github.event.pull_request.base.sha" in comment["steps"][0]["env"]["BASE"]
    assert "head.repo.full_name == github.repository" in comment["if"], "a fork's token may not"


def test_one_thing_at_a_time_touches_a_stack_and_nothing_else_waits_in_its_queue() -> None:
    """Of those that wait in a group only the newest is kept: a daily look would take an approved deployment's place."""
    groups = {path.stem: str(read(path)["concurrency"]) for path in ALL}
    assert (groups["deploy-prod"], groups["deploy-preprod"]) == ("stack-prod", "stack-preprod")
    assert len(set(groups.values())) == len(groups)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_what_has_an_environment_or_may_write_runs_on_main_alone(path: Path) -> None:
    workflow = read(path)
    mighty = [
        (path.stem, name)
        for name, job in workflow["jobs"].items()
        if "environment" in job or "write" in {**workflow["permissions"], **job.get("permissions", {})}.values()
        if "github.ref == 'refs/heads/main'" not in job.get("if", "")
    ]
    assert mighty in ([], [("preview", "comment")])


def test_each_environment_is_restricted_by_the_runbook() -> None:
    """An environment is GitHub's own setting: a branch's workflow may name any that does not refuse it."""
    used = {job["environment"] for path in ALL for job in read(path)["jobs"].values() if "environment" in job}
    runbook = (PROJECT / "docs/runbooks/workflows.md").read_text()
    [restricted] = re.findall(r"^for environment in (.*); do$", runbook, re.MULTILINE)
    assert set(restricted.split()) == used == {"preprod", "prod-plan", "prod", "drill"}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_no_value_is_expanded_into_a_script(path: Path) -> None:
    for step in steps(read(path)):
        assert "${{" not in step.get("run", ""), f'{path.stem}: hand it over by `env`, and write "$NAME"'


@pytest.mark.parametrize(
    ("commit", "digest", "taken"),
    [
        ("a" * 40, "0" * 64, True),
        ("origin/main^{/.|$(shell touch run)}", "0" * 64, False),
        ("a" * 40, "", False),
        ("a" * 39 + "\n" + "a", "0" * 64, False),
        ("--upload-pack=touch run", "0" * 64, False),
        ("A" * 40, "0" * 64, False),
    ],
)
def test_what_a_dispatcher_types_is_checked_before_anything_reads_it(
    tmp_path: Path, commit: str, digest: str, taken: bool
) -> None:
    job = read(DIRECTORY / "deploy-prod.yml")["jobs"]["apply"]
    first = job["steps"][0]
    assert "inputs." not in str(job["steps"]), "only by the job's environment"
    done = subprocess.run(
        ["bash", "-e", "-c", first["run"]], cwd=tmp_path, env={"COMMIT": commit, "DIGEST": digest}, capture_output=True, text=True
    )
    assert (done.returncode == 0) == taken
    assert taken or "copy both from there" in done.stderr
    assert not (tmp_path / "run").exists()


def test_production_gets_the_plan_that_was_shown_and_approved() -> None:
    jobs = read(DIRECTORY / "deploy-prod.yml")["jobs"]
    planned, applied = (
        re.findall(r"make (?:--silent )?([a-z-]+)", str([step.get("run") for step in jobs[name]["steps"]]))
        for name in ("plan", "apply")
    )
    assert planned == ["runner", "plan", "plan-digest", "publish-plan"]
    assert applied == ["runner", "take-plan", "apply-plan", "smoke", "notify", "snapshot", "publish-snapshot"]
    assert jobs["apply"]["environment"] == "prod"
    assert jobs["apply"]["env"]["DIGEST"] == "${{ inputs.commit && inputs.digest || needs.plan.outputs.digest }}"
    assert jobs["plan"]["outputs"] == {"digest": "${{ steps.digest.outputs.digest }}"}, "GitHub's own, which no push changes"
    assert "vars.APPROVAL == 'reviewers'" in jobs["apply"]["if"], "an environment without reviewers lets everything through"
