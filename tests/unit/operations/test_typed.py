"""Whatever is typed at a target of make: an answer, and never a traceback. Every recipe that calls our program is walked."""

import io
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from model.problem import Refused
from operations import __main__ as program
from operations.deploy import state_backend
from operations.stack import Stack
from tests.support.fleets import DUMMY_SECRETS, OPERATOR_CONFIG, PROJECT, committed, host_config
from tests.unit.toolchain.test_makefile import MAKEFILE, RECIPES

CALLS = {
    target: [shlex.split(call.replace("$$", "$")) for call in re.findall(r"-m (operations[ .].*)", recipe.replace("\\\n\t", " "))]
    for target, recipe in RECIPES.items()
}
TARGETS = sorted(target for target, calls in CALLS.items() if any(words[0] == "operations" for words in calls))
ODD = ("", " ", "nowhere", "../x", "-1", "é\n{$(x)}'\"", "x" * 5000)
"""A stack of any name may be asked for; that of production stands, as far as the engine's stand-in says."""
CONFIG = {**committed("prod"), **OPERATOR_CONFIG, "hosts": host_config("prod"), **DUMMY_SECRETS}
Captured = pytest.CaptureFixture[str]
ENGINE = """#!/bin/sh
case "$*" in
    config\\ --json*) cat "$(dirname "$0")/config.json" ;;
    stack\\ export*) echo '{"version": 3, "deployment": {"resources": []}}' ;;
    stack\\ output*) echo '{"secrets": {}, "urls": []}' ;;
    stack\\ history*) echo '[]' ;;
    stack\\ ls*) echo '[{"name": "prod"}]' ;;
    *) echo "error: the engine says no" >&2; exit 255 ;;
esac
"""
SILENT = '#!/bin/sh\necho "$(basename $0): no answer" >&2\nexit 255\n'


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shell in which the engine answers, production stands, and nothing outside does."""
    state = tmp_path / "state/.pulumi/stacks/vpai/prod.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"version": 3, "checkpoint": {"stack": "prod", "latest": {"resources": []}}}))
    entries = {f"vpai:{key}": {"value": value, "secret": key in DUMMY_SECRETS} for key, value in CONFIG.items()}
    (tmp_path / "config.json").write_text(json.dumps(entries))
    for name in ("pulumi", "ssh", "git", "gh", "docker", "tailscale", "bash"):
        (tmp_path / name).write_text(ENGINE if name == "pulumi" else SILENT)
        (tmp_path / name).chmod(0o755)
    project = tmp_path / "project"
    project.mkdir()
    for path in (*PROJECT.glob("*.yaml"), PROJECT / "tests", PROJECT / "docs"):
        (project / path.name).symlink_to(path)

    def nobody(*_: object, **__: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    for name in ("connect", "sendto"):
        monkeypatch.setattr(socket.socket, name, nobody)
    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path / 'state'}")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "x")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HCLOUD_TOKEN", "DEPLOY_KEY", "MESH_KEY", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    for module in [
        module for name, module in sys.modules.items() if name.startswith("operations.") and hasattr(module, "PROJECT")
    ]:
        monkeypatch.setattr(module, "PROJECT", project)
    monkeypatch.chdir(project)
    return project


def typed(words: list[str], values: Mapping[str, str], capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> str:
    """What one call of a recipe says; fails the test for an exception, and for silence."""
    written = (word for word in words[1:] if not word.startswith(("$(", "${")))
    given = [re.sub(r"\$([A-Z_]+)$", lambda found: values.get(found[1], ""), word) for word in written]
    monkeypatch.setattr(sys, "argv", ["operations", *given])
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    try:
        code = program.main()
    except SystemExit as usage:
        code = int(usage.code or 0)
    said = capsys.readouterr()
    assert (said.out + said.err).strip(), f"{words} with {values} says nothing"
    assert "Traceback" not in said.out + said.err
    if code:
        assert said.err.strip() or said.out.strip()
    return said.out + said.err


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_that_is_typed_at_make_ends_in_a_traceback_or_in_silence(
    target: str, operator: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set(re.findall(r"\$\$\{?([A-Z][A-Z_]+)", RECIPES[target])) - {"STACK"}
    for words in (words for words in CALLS[target] if words[0] == "operations"):
        for odd in ODD if names else ("",):
            typed(words, {**dict.fromkeys(names, odd), "STACK": "prod"}, capsys, monkeypatch)
        typed(words, {"STACK": "no such stack"}, capsys, monkeypatch)


def test_every_recipe_of_ours_is_walked() -> None:
    asked = {re.sub(r'"', "", name) for name in re.findall(r"-m operations ([a-z-]+)", MAKEFILE)}
    known = {words[1] for calls in CALLS.values() for words in calls if words[0] == "operations"}
    assert asked == known and len(known) > 35


def test_an_empty_bucket_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = dict.fromkeys(state_backend.KEYS, "x")
    for bucket in ("", " ", "No_Bucket", "-a", "x" * 64, "a/b", "a?endpoint=x"):
        with pytest.raises(Refused, match="which names no bucket"):
            state_backend.move("prod", bucket, keys)


def test_a_lock_that_is_none_is_named(operator: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("[", "- a", "just text", "\x00"):
        (operator / "images.lock.yaml").unlink()
        (operator / "images.lock.yaml").write_text(text)
        assert "images.lock.yaml" in typed(["operations", "status", "--stack", "prod"], {}, capsys, monkeypatch)


def test_a_program_that_is_not_installed_is_named(operator: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    (operator.parent / "pulumi").unlink()
    monkeypatch.setenv("PATH", "/nowhere")
    said = typed(["operations", "status", "--stack", "prod"], {}, capsys, monkeypatch)
    assert "pulumi is not installed on this machine" in said and "make venv engine" in said


@pytest.mark.parametrize("interrupted", [KeyboardInterrupt, BrokenPipeError])
def test_ctrl_c_and_a_reader_that_left_are_no_tracebacks(
    interrupted: type[BaseException], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: Stack) -> None:
        raise interrupted

    monkeypatch.setattr(program, "plan", stop)
    monkeypatch.setattr(sys, "argv", ["operations", "plan", "--stack", "prod"])
    assert program.main() == (130 if interrupted is KeyboardInterrupt else 141)
    assert ("make state STACK=prod" in capsys.readouterr().err) is (interrupted is KeyboardInterrupt)


def test_ctrl_c_is_the_engines_which_ends_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not killed by us a moment later, which would leave a lock and what was begun."""
    engine = tmp_path / "pulumi"
    engine.write_text(
        f"#!/bin/bash\ntrap 'sleep 0.6; echo in order >{tmp_path}/ended; exit 7' INT\nkill -INT $PPID $$\nsleep 5\n"
    )
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    before = signal.getsignal(signal.SIGINT)
    assert Stack("prod").pulumi_live("up", directory=tmp_path) == 7
    assert (tmp_path / "ended").read_text() == "in order\n"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("path", ["a b", "a'b", "a$b", "a#b", "a%20b", "a;b"])
def test_a_clone_in_a_path_that_make_ssh_or_urls_read_otherwise_is_refused_at_once(tmp_path: Path, path: str) -> None:
    (tmp_path / path).mkdir()
    (tmp_path / path / "Makefile").write_text(MAKEFILE)
    done = subprocess.run(["make", "status"], cwd=tmp_path / path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "move it, or clone it again" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("path", ["vpai", "v-p_a.i~1", "dépôt"])
def test_a_fresh_clone_says_what_to_run_first(tmp_path: Path, path: str) -> None:
    (tmp_path / path).mkdir()
    (tmp_path / path / "Makefile").write_text(MAKEFILE)
    done = subprocess.run(["make", "status"], cwd=tmp_path / path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "This clone is not set up yet: make venv engine" in done.stderr
    assert "No such file" not in done.stderr
