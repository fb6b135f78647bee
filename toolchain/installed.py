"""Official executables on this machine, taken when their versions fit exactly."""

import os
import shutil
import subprocess
from pathlib import Path

from toolchain.parts import Part


def find_installed(part: Part, cache: Path) -> Path | None:
    if part.is_plugin:
        home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
        found = _outside(cache, home / part.path.removeprefix("home/"))
        return found if found and os.access(found, os.X_OK) else None
    if part.name != "pulumi":
        return None  # no other executable says which modules it was built with
    on_path = shutil.which(part.name)
    engine = _outside(cache, Path(on_path)) if on_path else None
    return engine if engine and _reports(engine, f"v{part.version}") else None


def _outside(cache: Path, path: Path) -> Path | None:
    """Our own builds, found through PATH or a linked PULUMI_HOME, are not "installed"."""
    real = path.resolve()
    return None if real.is_relative_to(cache.resolve()) or not real.exists() else real


def _reports(executable: Path, version: str) -> bool:
    environment = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    shown = subprocess.run([executable, "version"], env=environment, capture_output=True, text=True)
    return shown.stdout.strip() == version
