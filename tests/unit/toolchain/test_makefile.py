"""The real make: what a person or a workflow fills in is text, whatever stands in it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.fleets import PROJECT

MAKEFILE = (PROJECT / "Makefile").read_text()
RECIPES = {
    target: "\n".join(lines.splitlines())
    for target, lines in re.findall(r"^([a-z][a-z-]*):[^\n]*\n((?:\t[^\n]*\n?)+)", MAKEFILE, re.MULTILINE)
}
OURS = {"RUN", "PYTHON", "CHAT", "VENV", "SUDO", "FIND_GO", "CURDIR", "MAKEFILE_LIST"}
"""What make may expand in a recipe: the Makefile itself says what they are, whatever the environment has."""
FILLED = {target: set(re.findall(r"\$\$\{?([A-Z][A-Z_]+)", recipe)) for target, recipe in RECIPES.items()}
HOSTILE = "origin/main^{/.|$(shell touch MARK)} `touch MARK` $$(touch MARK) ; touch MARK # \"a  b\" 'c' $HOME \\ ☃"
"""A revision in git's eyes, a call in make's and in sh's."""


def test_a_recipe_expands_nothing_that_a_person_fills() -> None:
    for target, recipe in RECIPES.items():
        expanded = set(re.findall(r"(?<!\$)\$[({]([A-Za-z_]+)", recipe)) | set(re.findall(r"(?<!\$)\$([A-Za-z])", recipe))
        assert expanded <= OURS, f'{target} lets make expand {expanded - OURS}: write "$$NAME"'
    for name in OURS - {"CURDIR", "MAKEFILE_LIST"}:
        assert re.search(rf"^{name} :?= ", MAKEFILE, re.MULTILINE), f"{name} would be taken from the environment"


def test_a_recipe_quotes_what_a_person_fills() -> None:
    for target, recipe in RECIPES.items():
        bare = re.sub(r"\$\$\{[A-Z_]+:\+--[a-z-]+\}", "", recipe)
        for name in FILLED[target]:
            unquoted = re.sub(r'"[^"]*"', "", bare)
            assert f"$${name}" not in unquoted and f"$${{{name}" not in unquoted, f"{target}: {name} without quotation marks"


def test_what_the_help_asks_for_is_read() -> None:
    environment = {"ONLY", "HCLOUD_TOKEN", "DEPLOY_KEY", "MESH_KEY"}  # by the program itself
    for target, text in re.findall(r"^([a-z][a-z-]*):[^#\n]*#+ (.*)$", MAKEFILE, re.MULTILINE):
        assert set(re.findall(r"\b([A-Z][A-Z_]+)=", text)) - environment <= FILLED[target], target


@pytest.mark.parametrize("given", ["on the command line", "in the environment"])
def test_make_hands_on_what_it_was_given_and_runs_none_of_it(tmp_path: Path, given: str) -> None:
    mark = tmp_path / "mark"
    hostile = HOSTILE.replace("MARK", str(mark))
    targets = [target for target, names in FILLED.items() if names]
    assert len(targets) > 20
    handed = _arguments(tmp_path, targets, dict.fromkeys(set().union(*FILLED.values()), hostile), given)
    assert not mark.exists(), "it was run"
    named = [name for target in targets for name in re.findall(r'"\$\$([A-Z_]+)"', RECIPES[target])]
    assert sum(word.removeprefix("--shell=") == hostile for word in handed) == len(named), "some of it is not what was given"


def test_what_the_program_reads_from_its_environment_is_not_expanded_on_its_way(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    _arguments(tmp_path, ["runner"], {"DEPLOY_KEY": f"$(shell touch {mark})"}, "on the command line")
    assert not mark.exists()


def _arguments(directory: Path, targets: list[str], filled: dict[str, str], given: str) -> list[str]:
    """Every word that a program of the recipes got."""
    program = directory / "bin" / "python"
    program.parent.mkdir()
    log = directory / "log"
    program.write_text(f'#!/bin/bash\nprintf "%s\\0" "$@" >>{log}\n')
    program.chmod(0o755)
    for name in ("bin/pulumi", "bin/python3", "tests/prove/propose.sh"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).symlink_to(program)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    words = [f"{name}={value}" for name, value in filled.items()] if given == "on the command line" else []
    environment = {**clean, **({} if words else filled), "PATH": f"{program.parent}:{os.environ['PATH']}"}
    # Without what the targets need first: only their own recipes are looked at.
    (directory / "Makefile").write_text(re.sub(r"^([a-z][a-z-]*):[^#\n=]*", r"\1: ", MAKEFILE, flags=re.MULTILINE))
    (directory / "toolchain").mkdir()
    (directory / "toolchain/env.sh").touch()
    command = ["make", "--no-print-directory", *targets, f"VENV={program.parent}", f"PYTHON={program}", *words]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return log.read_text().split("\0")
