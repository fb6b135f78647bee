"""The hooks before a commit call what `make lint` calls, out of .venv: versions have one home."""

import re
import shlex
import subprocess

import yaml

from tests.support.fleets import PROJECT

REPOSITORIES = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"]
HOOKS = [hook for repository in REPOSITORIES for hook in repository["hooks"]]
LINT = re.search(r"^lint:.*\n((?:\t.*\n)+)", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def test_no_hook_brings_a_version_of_its_own() -> None:
    assert [repository["repo"] for repository in REPOSITORIES] == ["local"]
    for hook in HOOKS:
        assert hook["language"] == "system", hook["id"]
        assert not hook.get("additional_dependencies")


def test_the_hooks_are_the_commands_of_make_lint() -> None:
    assert LINT
    linted = LINT[1].replace("$(VENV)", ".venv/bin")
    commands = [part.strip().removeprefix("@").removesuffix(" .") for line in linted.splitlines() for part in line.split("&&")]
    called = [hook["entry"].removeprefix("env ") for hook in HOOKS if hook["id"] != "packages"]
    assert sorted(called) == sorted(commands)


def test_the_hook_of_packages_is_the_check_that_a_test_makes() -> None:
    entry = next(hook["entry"] for hook in HOOKS if hook["id"] == "packages")
    assert subprocess.run(shlex.split(entry), cwd=PROJECT, capture_output=True).returncode == 0


def test_make_hooks_installs_them() -> None:
    shown = subprocess.run(["make", "-n", "hooks"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert shown.rstrip().endswith(".venv/bin/pre-commit install")
