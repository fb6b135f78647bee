"""What the toolchain consists of, in which versions, and the key under which a build of it is cached."""

import hashlib
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE.parent / "requirements.in"
CADDY = "caddy"
MESH = "mesh"
STORAGE = "storage"
BACKUP = "backup"


@dataclass(frozen=True)
class Part:
    """An executable that is built from `package` (a Go package or a directory of the workspace), or found installed.

    `module` is a directory with a go.mod that stays out of the workspace: there, one version of a library serves all.
    """

    name: str
    version: str
    package: str
    has_schema: bool = False
    module: str = ""

    @property
    def is_plugin(self) -> bool:
        return self.name.startswith("pulumi-resource-")

    @property
    def path(self) -> str:
        """Where it goes in the result; for plugins, the place where the engine looks in its PULUMI_HOME."""
        if self.is_plugin:
            resource = self.name.removeprefix("pulumi-")
            return f"home/plugins/{resource}-v{self.version}/{self.name}"
        return f"bin/{self.name}"


def parts() -> tuple[Part, ...]:
    """The versions are those of the SDKs in requirements.in, so that SDK and plugin cannot drift apart."""
    return (
        Part("pulumi", pinned("pulumi"), "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"),
        Part("pulumi-language-python", pinned("pulumi"), "./pulumi/pulumi-language-python"),
        Part("pulumi-resource-docker", pinned("pulumi-docker"), "./docker", has_schema=True),
        Part("pulumi-resource-hcloud", pinned("pulumi-hcloud"), "./hcloud", has_schema=True),
        Part("pulumi-resource-random", pinned("pulumi-random"), "./random", has_schema=True),
        Part("pulumi-resource-command", pinned("pulumi-command"), "./command"),
        Part(CADDY, _required_module("caddy", "github.com/caddyserver/caddy/v2"), "./caddy"),
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
    )


def pinned(package: str) -> str:
    found = re.search(rf"^{re.escape(package)}==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    if not found:
        raise LookupError(f"{REQUIREMENTS} pins no {package}: its plugin needs the same version, for example: {package}==1.2.3")
    return found[1]


def cache_key(*choices: str) -> str:
    """Names the result of these sources on this platform, and of `choices` made outside of them.

    The installed Go is no part of it: who only runs the toolchain, like the lab's operator container, has none.
    """
    digest = hashlib.sha256()
    for part in (platform.system(), platform.machine(), *map(str, parts()), *choices):
        digest.update(part.encode() + b"\0")
    for file in sources():
        digest.update(str(file.relative_to(HERE)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def sources() -> Iterator[Path]:
    """Every file that shapes the result."""
    kinds = ("*.go", "go.mod", "go.sum", "go.work", "go.work.sum", "python/*", "build.py")
    found = {file for kind in kinds for file in HERE.rglob(kind) if file.is_file() and "__pycache__" not in file.parts}
    yield from sorted(file for file in found if not file.name.endswith("_test.go"))


def _required_module(directory: str, module: str) -> str:
    found = re.search(rf"\s{re.escape(module)} v(\S+)", (HERE / directory / "go.mod").read_text())
    assert found, f"toolchain/{directory}/go.mod does not require {module}"
    return found[1]
