"""`python3 -m toolchain` builds or finds the toolchain and shows it; `--path` prints only its directory."""

import argparse
import fcntl
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from toolchain.build import assemble
from toolchain.errors import ToolchainError
from toolchain.installed import find_installed
from toolchain.parts import Part, cache_key, parts
from toolchain.progress import step

MANIFEST = "parts.json"


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python3 -m toolchain", description=__doc__)
    arguments.add_argument("--path", action="store_true", help="print only the directory")
    only_path = arguments.parse_args().path
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        directory, cached = provide()
    except ToolchainError as error:
        print(f"toolchain: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("toolchain: interrupted; what is compiled so far is kept, the next run goes on from there", file=sys.stderr)
        return 130
    print(directory if only_path else table(directory, cached))
    return 0


def provide() -> tuple[Path, bool]:
    """The directory of the toolchain, and whether it was there already."""
    cache = cache_directory()
    wanted = parts()
    installed = {part.name: found for part in wanted if (found := find_installed(part, cache))}
    result = cache / cache_key(*(f"{name}={path}" for name, path in sorted(installed.items())))
    if (result / MANIFEST).exists():
        return result, True
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache):
        if (result / MANIFEST).exists():
            return result, True
        for leftover in cache.glob("*.partial"):
            shutil.rmtree(leftover)
        partial = result.with_suffix(".partial")
        try:
            assemble(wanted, installed, partial, cache)
            (partial / MANIFEST).write_text(json.dumps(_manifest(wanted, installed, partial), indent=2))
            partial.rename(result)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return result, False


def cache_directory() -> Path:
    chosen = os.environ.get("VPAI_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vpai"
    return base.absolute() / "toolchain"


def table(directory: Path, cached: bool) -> str:
    rows = [("part", "version", "size", "source")]
    for name, part in json.loads((directory / MANIFEST).read_text()).items():
        rows.append((name, part["version"], f"{part['size'] / 1e6:.0f} MB", part["source"] + (", cached" if cached else "")))
    return "\n".join([*(f"{name:<30}{version:<12}{size:>8}  {source}" for name, version, size, source in rows), str(directory)])


def _manifest(wanted: tuple[Part, ...], installed: Mapping[str, Path], directory: Path) -> dict[str, dict[str, object]]:
    return {
        part.name: {
            "version": part.version,
            "size": (directory / part.path).stat().st_size,
            "source": f"installed: {installed[part.name]} has the wanted version" if part.name in installed else "built",
        }
        for part in wanted
    }


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """One build at a time on this machine: the second would only compile the same packages again."""
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("wait for another build of the toolchain"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
