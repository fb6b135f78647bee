"""A stack that is not there is said before anything is set up for it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from model.kind import DESTROY_GUARD
from stacks import standing
from stacks.deployment import unknown
from stacks.standing import Lock, Standing
from tests.support.copies import copy, tracked, unset
from tests.support.fleets import PROJECT, inputs

FOUND = Standing(stack="prod", backend="file:///x")
LOCK = Lock(identity="l", user="ana", machine="laptop", process=7, since="2026-11-30T03:00:00Z")


@pytest.mark.parametrize("target", ["preview", "plan", "up", "apply-plan", "rollback", "policy", "snapshot"])
def test_make_asks_where_the_state_is_before_it_sets_anything_up(target: str) -> None:
    shown = subprocess.run(["make", "-n", target, "STACK=prod"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    first = next(line for line in shown.splitlines() if "terminal" not in line)
    assert first.strip() == 'python3 -m stacks.standing --stack "$STACK"'


def test_it_needs_no_package_and_says_what_to_do_at_once(tmp_path: Path) -> None:
    (tmp_path / ".pulumi/stacks/vpai").mkdir(parents=True)
    (tmp_path / ".pulumi/stacks/vpai/pr-7.json").write_text("{}")
    program = "import runpy, sys; sys.path.insert(0, '.'); sys.argv[1:] = ['--stack', 'prod']; "
    run = "runpy.run_module('stacks.standing', run_name='__main__')"
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program + run],
        cwd=PROJECT,
        env={"PULUMI_BACKEND_URL": f"file://{tmp_path}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert time.monotonic() - begin < 20, "before anything is built"
    assert f"there is no stack prod in file://{tmp_path}; there are: pr-7" in done.stderr
    assert "docs/runbooks/first-deploy.md" in done.stderr and "PULUMI_BACKEND_URL" in done.stderr


@pytest.mark.parametrize("url", ["https://api.pulumi.com", "gs://bucket", "s3://bucket", "azblob://x"])
def test_a_backend_that_cannot_be_seen_is_left_to_the_engine(url: str) -> None:
    assert standing.standing("prod", {"PULUMI_BACKEND_URL": url}) is None


def _state(*resources: dict[str, object]) -> Standing:
    return standing.read(FOUND, json.dumps({"version": 3, "checkpoint": {"latest": {"resources": resources}}}).encode())


def test_a_project_that_stands_is_not_renamed() -> None:
    urn = "urn:pulumi:prod::vpai::vpai:index:ServiceContainer$command:local:Command::sese-redis-data"
    create = "ssh -F x sese -- 'bash -s -- apply false 999:999 0700 /opt/javisi/data/redis'"
    state = _state({"urn": urn, "type": "command:local:Command", "inputs": {"create": create}})
    assert state.project == "javisi"
    assert not list(standing.of_settings(state, "javisi", guarded=True))
    [problem] = standing.of_settings(state, "other", guarded=True)
    assert "vpai:project is other, and what stands of prod is javisi's" in problem.what
    assert not list(standing.of_settings(_state(), "other", guarded=True)), "nothing stands yet"


@pytest.mark.parametrize("protect", [True, False])
def test_production_that_stands_does_not_become_a_stack_that_nothing_guards(protect: bool) -> None:
    state = _state(
        {
            "urn": f"urn:pulumi:prod::vpai::random:index/randomPassword:RandomPassword::{DESTROY_GUARD}",
            "type": "random:x",
            "protect": protect,
        }
    )
    assert not list(standing.of_settings(state, "javisi", guarded=True))
    assert [problem.example for problem in standing.of_settings(state, "javisi", guarded=False)] == (
        ["pulumi config set -s prod vpai:kind production"] if protect else []
    )


def test_an_up_makes_no_key_anew_that_the_data_on_a_host_was_written_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which those are, by the state; what a host is asked then: tests/engine/test_preflight.py."""
    every = {secret.name for secret in inputs().fleet.secrets() if secret.irreplaceable}
    state = tmp_path / ".pulumi/stacks/vpai/prod.json"
    state.parent.mkdir(parents=True)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    assert unknown(inputs(), standing.standing("prod", project=tmp_path)) == every, "no state at all"

    names = sorted(every)[1:]
    random = [
        {"urn": f"urn:pulumi:prod::vpai::x$random:y::{name}", "type": "random:index/randomPassword:RandomPassword"}
        for name in names
    ]
    state.write_text(json.dumps({"checkpoint": {"latest": {"resources": random}}}))
    left = sorted(every)[0]
    assert unknown(inputs(), standing.standing("prod", project=tmp_path)) == {left}
    kept = inputs().settings.model_copy(update={"kept": {left: SecretStr("out of the kit")}})
    assert unknown(replace(inputs(), settings=kept), standing.standing("prod", project=tmp_path)) == frozenset()
    monkeypatch.setenv("PULUMI_BACKEND_URL", "https://api.pulumi.com")
    assert unknown(inputs(), standing.standing("prod", project=tmp_path)) == frozenset(), "cannot be seen from here"


