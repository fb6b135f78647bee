"""The lab's images, each built once for its content, without any image registry: Debian by debootstrap, the rest on top."""

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import fetch
from lab.engine import as_root, docker
from lab.layout import LABEL

_HERE = Path(__file__).parent
_DEBIAN = ("trixie", "ca-certificates")


@dataclass(frozen=True)
class Service:
    """A production image that the lab serves: built from the directory `recipe`; `real` says what is inside."""

    recipe: str
    real: str


SERVICES: Mapping[str, Service] = {
    "docker.io/library/postgres:18.1-bookworm": Service(
        "postgres", "real: PostgreSQL 18.1 (zonky's build), psql and pg_dump 18 from Debian; own entrypoint"
    ),
    "docker.io/library/redis:8.0-bookworm": Service(
        "redis", "real: Redis 8.0 from Debian, without Redis Stack's modules; own entrypoint"
    ),
    "ghcr.io/berriai/litellm:v1.81.3-stable": Service(
        "litellm", "real: LiteLLM 1.106.2 from PyPI, without Prisma's engine: no database, so no virtual keys"
    ),
    "ghcr.io/berriai/litellm:v1.81.3-next": Service("litellm-next", "real: as v1.81.3-stable, for upgrade tests"),
    "ghcr.io/berriai/litellm:v1.81.3-sick": Service("litellm-sick", "stand-in: never becomes healthy, for fault tests"),
    "ghcr.io/mobutoo/vpai-caddy:2.11.2": Service(
        "caddy", "real: Caddy 2.11 with rate limit and OVH DNS, built by the toolchain; BusyBox for its tools"
    ),
    "docker.io/library/pause:lab": Service("pause", "stand-in: sleeps, for quick tests"),
}
"""Every image in the lab's registry, under the name that production pulls."""


@dataclass(frozen=True)
class Image:
    """A directory below lab/images with a Dockerfile; `fetched` lists what else goes into its build, by file name."""

    name: str
    key: str
    parent: str
    sources: tuple[Path, ...]
    fetched: Mapping[str, Callable[[Path], None]]
    label: str

    @property
    def tag(self) -> str:
        return f"vpai-lab/{self.name}:{self.key}"


@dataclass(frozen=True)
class Inputs:
    """What shapes the images besides this directory."""

    root_certificate: str
    caddy: Path
    cache: Path


def describe(inputs: Inputs) -> Mapping[str, Image]:
    """Every image by name, parents first, with keys that change when their content would."""
    images: dict[str, Image] = {}

    def add(
        name: str,
        parent: str = "base",
        facts: Iterable[str] = (),
        fetched: Mapping[str, Callable[[Path], None]] | None = None,
        extra: tuple[Path, ...] = (),
        label: str = "",
    ) -> None:
        sources = (_HERE / "images" / name, *extra)
        above = images[parent].key if parent in images else ""
        key = _hash(above, *facts, *(part for source in sources for part in _content(source)))
        images[name] = Image(name, key, parent, sources, fetched or {}, label)

    images["debian"] = Image("debian", _hash(*_DEBIAN), "", (), {}, "")
    add("base", "debian", [inputs.root_certificate], {"root.crt": lambda path: _write(path, inputs.root_certificate)})
    add("host")
    add("operator")
    add("cloud", extra=(_HERE / "providers",))
    labels = {service.recipe: service.real for service in SERVICES.values()}
    postgres = fetch.postgres()
    add("redis", label=labels["redis"])
    add("pause", label=labels["pause"])
    add(
        "postgres",
        facts=[postgres.name],
        fetched={"server.txz": postgres.to},
        label=labels["postgres"],
    )
    add(
        "litellm",
        fetched={"site": lambda path: fetch.copy_site_packages(_HERE / "images/litellm/requirements.txt", inputs.cache, path)},
        label=labels["litellm"],
    )
    add("litellm-next", "litellm", label=labels["litellm-next"])
    add("litellm-sick", "litellm", label=labels["litellm-sick"])
    add(
        "caddy",
        facts=[hashlib.sha256(inputs.caddy.read_bytes()).hexdigest()],
        fetched={"caddy": lambda path: _copy(inputs.caddy, path)},
        label=labels["caddy"],
    )
    return images


def missing(images: Iterable[Image]) -> list[Image]:
    """Those that the machine's Docker engine does not have."""
    tags = [image.tag for image in images]
    have = docker("image", "ls", "--filter", "reference=vpai-lab/*", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    return [image for image in images if image.tag in set(tags) - set(have)]


class Build:
    """Builds images side by side, each after its parent; `working` names those under way."""

    def __init__(self, images: Mapping[str, Image], directory: Path) -> None:
        self._images = images
        self._directory = directory
        self._futures: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self.working: list[str] = []

    def run(self, names: Iterable[str]) -> None:
        """Build the named images and the ancestors they lack."""
        absent = {image.name for image in missing(self._images.values())}
        wanted: set[str] = set()
        for name in names:
            while name in absent and name not in wanted:
                wanted.add(name)
                name = self._images[name].parent
        with ThreadPoolExecutor(max_workers=max(1, len(wanted))) as pool:
            # In the order of `describe`: a parent's future is there before its children look for it.
            for name in self._images:
                if name in wanted:
                    self._futures[name] = pool.submit(self._build, self._images[name])
        for future in self._futures.values():
            future.result()

    def _build(self, image: Image) -> None:
        with self._lock:
            self.working.append(image.name)
        try:
            if image.name == "debian":
                _debootstrap(image)
                return
            context = self._directory / f"{image.name}-{image.key}"
            shutil.rmtree(context, ignore_errors=True)
            context.mkdir(parents=True)
            try:
                own, *extra = image.sources
                shutil.copytree(own, context, dirs_exist_ok=True)
                for source in extra:
                    shutil.copytree(source, context / source.name, ignore=shutil.ignore_patterns("__pycache__"))
                for name, fetch_to in image.fetched.items():
                    fetch_to(context / name)
                if image.parent in self._futures:
                    self._futures[image.parent].result()
                _docker_build(image, self._images[image.parent], context)
            finally:
                shutil.rmtree(context, ignore_errors=True)
        finally:
            with self._lock:
                self.working.remove(image.name)


def _docker_build(image: Image, parent: Image, context: Path) -> None:
    docker(
        *("build", "--quiet", "--network", "host", "--force-rm"),
        *("--build-arg", f"PARENT={parent.tag}"),
        *("--label", f"{LABEL}.image={image.name}", "--label", f"{LABEL}.content={image.label}"),
        *("--tag", image.tag, str(context)),
    )


def _debootstrap(image: Image) -> None:
    """Import a minimal Debian; the suite script of sid fits every later suite, also where debootstrap is older."""
    suite, include = _DEBIAN
    as_root(["sh", str(_HERE / "debootstrap.sh"), suite, include, image.tag])


def _content(directory: Path) -> Iterable[str]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{path.relative_to(directory)} {path.stat().st_mode & 0o111:o}"
            yield hashlib.sha256(path.read_bytes()).hexdigest()


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _copy(source: Path, path: Path) -> None:
    shutil.copy2(source, path)
