"""`make plan` and `make apply-plan` with the real engine: a summary of the whole of production, and the guards' refusals."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from operations.comment import MARK
from tests.copies import copy
from tests.engine.project import Project
from tests.fleets import DUMMY_SECRETS, OPERATOR_CONFIG, PROJECT, host_config


@pytest.fixture
def project(tmp_path: Path, toolchain: Path) -> Project:
    project = Project(tmp_path, toolchain, "prod")
    for name in ("operations", "docs"):
        copy(PROJECT / name, project.directory / name)
    hosts = {
        f"hosts.{name}.{key}": str(value) for name, host in json.loads(host_config("prod")).items() for key, value in host.items()
    }
    project.configure({**OPERATOR_CONFIG, **hosts}, DUMMY_SECRETS)
    (project.directory / ".gitignore").write_text(".vpai\n__pycache__\n")
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=project.directory, check=True)
    return project


def operations(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "operations", *arguments, "--stack", project.stack]
    return subprocess.run(command, cwd=project.directory, env=project.environment, capture_output=True, text=True, timeout=300)


def test_a_plan_is_shown_and_applied_only_from_a_pushed_and_clean_tree(project: Project) -> None:
    none = operations(project, "apply-plan")
    assert none.returncode == 1
    assert "there is no plan for prod" in none.stderr

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
