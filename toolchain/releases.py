"""Fetches official executables from the release archives at GitHub, where it can be reached (docs/adr/0030).

An archive is used only when it has the SHA-256 that GitHub publishes for it; another one ends the run.
"""

import hashlib
import http.client
import json
import os
import platform
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.errors import ToolchainError
from toolchain.parts import Part
from toolchain.progress import step

API = "https://api.github.com"
SECONDS = 10
"""Timeout of a connection, and of each read of an answer."""
_MACHINES = {"x86_64": ("x64", "amd64"), "aarch64": ("arm64", "arm64"), "arm64": ("arm64", "arm64")}
"""Names of a machine in the names of archives: the engine's, the plugins'."""


class _NoneToBeHad(Exception):
    """Why no archive is available; the part is then built."""


@dataclass(frozen=True)
class _Archive:
    repository: str
    tag: str
    name: str


def fetch(parts: Iterable[Part], directory: Path) -> tuple[dict[str, Path], str]:
    """The fetched parts by name, unpacked below `directory`, and why the others could not be fetched."""
    found: dict[str, Path] = {}
    reasons: list[str] = []
    for archive, inside in _archives(parts).items():
        try:
            found |= _fetch(archive, inside, directory)
        except _NoneToBeHad as reason:
            reasons.append(str(reason))
        except (OSError, http.client.HTTPException) as unreachable:
            # All archives are on one server: if one cannot be reached, neither can the others.
            return found, f"{api()} cannot be reached ({getattr(unreachable, 'reason', unreachable)})"
    return found, "; ".join(reasons)


def api() -> str:
    """URL of the releases: GitHub's, or $VPAI_RELEASES for a mirror; empty for no releases."""
    return os.environ.get("VPAI_RELEASES", API)


def _archives(parts: Iterable[Part]) -> dict[_Archive, list[Part]]:
    archives: dict[_Archive, list[Part]] = {}
    engine, plugin = _MACHINES.get(platform.machine(), ("", ""))
    system = platform.system().lower()
    for part in parts:
        if part.is_plugin:
            repository = f"pulumi-{part.name.removeprefix('pulumi-resource-')}"
            archive = _Archive(repository, f"v{part.version}", f"{part.name}-v{part.version}-{system}-{plugin}.tar.gz")
        else:
            archive = _Archive("pulumi", f"v{part.version}", f"pulumi-v{part.version}-{system}-{engine}.tar.gz")
        archives.setdefault(archive, []).append(part)
    return archives


def _fetch(archive: _Archive, parts: list[Part], directory: Path) -> dict[str, Path]:
    asset = _asset(archive)
    expected = str(asset.get("digest") or "")
    if not expected.startswith("sha256:"):
        raise _NoneToBeHad(f"no SHA-256 of {archive.name} is published")
    file = directory / archive.name
    directory.mkdir(parents=True, exist_ok=True)
    url = str(asset["browser_download_url"])
    with step(f"fetch {archive.repository} {archive.tag}"), _open(url) as answer, file.open("wb") as out:
        shutil.copyfileobj(answer, out)
    with file.open("rb") as read:
        actual = f"sha256:{hashlib.file_digest(read, 'sha256').hexdigest()}"
    if actual != expected:
        raise ToolchainError(
            f"{archive.name} is not what its release published, so it may be somebody else's program: "
            f"{actual} instead of {expected}.\n"
            "Look at the release; to build from Go modules instead: VPAI_RELEASES= python3 -m toolchain"
        )
    unpacked = directory / archive.name.removesuffix(".tar.gz")
    unpacked.mkdir()
    wanted = {name for part in parts for name in (part.name, *part.companions)}
    with tarfile.open(file) as tar:
        for member in tar:
            if member.isfile() and Path(member.name).name in wanted and (content := tar.extractfile(member)):
                target = unpacked / Path(member.name).name
                with target.open("wb") as out:
                    shutil.copyfileobj(content, out)
                target.chmod(0o755)
    file.unlink()
    if missing := [part.name for part in parts if not (unpacked / part.name).exists()]:
        raise _NoneToBeHad(f"{archive.name} has no {', '.join(missing)}")
    return {part.name: unpacked / part.name for part in parts}


def _asset(archive: _Archive) -> dict[str, Any]:
    try:
        with _open(f"{api()}/repos/pulumi/{archive.repository}/releases/tags/{archive.tag}") as answer:
            release = json.load(answer)
    except (urllib.error.HTTPError, ValueError) as refused:
        raise _NoneToBeHad(f"{archive.repository} {archive.tag}: {refused}") from None
    for asset in release.get("assets", ()):
        if asset["name"] == archive.name:
            return dict(asset)
    raise _NoneToBeHad(f"{archive.repository} {archive.tag} has no {archive.name}")


def _open(url: str) -> Any:
    request = urllib.request.Request(url, headers={"Accept": "application/vnd.github+json, */*"})  # noqa: S310 - https, or a mirror's
    # Without a token GitHub allows few requests from a runner's address.
    if (token := os.environ.get("GITHUB_TOKEN")) and url.startswith(f"{API}/"):
        request.add_header("Authorization", f"Bearer {token}")
    return urllib.request.urlopen(request, timeout=SECONDS)  # noqa: S310
