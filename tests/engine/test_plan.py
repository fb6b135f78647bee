"""`make plan` and `make apply-plan` with the real engine: the summary for all of production, and the guards' refusals."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from operations.deploy.preview_text import MARK
from tests.engine.project import Project
from tests.support.copies import copy
from tests.support.fleets import DUMMY_SECRETS, OPERATOR_CONFIG, PROJECT, host_paths


@pytest.fixture
def project(tmp_path: Path, toolchain: Path) -> Project:
    project = Project(tmp_path, toolchain, "prod")
    for name in ("operations", "docs"):
        copy(PROJECT / name, project.directory / name)
    hosts = host_paths("prod")
    project.configure({**OPERATOR_CONFIG, **hosts}, DUMMY_SECRETS)
    (project.directory / ".gitignore").write_text(".vpai\n__pycache__\n")
    git(project, "init", "-q")
    commit(project)
    return project


def git(project: Project, *words: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
    return subprocess.run(command, cwd=project.directory, capture_output=True, text=True, check=True).stdout


def commit(project: Project) -> None:
    git(project, "add", "-A")
    git(project, "commit", "-qm", "all")


def operations(project: Project, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "operations", *arguments, "--stack", project.stack]
    return subprocess.run(
        command, cwd=project.directory, env=project.environment, stdin=stdin, capture_output=True, text=True, timeout=300
    )


def test_a_plan_is_shown_and_applied_only_from_a_pushed_and_clean_tree(project: Project) -> None:
    none = operations(project, "apply-plan")
    assert none.returncode == 1
    assert "there is no plan for prod" in none.stderr

    domain = project.pulumi("config", "get", "vpai:domain").stdout.strip()
    project.configure({"domain": "no dots"}, {})
    refused = operations(project, "plan")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("1 problem; nothing has been touched.\n\n1. vpai:domain = 'no dots'")
    assert refused.stderr.count("\n") < 10
    project.configure({"domain": domain}, {})

    planned = operations(project, "plan")
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.startswith(f"{MARK}\n### prod: ")
    assert "- create Container `sese-n8n`" in planned.stdout
    assert "**Policy**: passes" in planned.stdout
    kept = "".join(path.read_text() for path in (project.directory / ".vpai/plan/prod").iterdir())
    for name, value in DUMMY_SECRETS.items():
        assert value not in planned.stdout + kept, f"{name} is readable"

    (project.directory / "__main__.py").open("a").write("# changed\n")
    refused = operations(project, "apply-plan")
    assert refused.returncode == 1
    assert "not committed: __main__.py" in refused.stderr
    assert "is on no remote branch" in refused.stderr
    assert '"docker:' not in project.pulumi("stack", "export").stdout


def test_what_only_the_engine_or_a_former_program_refuses_is_one_clear_message_too(project: Project) -> None:
    (project.directory / "__main__.py").write_text("import pulumi\nraise pulumi.RunError('first line\\nsecond line')\n")
    refused = operations(project, "plan")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "pulumi preview failed:\n\nfirst line\nsecond line\n"


def test_a_rollback_is_shown_and_guarded_as_an_up_is_with_the_configuration_of_now(project: Project) -> None:
    (project.directory / "__main__.py").write_text("raise SystemExit('the code of now')\n")
    project.configure({"timezone": "Europe/Lisbon"}, {})
    commit(project)
    ours, theirs = pty.openpty()
    reported = operations(project, "rollback", "HEAD~1", stdin=theirs)
    for end in (ours, theirs):
        os.close(end)
    assert reported.returncode == 1
    assert f"{MARK}\n### prod: " in reported.stdout, reported.stderr
    assert "- create Container `sese-n8n`" in reported.stdout
    former = git(project, "rev-parse", "HEAD~1").strip()
    for refused in (git(project, "rev-parse", "HEAD").strip(), former):
        assert f"the commit {refused[:12]} is on no remote branch" in reported.stderr
    assert f"{former[:12]}: the ssh-ed25519 host key of sese is not pinned" in reported.stderr, "said before the question"
    planned = project.directory / ".vpai/plan/prod"
    assert "Europe/Lisbon" in (planned / "plan.json").read_text()
    assert json.loads((planned / "about.json").read_text())["commit"] == former
    assert '"docker:' not in project.pulumi("stack", "export").stdout
