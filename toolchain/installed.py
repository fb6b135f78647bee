"""Finds official executables on this machine. Only exactly the wanted version is used; why another is not is reported."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from toolchain.parts import LANGUAGE_HOST, Part


@dataclass(frozen=True)
class Installed:
    """The path of the wanted version, or why what is installed is not used; both empty where nothing is installed."""

    path: Path | None = None
    refused: str = ""


def find_installed(part: Part, kept: Path) -> Installed:
    if part.is_plugin:
        return _plugin(part, kept)
    if part.name == "pulumi":
        return _engine(part, kept)
    if part.name == LANGUAGE_HOST:
        return _language_host(part, kept)
    return Installed()  # no other executable says which modules it was built with


def _plugin(part: Part, kept: Path) -> Installed:
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    place = home / part.path.removeprefix("home/")
    found = _outside(kept, place)
    if found and os.access(found, os.X_OK):
        return Installed(found)
    prefix = f"{place.parent.name.rpartition('-v')[0]}-v"
    others = [entry for entry in home.glob(f"plugins/{prefix}*/") if _outside(kept, entry / part.name)]
    versions = ", ".join(sorted(entry.name.removeprefix(prefix) for entry in others))
    return Installed(refused=f"{home}/plugins has {versions}, not {part.version}" if versions else "")


def _engine(part: Part, kept: Path) -> Installed:
    on_path = shutil.which("pulumi")
    engine = _outside(kept, Path(on_path)) if on_path else None
    if engine is None:
        return Installed()
    version = _version(engine)
    return Installed(engine) if version == f"v{part.version}" else Installed(refused=f"{engine} is {version or 'of no version'}")


def _language_host(part: Part, kept: Path) -> Installed:
    """The language host of the installed engine. It reports its version only to an engine.

    One archive brings the engine and the host beside it, so the engine's version is the host's.
    """
    engine = _engine(Part("pulumi", part.version, ""), kept)
    if engine.path is None:
        return Installed(refused=f"that beside it: {engine.refused}" if engine.refused else "")
    found = engine.path.with_name(part.name)
    return Installed(found) if os.access(found, os.X_OK) else Installed()


def _outside(kept: Path, path: Path) -> Path | None:
    """The real path; None for our own builds, found through PATH or a linked PULUMI_HOME, which are not "installed"."""
    real = path.resolve()
    return None if real.is_relative_to(kept.resolve()) or not real.exists() else real


@cache
def _version(executable: Path) -> str:
    environment = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    shown = subprocess.run([executable, "version"], env=environment, capture_output=True, text=True)
    return shown.stdout.strip()
