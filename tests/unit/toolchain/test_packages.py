"""Packages have one list, pyproject.toml: the lock and requirements.txt are written from it, and neither is changed alone."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.fleets import PROJECT

DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text())
GROUPS = DECLARED["dependency-groups"]
LIST = "requirements.txt"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "toolchain").mkdir()
    for name in ("pyproject.toml", "uv.lock", LIST, "README.md", "LICENSE", "toolchain/requirements.sh"):
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def _check(checkout: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{PROJECT / '.venv/bin'}:{os.environ['PATH']}"}
    command = ["bash", str(checkout / "toolchain/requirements.sh"), "--check"]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_the_lock_and_requirements_are_what_pyproject_says() -> None:
    done = _check(PROJECT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("pyproject.toml", "hcloud==2.27.0", "hcloud==2.26.0"),
        ("pyproject.toml", '"pytest-xdist"', '"pytest-xdist", "black"'),
        ("uv.lock", "pulumi-docker", "pulumi-dokcer"),
        (LIST, "hcloud==2.27.0", "hcloud==2.26.0"),
        (LIST, "sha256:", "sha256:0"),
    ],
)
def test_a_change_of_one_of_the_three_alone_is_refused(copy: Path, name: str, before: str, after: str) -> None:
    assert _check(copy).returncode == 0
    text = (copy / name).read_text()
    assert before in text
    (copy / name).write_text(text.replace(before, after))
    done = _check(copy)
    assert done.returncode == 1
    assert "make requirements" in done.stderr


def test_requirements_are_pinned_with_hashes() -> None:
    lines = re.sub(r" \\\n\s+", " ", (PROJECT / LIST).read_text()).splitlines()
    assert len(lines) > 80
    assert [line for line in lines if not re.match(r"[a-z0-9.-]+(\[\w+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


def test_requirements_are_what_runs_and_checks_and_not_the_documentation_site() -> None:
    assert DECLARED["tool"]["uv"]["default-groups"] == ["run", "dev", "lab"]
    named = {re.split(r"[\[=]", line)[0].lower() for line in (PROJECT / LIST).read_text().splitlines() if line[:1].isalnum()}
    wanted = {re.split(r"[\[=]", requirement)[0].lower() for group in ("run", "dev", "lab") for requirement in GROUPS[group]}
    assert wanted <= named
    assert not named & set(GROUPS["docs"])


def test_the_lock_names_pypi_and_no_mirror() -> None:
    lock = (PROJECT / "uv.lock").read_text()
    assert set(re.findall(r'registry = "([^"]+)"', lock)) == {"https://pypi.org/simple"}
    assert set(re.findall(r'url = "https://([^/"]+)', lock)) == {"files.pythonhosted.org"}


def test_make_requirements_writes_both() -> None:
    shown = subprocess.run(
        ["make", "-n", "-o", ".venv/ready", "requirements"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines() == ["bash toolchain/requirements.sh"]


OF = {
    "yaml": "pyyaml",
    "dns": "dnspython",
    "google": "pulumi",
    "grpc": "pulumi",
    "botocore": "boto3",
    "pydantic_core": "pydantic",
    "requests": "hcloud",
}
"""The package by which a module of another name comes."""
IN_THEIR_CONTAINERS = {"litellm", "redis", "fastapi", "starlette", "qdrant_client"}
"""What LiteLLM's own image has, where our hook runs."""


def test_what_the_program_imports_is_declared_for_it() -> None:
    """Not by luck: a package that only a test's package brings would be gone with it."""
    run = {re.split(r"[=\[]", package)[0].replace("-", "_") for package in GROUPS["run"]}
    rooms = ("model", "services", "components", "policy", "stacks", "operations")
    imported = set()
    for file in (PROJECT / "__main__.py", *(file for room in rooms for file in (PROJECT / room).rglob("*.py"))):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).partition(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {*rooms, "lab"} - IN_THEIR_CONTAINERS
    assert len(foreign) > 10
    assert {module for module in foreign if OF.get(module, module) not in run} == set()
