"""Provides the toolchain once per machine: each bundle is in the user's cache, under a key of everything it depends on."""

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from toolchain import parts, releases
from toolchain.build import assemble
from toolchain.installed import find_installed
from toolchain.parts import Bundle, cache_key
from toolchain.progress import step

MANIFEST = "parts.json"
UNUSED_SECONDS = 14 * 24 * 3600


def provide() -> tuple[Path, bool]:
    """The directory of the whole toolchain (hard links to both bundles), and whether it was cached."""
    (deploy, old), (lab, older) = provide_bundle(parts.deploy()), provide_bundle(parts.lab())
    cache = cache_directory()
    result = cache / f"whole-{deploy.name.partition('-')[2]}-{lab.name.partition('-')[2]}"
    if not _ready((result,)):
        with _locked(cache), _made(result) as partial:
            for bundle in (deploy, lab):
                shutil.copytree(
                    bundle, partial, dirs_exist_ok=True, copy_function=os.link, ignore=shutil.ignore_patterns(MANIFEST)
                )
            manifest = {name: part for bundle in (deploy, lab) for name, part in contents(bundle).items()}
            (partial / MANIFEST).write_text(json.dumps(manifest, indent=2))
    return result, old and older


def provide_bundle(bundle: Bundle, *, official: bool = True) -> tuple[Path, bool]:
    """The directory of one bundle, and whether it was cached. Unless `official`, all of it is built from Go modules."""
    cache = cache_directory()
    installed = {part.name: found for part in bundle.parts if official and (found := find_installed(part, cache).path)}
    built = directory(bundle, installed)
    released = built.with_name(f"{built.name}-released")
    places = (released, built) if official else (built,)
    if ready := _ready(places):
        return ready, True
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache):
        if ready := _ready(places):
            return ready, True
        with _made(built) as partial:
            fetched = _fetched(bundle, installed, partial / "fetched") if official else {}
            assemble(bundle, installed | fetched, partial, cache)
            shutil.rmtree(partial / "fetched", ignore_errors=True)
            (partial / MANIFEST).write_text(json.dumps(_manifest(bundle, installed, fetched, partial), indent=2))
        if fetched:
            shutil.rmtree(released, ignore_errors=True)
            built.rename(released)
        _prune(cache)
    return released if fetched else built, False


def directory(bundle: Bundle, installed: Mapping[str, Path]) -> Path:
    """The cache directory of a bundle; `-released` is appended when parts of it were fetched."""
    return (
        cache_directory() / f"{bundle.name}-{cache_key(bundle, *(f'{name}={path}' for name, path in sorted(installed.items())))}"
    )


def contents(result: Path) -> dict[str, dict[str, object]]:
    """Version, size and source of each part, by name."""
    read: dict[str, dict[str, object]] = json.loads((result / MANIFEST).read_text())
    return read


def cache_directory() -> Path:
    chosen = os.environ.get("VPAI_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vpai"
    return base.absolute() / "toolchain"


def _fetched(bundle: Bundle, installed: Mapping[str, Path], place: Path) -> dict[str, Path]:
    wanted = [part for part in bundle.parts if part.name not in installed]
    if bundle.name != parts.DEPLOY or not wanted or not releases.api():
        return {}
    found, reason = releases.fetch(wanted, place)
    if reason:
        print(f"official release archives: {reason}; what is missing is built from Go modules", file=sys.stderr)
    return found


def _ready(places: Iterable[Path]) -> Path | None:
    """The first complete directory, marked as used now; None without one."""
    for place in places:
        if (place / MANIFEST).exists():
            os.utime(place)
            return place
    return None


@contextmanager
def _made(result: Path) -> Iterator[Path]:
    """A directory to fill, which is renamed to `result` at the end, or removed after an error."""
    for leftover in result.parent.glob("*.partial"):
        shutil.rmtree(leftover)
    partial = result.with_name(f"{result.name}.partial")
    try:
        partial.mkdir()
        yield partial
        shutil.rmtree(result, ignore_errors=True)  # without a manifest: not ours
        partial.rename(result)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _prune(cache: Path) -> None:
    """Removes the results that no clone has used for `UNUSED_SECONDS`."""
    for manifest in cache.glob(f"*/{MANIFEST}"):
        if manifest.parent.stat().st_mtime < time.time() - UNUSED_SECONDS:
            shutil.rmtree(manifest.parent)


def _manifest(
    bundle: Bundle, installed: Mapping[str, Path], fetched: Mapping[str, Path], result: Path
) -> dict[str, dict[str, object]]:
    def source(name: str) -> str:
        if name in installed:
            return f"installed: {installed[name]}"
        return "release archive, its SHA-256 is the published one" if name in fetched else "built from Go modules"

    return {
        part.name: {"version": part.version, "size": (result / part.path).stat().st_size, "source": source(part.name)}
        for part in bundle.parts
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
