"""Builds the parts, with one `go build` over the workspace and one for each module outside, and lays them out as the engine
expects them."""

import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.golang import find_go
from toolchain.parts import DEPLOY, HERE, Bundle, Part, pinned
from toolchain.progress import step

# no_compose leaves out Docker Compose, half of the docker provider and nothing that its SDK offers.
TAGS = "osusergo,grpcnotrace,no_compose"
NO_NETWORK = re.compile(
    r"dial tcp|module lookup disabled|i/o timeout|connection (refused|reset)|TLS handshake|x509:|: (403|404|410|50\d) "
)


def assemble(bundle: Bundle, ready: Mapping[str, Path], target: Path, cache: Path) -> None:
    """Fills `target` with every part: a copy of the one that is ready (installed, or out of a release), else a built one.

    Copies, because the lab's operator container sees this cache and nothing else of the machine.
    """
    built = target / "built"
    to_build = [part for part in bundle.parts if part.name not in ready]
    if to_build:
        go = find_go(cache)
        for module in sorted({part.module for part in to_build}):
            _go_build([part for part in to_build if part.module == module], built, Go(go, module, cache / "build.log"))
    for part in bundle.parts:
        place = target / part.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if part.name in ready:
            _copy(part, ready[part.name], place)
        else:
            (built / Path(part.package).name).rename(place)  # so Go names executables
    if has_schema := [part for part in to_build if part.has_schema]:
        with step("write the plugins' schemas"):
            for part in has_schema:
                _write_schema(target / part.path)
    if bundle.name == DEPLOY:
        _install_python(target)
    shutil.rmtree(built, ignore_errors=True)


def _copy(part: Part, official: Path, place: Path) -> None:
    shutil.copy2(official, place)
    for name in part.companions:
        if (official.parent / name).exists():
            shutil.copy2(official.parent / name, place.parent / name)


@dataclass(frozen=True)
class Go:
    """The go command in one module, or in the workspace when `module` is empty."""

    executable: Path
    module: str
    log: Path

    def run(self, arguments: list[str], lines: "_Lines") -> None:
        """Run `go` with the arguments; counts its lines as they come."""
        environment = os.environ | {
            "CGO_ENABLED": "0",
            "GOFLAGS": "-buildvcs=false",
            # Three tenths less CPU time in the compiler, for more memory: none is collected below the limit of each process.
            "GOGC": os.environ.get("GOGC", "off"),
            "GOMEMLIMIT": os.environ.get("GOMEMLIMIT", "2GiB"),
            "GOTOOLCHAIN": "local",
            "GOWORK": "off" if self.module else str(HERE / "go.work"),
        }
        tail: deque[str] = deque(maxlen=15)
        with (
            self.log.open("w") as out,
            subprocess.Popen(
                [self.executable, *arguments],
                cwd=HERE / self.module,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            assert process.stdout
            try:
                for line in process.stdout:
                    out.write(line)
                    tail.append(line)
                    lines.count += not line.startswith("go: ")
            except BaseException:  # an interrupt meant for this process alone must not leave Go running
                process.terminate()
                raise
        if process.returncode:
            raise _failure(arguments[0], "".join(tail), self.log)


class _Lines:
    count = 0


def _go_build(parts: Sequence[Part], directory: Path, go: Go) -> None:
    packages = [part.package for part in parts]
    flags = ["-trimpath", "-tags", TAGS, *(f"-ldflags={part.package}={_linker_flags(part)}" for part in parts)]
    packages_seen = _Lines()
    with step(f"download Go modules{f', {go.module}' if go.module else ''}"):
        go.run(["list", "-deps", "-tags", TAGS, *packages], packages_seen)
    compiled = _Lines()
    with step(f"compile {len(parts)} executables", lambda: f"{compiled.count} of at most {packages_seen.count} packages"):
        go.run(["build", "-v", *flags, "-o", f"{directory}/", *packages], compiled)


def _linker_flags(part: Part) -> str:
    """Where an executable looks for its version: the engine in a library, a plugin in its main, Tailscale in two variables."""
    if part.is_plugin:
        versions = {"main.version": part.version}
    elif part.package.startswith("tailscale.com/"):
        stamp = "tailscale.com/version"
        versions = {f"{stamp}.shortStamp": part.version, f"{stamp}.longStamp": f"{part.version}-vpai"}
    else:
        versions = {"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": f"v{pinned('pulumi')}"}
    return " ".join(["-s -w", *(f"-X {variable}={version}" for variable, version in versions.items())])


def _failure(command: str, output: str, log: Path) -> ToolchainError:
    if unreachable := [line for line in output.splitlines() if NO_NETWORK.search(line)]:
        return ToolchainError(
            f"Go modules could not be downloaded, and the engine is built from them: {unreachable[-1].strip()}\n"
            "Let this machine reach a Go module proxy, for example: export GOPROXY=https://goproxy.example.org"
        )
    return ToolchainError(
        f"`go {command}` failed, so there is no engine to deploy with. Its last lines, all are in {log}:\n{output}"
    )


def _write_schema(plugin: Path) -> None:
    """The plugin reads its schema from the directory it stands in."""
    written = subprocess.run([plugin, "schema", "--out", plugin.parent], capture_output=True, text=True)
    if written.returncode:
        raise ToolchainError(
            f"{plugin.name} could not write its schema, without which it does not start:\n{written.stderr[-2000:]}"
        )


def _install_python(target: Path) -> None:
    shutil.copytree(HERE / "python", target / "python", ignore=shutil.ignore_patterns("__pycache__", "plugin.sh"))
    plugin = target / "bin/pulumi-resource-pulumi-python"
    shutil.copy(HERE / "python" / "plugin.sh", plugin)
    plugin.chmod(0o755)
