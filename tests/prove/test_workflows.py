"""Every workflow, run by nektos/act as GitHub's runner would, on the lab's stack. Writes docs/proofs/workflows.md.

Real are the workflows but for the stack's name: their shell, expressions, outputs and order; git against a bare repository; the
targets of make on the lab. tests/prove/github/ holds what takes GitHub's place: actions for caches and artifacts, `gh`, what
pushes images, and the targets that would run this rehearsal again. act knows no environments: who may approve is not shown.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cloud import TOKEN
from tests.lab.deployment import Deployment
from tests.lab.test_monitoring import TELEGRAM, curl
from tests.prove import proof
from tests.support.copies import tracked
from tests.support.fleets import PROJECT
from tests.support.workflows import read, steps

_GITHUB = PROJECT / "tests/prove/github"
_REPOSITORY, _TOKEN = "vpai/platform", "token-of-the-rehearsal"
_URL = f"https://x-access-token:{_TOKEN}@github.com/{_REPOSITORY}"
_STACK = {
    "STACK=preprod": "STACK=lab",
    "STACK=prod": "STACK=lab",
    "run: make reap\n": "run: make reap STACK=lab\n",
    ".vpai/plan/prod/": ".vpai/plan/lab/",
    "refs/snapshots/prod": "refs/snapshots/lab",
}
"""The lab's stack takes the place of the workflows' own."""
_UNTRIED = {
    ("backups", "make copy-attachments STACK=lab"): "vpai:attachmentsCopy is off in the lab's stack",
    ("backups", 'make notify STACK=lab MESSAGE="backups of prod'): "told of a failure, as by drift",
}
"""How steps begin that no run below reaches, with the reason."""


@dataclass(frozen=True)
class Step:
    """What became of one; `said` is what it printed."""

    job: str
    name: str
    result: str
    seconds: float
    said: str


@dataclass(frozen=True)
class Run:
    """What came of a run of a workflow: the results of its jobs, its steps, and the outputs of steps."""

    jobs: Mapping[str, str]
    steps: Sequence[Step]
    outputs: Mapping[str, str]
    log: str

    def said(self, step: str) -> str:
        return next(each.said for each in self.steps if each.name == step)


@dataclass
class Runner:
    """A machine like GitHub's: an empty workspace for each job, and the repository at the address that workflows ask."""

    stack: Deployment
    directory: Path
    runs: list[tuple[str, Run]] = field(default_factory=list)

    def __post_init__(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        for name in ("source", "template/hooks", "artifacts", "gh"):
            (self.directory / name).mkdir(parents=True)
        # The lab's files, in the workspace of a job that has checked out.
        hook = self.directory / "template/hooks/post-checkout"
        hook.write_text(f"#!/bin/sh\nln -sfn {self.stack.lab.layout.directory} .lab\n")
        hook.chmod(0o755)
        (self.directory / "gitconfig").write_text(
            "[user]\n\tname = rehearsal\n\temail = rehearsal@vpai.test\n[init]\n\tdefaultBranch = main\n"
            f'[url "{self.remote}"]\n\tinsteadOf = {_URL}\n'
        )
        tracked(self.source)
        for file in (self.source / ".github/workflows").glob("*.yml"):
            text = file.read_text()
            for production, lab in _STACK.items():
                text = text.replace(production, lab)
            file.write_text(text)
        self.git("init", "--quiet", "--bare", str(self.remote))
        # As GitHub does.
        self.git("-C", str(self.remote), "config", "uploadpack.allowAnySHA1InWant", "true")
        self.git("init", "--quiet", "--template=")
        self.git("remote", "add", "origin", f"https://github.com/{_REPOSITORY}")
        self.commit("main")

    @property
    def source(self) -> Path:
        """Where act finds the workflows and the commit."""
        return self.directory / "source"

    @property
    def remote(self) -> Path:
        return self.directory / "remote.git"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "GIT_CONFIG_GLOBAL": str(self.directory / "gitconfig")}

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.source, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, branch: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", f"rehearsal on {branch}")
        self.git("push", "--quiet", str(self.remote), f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def run(
        self, workflow: str, event: str, *, inputs: Mapping[str, str] | None = None, payload: Mapping[str, Any] | None = None
    ) -> Run:
        """A run of `workflow` at what `source` has checked out."""
        lab = self.stack.lab
        secrets = {
            "GITHUB_TOKEN": _TOKEN,
            "PULUMI_BACKEND_URL": f"file://{lab.layout.directory / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "lab",
            "HCLOUD_TOKEN": TOKEN,
            "DEPLOY_KEY": "of the rehearsal",
            "MESH_KEY": "of the rehearsal",
            "RECOVERY_KIT": "a2l0",
            "RECOVERY_KEY": "of the rehearsal",
        }
        (self.directory / "secrets").write_text("".join(f"{name}={value}\n" for name, value in secrets.items()))
        (self.directory / "event.json").write_text(json.dumps({"inputs": dict(inputs or {}), **(payload or {})}))
        used = {word for text in self._texts() for word in re.findall(r"uses: (actions/[a-z-]+)[^@\s]*(@\S+)", text)}
        programs = [_GITHUB / "programs", *([_GITHUB / "registry"] if workflow == "images" else [])]
        words = [
            *(str(PROJECT / ".venv/bin/act"), event, "--json", "--no-cache-server", "--platform", "ubuntu-24.04=-self-hosted"),
            *("--workflows", f".github/workflows/{workflow}.yml", "--eventpath", str(self.directory / "event.json")),
            *("--secret-file", str(self.directory / "secrets"), "--action-cache-path", str(self.directory / "runner")),
            *(part for name, at in sorted(used) for part in ("--local-repository", f"{name}{at}={_GITHUB / name}")),
        ]
        environment = {
            **self.environment,
            "PATH": ":".join([*map(str, programs), os.environ["PATH"]]),
            "VPAI_LAB_ID": lab.layout.id,
            "GIT_TEMPLATE_DIR": str(self.directory / "template"),
            "ARTIFACTS": str(self.directory / "artifacts"),
            "GH_KEPT": str(self.directory / "gh"),
        }
        done = subprocess.run(words, cwd=self.source, env=environment, capture_output=True, text=True, timeout=1500)
        run = _read(done.stdout, done.stderr)
        self.runs.append((workflow, run))
        print(workflow, event, dict(run.jobs), flush=True)
        return run

    def _texts(self) -> Iterator[str]:
        for file in self.source.glob(".github/*/**/*.yml"):
            yield file.read_text()


def _read(stdout: str, stderr: str) -> Run:
    jobs: dict[str, str] = {}
    steps: list[Step] = []
    outputs: dict[str, str] = {}
    said: dict[tuple[str, str], list[str]] = {}
    for line in stdout.splitlines():
        reported = json.loads(line)
        job, name = reported.get("jobID", ""), reported.get("step", "").strip()
        if reported.get("raw_output"):
            said.setdefault((job, name), []).append(reported["msg"])
        if reported.get("command") == "set-output" and len(reported["stepID"]) == 1:
            outputs[reported["name"]] = reported["arg"]
        if result := reported.get("jobResult"):
            jobs[job] = result
        # Steps of an action of ours have two ids.
        if (result := reported.get("stepResult")) and reported.get("stage") == "Main" and len(reported["stepID"]) == 1:
            steps.append(Step(job, name, result, reported.get("executionTime", 0) / 1e9, "".join(said.get((job, name), ()))))
    log = "\n".join(f"[{step.job}] {step.name}: {step.result}\n{step.said[-3000:]}" for step in steps if step.result != "success")
    return Run(jobs, steps, outputs, log + stderr[-2000:])


@pytest.fixture
def runner(deployed: Deployment) -> Iterator[Runner]:
    operator = deployed.lab.operator
    made = Runner(deployed, deployed.lab.layout.directory / "workflows")
    # What is pushed and fetched by the operator goes to the same place.
    operator.run(["git", "config", "--global", f"url.{made.remote}.insteadOf", _URL])
    yield made
    operator.run(["git", "config", "--global", "--remove-section", f"url.{made.remote}"])
    shutil.rmtree(made.directory)


def test_every_workflow_runs_on_the_lab_step_by_step(runner: Runner) -> None:
    lab = runner.stack.lab
    main = runner.git("rev-parse", "HEAD")

    planned = runner.run("deploy-prod", "workflow_dispatch")
    assert planned.jobs == {"plan": "success"}, planned.log
    assert ": no changes" in (said := planned.said("make plan STACK=lab")), said  # The passphrase, lab, is masked.
    digest = planned.outputs["digest"]
    # Without reviewers the approval is a second run that is given what was shown.
    typed = {"check what was typed": {"commit": "main", "digest": digest}, "take-plan": {"commit": main, "digest": "0" * 64}}
    for refused, inputs in typed.items():
        run = runner.run("deploy-prod", "workflow_dispatch", inputs=inputs)
        assert run.jobs == {"apply": "failure"}, run.log
        assert refused in next(step.name for step in run.steps if step.result == "failure")
    planned = runner.run("deploy-prod", "workflow_dispatch")
    applied = runner.run("deploy-prod", "workflow_dispatch", inputs={"commit": main, "digest": planned.outputs["digest"]})
    assert applied.jobs == {"apply": "success"}, applied.log
    assert "checks passed" in applied.said("make smoke STACK=lab JUNIT=smoke.xml")
    messages = [message["text"] for message in json.loads(curl(lab, TELEGRAM))]
    assert any(text.startswith(f"prod {main} - success - https://github.com/{_REPOSITORY}/actions/runs/") for text in messages)

    others = {
        "deploy-preprod": "push",
        "drift": "schedule",
        "backups": "workflow_dispatch",
        "reap": "schedule",
        "drill": "schedule",
        "ci": "push",
        "images": "push",
        "prove": "schedule",
    }
    for workflow, event in others.items():
        run = runner.run(workflow, event)
        assert set(run.jobs.values()) == {"success"}, f"{workflow}: {run.log}"
    assert runner.git("ls-remote", str(runner.remote), "refs/heads/proofs")

    # A pull request, merged with main as GitHub does it.
    runner.git("switch", "--quiet", "--create", "change")
    (runner.source / "README.md").write_text("changed\n")
    runner.commit("change")
    runner.git("switch", "--quiet", "main")
    runner.git("merge", "--quiet", "--no-ff", "--message", "merge", "change")
    runner.git("push", "--quiet", str(runner.remote), "HEAD:refs/pull/7/merge")
    repository = {"full_name": _REPOSITORY}
    pull_request = {"number": 7, "base": {"sha": main, "ref": "main"}, "head": {"ref": "change", "repo": repository}}
    run = runner.run("preview", "pull_request", payload={"pull_request": pull_request, "repository": repository})
    assert run.jobs == {"preview": "success", "comment": "success"}, run.log
    [comment] = [text for path in (runner.directory / "gh").iterdir() if "issues/7/comments" in (text := path.read_text())]
    assert "### lab: no changes" in json.loads(comment.partition("\n")[2])["body"]

    _drift(runner)
    assert _unreached(runner) == set(), (
        "steps that no run reached; a workflow's new step needs a run here, or a reason in _UNTRIED"
    )
    proof.write(
        "workflows",
        "The workflows, run",
        "By nektos/act in host mode, on the lab's stack; tests/prove/test_workflows.py says what is real.",
        ("workflow", "job", "step", "result", "seconds"),
        [
            (workflow, step.job, step.name.splitlines()[0][:90], step.result, f"{step.seconds:.1f}")
            for workflow, run in runner.runs
            for step in run.steps
        ],
    )


def _drift(runner: Runner) -> None:
    """Something differs on a host: the run fails, and the chat is told."""
    sese = runner.stack.lab.sese
    sese.run(["sh", "-c", "echo 'PasswordAuthentication yes' >/etc/ssh/sshd_config.d/05-drift.conf"])
    try:
        run = runner.run("drift", "schedule")
    finally:
        sese.run(["rm", "/etc/ssh/sshd_config.d/05-drift.conf"])
    assert run.jobs == {"drift": "failure"}, run.log
    assert "05-drift.conf" in run.said("make drift STACK=lab")
    messages = [message["text"] for message in json.loads(curl(runner.stack.lab, TELEGRAM))]
    assert any(text.startswith("drift in prod - https://github.com/") for text in messages)


def _unreached(runner: Runner) -> set[tuple[str, str]]:
    reached = {(workflow, step.name) for workflow, run in runner.runs for step in run.steps if step.result != "skipped"}
    written = {
        (file.stem, str(step.get("name") or step.get("uses") or step["run"]).strip())
        for file in (runner.source / ".github/workflows").glob("*.yml")
        for step in steps(read(file))
    }
    untried = {
        step for step in written if any(step[0] == workflow and step[1].startswith(begins) for workflow, begins in _UNTRIED)
    }
    return written - untried - reached