@pytest.mark.parametrize(
    ("stat", "ended"),
    [
        ("7 (pulumi) S 1", False),
        ("7 (pulumi) Z 1", True),
        ("7 (python) S 1", True),
        ("7 (a) pulumi) S 1", True),
        (None, True),
    ],
)
def test_a_run_has_ended_when_its_process_is_another_or_none(tmp_path: Path, stat: str | None, ended: bool) -> None:
    if stat:
        (tmp_path / "7").mkdir()
        (tmp_path / "7/stat").write_text(stat)
    assert standing.has_ended(LOCK, "ana", "laptop", tmp_path) is ended
    assert not standing.has_ended(LOCK, "ana", "desktop", tmp_path), "what goes on elsewhere cannot be seen"
    assert not standing.has_ended(LOCK, "ben", "laptop", tmp_path)
    assert not standing.has_ended(LOCK, "ana", "laptop", tmp_path / "nowhere"), "nor where processes cannot be listed"


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (None, "there is no Pulumi.prod.yaml"),
        ("", "Pulumi.prod.yaml does not say vpai:kind, vpai:domain, vpai:hosts"),
        (
            "config:\n  vpai:kind: copy\n  # vpai:domain: example.org\n  vpai:hosts: {}\n",
            "Pulumi.prod.yaml does not say vpai:domain, vpai:knownHosts",
        ),
    ],
    ids=["no file", "empty", "a comment"],
)
def test_a_stack_without_its_configuration_is_told_what_asks_for_it(tmp_path: Path, file: str | None, said: str) -> None:
    copy(PROJECT / "docs/reference", tmp_path / "docs/reference")
    if file is not None:
        (tmp_path / "Pulumi.prod.yaml").write_text(file)
    [problem] = standing.of_configuration("prod", tmp_path)
    assert problem.what.startswith(said)
    assert problem.example == "make init STACK=prod"


@pytest.mark.parametrize("stack", ["prod", "lab"])
def test_a_stack_with_its_configuration_is_not_stopped(tmp_path: Path, stack: str) -> None:
    copy(PROJECT / "docs/reference", tmp_path / "docs/reference")
    whole = PROJECT / "Pulumi.lab.yaml"
    copy(whole, tmp_path / f"Pulumi.{stack}.yaml")
    assert not list(standing.of_configuration(stack, tmp_path))


@pytest.mark.parametrize("stack", ["prod", "elsewhere"])
def test_a_preview_in_a_fresh_clone_says_within_five_seconds_what_is_missing(tmp_path: Path, stack: str) -> None:
    """Nothing is set up or built for it, and nothing is fetched: there is no cache."""
    home, clone = tmp_path / "home", tmp_path / "vpai"
    home.mkdir()
    clone.mkdir()
    tracked(clone)
    unset(clone)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    begin = time.monotonic()
    done = subprocess.run(
        ["make", "preview", f"STACK={stack}"],
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    seconds = time.monotonic() - begin
    assert done.returncode != 0
    assert f"make init STACK={stack}" in done.stderr
    missing = "Pulumi.prod.yaml does not say vpai:domain" if stack == "prod" else "there is no Pulumi.elsewhere.yaml"
    assert missing in done.stderr
    assert "Traceback" not in done.stderr
    assert seconds < 5, f"{seconds:.1f} s"
    assert not list(home.iterdir()), "something was made in the home directory"
    assert not (clone / ".venv").exists() and not (clone / ".state").exists()
