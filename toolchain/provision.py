"""Builds the toolchain once a machine: the result lies in the user's cache, under a key of everything that shapes it."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from toolchain.build import assemble
from toolchain.installed import find_installed
from toolchain.parts import Part, cache_key, parts
from toolchain.progress import step

MANIFEST = "parts.json"
UNUSED_SECONDS = 14 * 24 * 3600


def provide() -> tuple[Path, bool]:
    """The directory of the toolchain, and whether it was there already."""
    cache = cache_directory()
    wanted = parts()
    installed = {part.name: found for part in wanted if (found := find_installed(part, cache))}
    result = cache / cache_key(*(f"{name}={path}" for name, path in sorted(installed.items())))
    if (result / MANIFEST).exists():
        os.utime(result)
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
            shutil.rmtree(result, ignore_errors=True)  # without a manifest: not ours
            partial.rename(result)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _prune(cache)
    return result, False


def cache_directory() -> Path:
    chosen = os.environ.get("VPAI_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vpai"
    return base.absolute() / "toolchain"


def _prune(cache: Path) -> None:
    """Removes the results that no clone has asked for in a while."""
    for manifest in cache.glob(f"*/{MANIFEST}"):
        if manifest.parent.stat().st_mtime < time.time() - UNUSED_SECONDS:
            shutil.rmtree(manifest.parent)


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
