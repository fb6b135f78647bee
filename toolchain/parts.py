"""The parts of the toolchain, their versions, and the keys under which its two bundles are cached."""

import hashlib
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE.parent / "requirements.txt"
DEPLOY = "deploy"
LAB = "lab"
LANGUAGE_HOST = "pulumi-language-python"
CADDY = "caddy"
MESH = "mesh"
STORAGE = "storage"
BACKUP = "backup"


@dataclass(frozen=True)
class Part:
    """An executable that is built from `package` (a Go package or a directory of the workspace), or found ready.

    `module` is a directory with a go.mod outside of the workspace: the workspace has one version of a library for all its
    modules. `companions` are files that the official executable needs beside it, and ours does not.
    """

    name: str
    version: str
    package: str
    has_schema: bool = False
    module: str = ""
    companions: tuple[str, ...] = ()

    @property
    def is_plugin(self) -> bool:
        return self.name.startswith("pulumi-resource-")

    @property
    def path(self) -> str:
        """Path in the result; for a plugin, where the engine looks in its PULUMI_HOME."""
        if self.is_plugin:
            resource = self.name.removeprefix("pulumi-")
            return f"home/plugins/{resource}-v{self.version}/{self.name}"
        return f"bin/{self.name}"


@dataclass(frozen=True)
class Bundle:
    """Parts that are provided together. The cache key depends on `sources`, files and directories of toolchain/."""

    name: str
    parts: tuple[Part, ...]
    sources: tuple[str, ...]


def deploy() -> Bundle:
    """The bundle that deploys. Versions are those of the SDKs in requirements.txt, so that SDK and plugin cannot drift apart."""
    engine = pinned("pulumi")
    return Bundle(
        DEPLOY,
        (
            Part("pulumi", engine, "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"),
            Part(LANGUAGE_HOST, engine, f"./pulumi/{LANGUAGE_HOST}", companions=(f"{LANGUAGE_HOST}-exec",)),
            Part("pulumi-resource-docker", pinned("pulumi-docker"), "./docker", has_schema=True),
            Part("pulumi-resource-hcloud", pinned("pulumi-hcloud"), "./hcloud", has_schema=True),
            Part("pulumi-resource-random", pinned("pulumi-random"), "./random", has_schema=True),
            Part("pulumi-resource-command", pinned("pulumi-command"), "./command"),
        ),
        (*(module for module in _modules() if module != CADDY), *_versions(), "python", "build.py"),
    )


def lab() -> Bundle:
    """The bundle that only the lab and the tests run."""
    return Bundle(
        LAB,
        (
            Part(CADDY, _required_module(CADDY, "github.com/caddyserver/caddy/v2"), f"./{CADDY}"),
            *(
                Part(Path(package).name, _required_module(MESH, module), package, module=MESH)
                for module, package in (
                    ("github.com/juanfont/headscale", "github.com/juanfont/headscale/cmd/headscale"),
                    ("tailscale.com", "tailscale.com/cmd/tailscale"),
                    ("tailscale.com", "tailscale.com/cmd/tailscaled"),
                )
            ),
            Part(
                "versitygw",
                _required_module(STORAGE, "github.com/versity/versitygw"),
                "github.com/versity/versitygw/cmd/versitygw",
                module=STORAGE,
            ),
            Part(
                "restic",
                _required_module(BACKUP, "github.com/restic/restic"),
                "github.com/restic/restic/cmd/restic",
                module=BACKUP,
            ),
        ),
        (CADDY, MESH, STORAGE, BACKUP, *_versions(), "build.py"),
    )


def pinned(package: str) -> str:
    found = re.search(rf"^{re.escape(package)}==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    if not found:
        raise LookupError(f"{REQUIREMENTS} pins no {package}: its plugin needs the same version, for example: {package}==1.2.3")
    return found[1]


def cache_key(bundle: Bundle, *choices: str) -> str:
    """The key of the bundle's sources on this platform, and of `choices` made outside of them: 16 hex digits.

    The installed Go is not part of the key: the lab's operator container, which only runs the toolchain, has no Go.
    """
    digest = hashlib.sha256()
    for part in (platform.system(), platform.machine(), *map(str, bundle.parts), *choices):
        digest.update(part.encode() + b"\0")
    for file in files(bundle):
        digest.update(str(file.relative_to(HERE)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def files(bundle: Bundle) -> Iterator[Path]:
    """Every file that the result depends on."""
    for source in sorted(set(bundle.sources)):
        found = [HERE / source] if (HERE / source).is_file() else sorted((HERE / source).rglob("*"))
        yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts and not _is_test(file))


def _is_test(file: Path) -> bool:
    return file.name.endswith("_test.go")


def _modules() -> list[str]:
    """The directories of the workspace's Go modules."""
    return re.findall(r"^\t\./(\S+)$", (HERE / "go.work").read_text(), re.MULTILINE)


def _versions() -> tuple[str, ...]:
    """The files that fix the versions of libraries, which the workspace compiles once for the programs of both bundles."""
    return ("go.work", "go.work.sum", *(f"{module}/{file}" for module in _modules() for file in ("go.mod", "go.sum")))


def _required_module(directory: str, module: str) -> str:
    found = re.search(rf"\s{re.escape(module)} v(\S+)", (HERE / directory / "go.mod").read_text())
    assert found, f"toolchain/{directory}/go.mod does not require {module}"
    return found[1]
