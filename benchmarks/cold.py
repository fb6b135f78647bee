"""`make lab` for somebody who never ran it here: a fresh clone in an empty directory, with empty caches."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import meter
from benchmarks.meter import Run
from lab.engine import docker
from lab.images import Inputs, describe

STILL_WARM = "Debian's base image in the Docker engine (vpai-lab/debian), where there was one, and installed system packages"


def measure(checkout: Path) -> list[Run]:
    """One run, with a lab beside that of `checkout`; everything that it made is removed."""
    with tempfile.TemporaryDirectory(prefix="vpai-cold-") as temporary:
        directory = Path(temporary)
        clone = directory / "vpai"
        meter.measure(1, ["git", "clone", "--quiet", str(checkout), str(clone)], warm_up=False)
        placement_inputs = ["env", "-u", "VPAI_LAB_ID", *_empty_caches(directory)]
        try:
            return meter.measure(1, [*placement_inputs, "make", "lab"], clone, warm_up=False)
        finally:
            images = _own_images(directory / "cache")
            meter.measure(1, [*placement_inputs, "make", "lab-down"], clone, warm_up=False)
            docker("image", "rm", "--force", *images, check=False)


def _empty_caches(directory: Path) -> Sequence[str]:
    return [
        f"VPAI_CACHE={directory / 'cache'}",
        f"GOCACHE={directory / 'go-build'}",
        f"GOMODCACHE={directory / 'go-mod'}",
        f"PIP_CACHE_DIR={directory / 'pip'}",
        f"MAVEN_OPTS=-Dmaven.repo.local={directory / 'maven'}",
    ]


def _own_images(cache: Path) -> list[str]:
    """The images that bear the certificate of this cache's own authority, so that no other lab has them."""
    authority, caddy = cache / "lab/ca/root.crt", next(cache.glob("toolchain/*/bin/caddy"), None)
    if caddy is None or not authority.exists():
        return []
    images = describe(Inputs(authority.read_text(), caddy.parent, cache / "lab"))
    return [image.tag for image in images.values() if image.name != "debian"]
