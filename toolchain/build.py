"""Builds the parts with one `go build` over the workspace, and lays them out as the engine expects them."""

import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.golang import find_go
from toolchain.parts import HERE, Part, pinned
from toolchain.progress import step

# no_compose leaves out Docker Compose, half of the docker provider and nothing that its SDK offers.
TAGS = "osusergo,grpcnotrace,no_compose"
NO_NETWORK = re.compile(
    r"dial tcp|module lookup disabled|i/o timeout|connection (refused|reset)|TLS handshake|x509:|: (403|404|410|50\d) "
)


def assemble(parts: Sequence[Part], installed: Mapping[str, Path], target: Path, cache: Path) -> None:
    """Fills `target` with every part: a copy of the installed one, else a built one.

    Copies, because the lab's operator container sees this cache and nothing else of the machine.
    """
    built = target / "built"
    to_build = [part for part in parts if part.name not in installed]
    if to_build:
        _go_build(to_build, built, find_go(cache), cache / "build.log")
    for part in parts:
        place = target / part.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if part.name in installed:
            shutil.copy2(installed[part.name], place)
        else:
            (built / Path(part.package).name).rename(place)  # so Go names executables
    with step("write the plugins' schemas"):
        for part in to_build:
            if part.has_schema:
                _write_schema(target / part.path)
    _install_python(target)
    shutil.rmtree(built, ignore_errors=True)


def _go_build(parts: Sequence[Part], directory: Path, go: Path, log: Path) -> None:
    packages = [part.package for part in parts]
    # Go takes the last -ldflags whose pattern matches. The engine's version is a variable of a library, a plugin's of its main.
    engine = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{pinned('pulumi')}"
    flags = ["-trimpath", "-tags", TAGS, f"-ldflags={engine}"]
    flags += [f"-ldflags={part.package}=-s -w -X main.version={part.version}" for part in parts if part.is_plugin]
    packages_seen = _Lines()
    with step("download Go modules"):
        _go(go, ["list", "-deps", "-tags", TAGS, *packages], log, packages_seen)
    compiled = _Lines()
    with step(f"compile {len(parts)} executables", lambda: f"{compiled.count} of at most {packages_seen.count} packages"):
        _go(go, ["build", "-v", *flags, "-o", f"{directory}/", *packages], log, compiled)


class _Lines:
    count = 0


def _go(go: Path, arguments: list[str], log: Path, lines: _Lines) -> None:
    environment = os.environ | {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOGC": os.environ.get("GOGC", "400"),  # a fifth less CPU time in the compiler, for more memory
        "GOTOOLCHAIN": "local",
        "GOWORK": str(HERE / "go.work"),
    }
    tail: deque[str] = deque(maxlen=15)
    with (
        log.open("w") as out,
        subprocess.Popen(
            [go, *arguments], cwd=HERE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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
        raise _failure(arguments[0], "".join(tail), log)


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
