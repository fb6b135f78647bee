"""The lab's images, each built once for its content, without any image registry: Debian by debootstrap, the rest on top."""

import hashlib
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab import fetch
from lab.engine import as_root, docker
from lab.layout import LABEL

_HERE = Path(__file__).parent
_DEBIAN = ("trixie", "ca-certificates")


@dataclass(frozen=True)
class Service:
    """A production image that the lab serves, built from the directory `recipe`; `real` says what is real in it."""

    recipe: str
    real: str
    parent: str = "base"
    always: bool = False
    """Served even when production's lock file does not name it, because tests use it."""


SERVICES: Mapping[str, Service] = {
    "docker.io/library/postgres:18.1-bookworm": Service(
        "postgres", "real: PostgreSQL 18.1 (zonky's build), psql and pg_dump 18 from Debian; own entrypoint"
    ),
    "docker.io/library/redis:8.0-bookworm": Service(
        "redis", "real: Redis 8.0 from Debian, without Redis Stack's modules; own entrypoint"
    ),
    "ghcr.io/berriai/litellm:v1.81.3-stable": Service(
        "litellm", "real: LiteLLM 1.81.3 from PyPI, without Prisma's engine: no database, so no virtual keys"
    ),
    "ghcr.io/berriai/litellm:v1.81.3-next": Service(
        "litellm-next", "real: as v1.81.3-stable, for upgrade tests", "litellm", always=True
    ),
    "ghcr.io/mobutoo/vpai-caddy:2.11.9": Service(
        "caddy", "real: Caddy 2.11 with rate limit and OVH DNS, built by the toolchain; BusyBox for its tools"
    ),
    "docker.io/headscale/headscale:0.28.0": Service(
        "headscale", "real: Headscale 0.28.0, built by the toolchain without its SQL console", always=True
    ),
    "docker.io/library/pause:lab": Service("pause", "stand-in: sleeps, for quick tests", always=True),
    "docker.io/qdrant/qdrant:v1.16.3": Service(
        "qdrant", "stand-in: real collections and search by qdrant-client's local mode; no gRPC, no shards", "stand-in"
    ),
    "docker.io/apache/couchdb:3.3.3": Service(
        "couchdb", "stand-in: PouchDB's server: documents, users and sessions are real; no cluster, no _node", "tools"
    ),
    "ghcr.io/mobutoo/vpai-docker-proxy:1.0.0": Service("docker-proxy", "real: built from images/docker-proxy"),
    "ghcr.io/mobutoo/vpai-webhook-gate:1.0.0": Service("webhook-gate", "real: built from images/webhook-gate"),
    "ghcr.io/mobutoo/vpai-auto-fix:1.0.0": Service(
        "auto-fix", "real: the worker from images/auto-fix; its job is a stand-in that writes a note, no Claude Code", "tools"
    ),
    "ghcr.io/mobutoo/vpai-sandboxes:1.0.0": Service(
        "sandboxes", "real: rootless Docker 26.1 from Debian, our proxy; stand-in: a sandbox's tools, bash alone"
    ),
    "docker.io/restic/restic:0.19.1": Service("restic", "real: restic 0.19.1, built by the toolchain"),
    "docker.io/victoriametrics/victoria-metrics:v1.135.0": Service(
        "victoriametrics", "real: VictoriaMetrics 1.112 from Debian", "tools"
    ),
    "quay.io/prometheus/node-exporter:v1.9.1": Service("node-exporter", "real: node_exporter 1.9.0 from Debian", "tools"),
    "docker.n8n.io/n8nio/n8n:2.7.3": Service(
        "n8n", "real: n8n 2.7.4 from npm, which never had 2.7.3; without its AI nodes and SQLite", "tools"
    ),
    "ghcr.io/openclaw/openclaw:2026.2.23": Service(
        "openclaw", "real: OpenClaw 2026.2.23 from npm on Node.js 22; without WhatsApp, Discord's voice and llama.cpp", "tools"
    ),
    "docker.io/nocodb/nocodb:0.301.2": Service("nocodb", "stand-in: health and token; no tables", "stand-in"),
    "ghcr.io/we-promise/sure:nightly": Service("sure", "stand-in: health and needs of web and worker", "stand-in"),
    "docker.io/grafana/grafana:12.3.2": Service(
        "grafana", "stand-in: logins, provisioning, datasources asked through it; draws nothing", "stand-in"
    ),
    "docker.io/grafana/loki:3.6.5": Service("loki", "stand-in: takes log lines as JSON and finds them again", "stand-in"),
    "docker.io/grafana/alloy:v1.13.0": Service("alloy", "stand-in: scrapes and ships what its configuration names", "stand-in"),
    "ghcr.io/google/cadvisor:0.55.1": Service("cadvisor", "real: cAdvisor 0.55.1 from its library, without its pages", "tools"),
    "docker.io/crazymax/diun:4.31.0": Service("diun", "stand-in: starts where Diun would; notifies nobody", "stand-in"),
    "docker.io/louislam/uptime-kuma:2.1.3": Service(
        "uptime-kuma", "stand-in: its socket, heartbeats, checks of sites, Telegram; no interface", "tools"
    ),
    "ghcr.io/nicotsx/zerobyte:v0.26.0": Service(
        "zerobyte", "stand-in: starts where Zerobyte would; backs up nothing", "stand-in"
    ),
}
"""Every image that the lab can serve, under the name that production pulls."""

_OWN_PROGRAMS: Mapping[str, Path] = {
    **{name: _HERE.parent / "images" / name for name in ("docker-proxy", "webhook-gate", "auto-fix")},
    "sandboxes": _HERE.parent / "images" / "docker-proxy",
    "cadvisor": _HERE / "cadvisor",
}
"""Our Go programs, built as their Dockerfiles build them; cAdvisor's is a main package around its library."""

_CONTRACT = _HERE / "contract.py"
_SANDBOXES = _HERE.parent / "images" / "sandboxes"


def served(lock: Path) -> Mapping[str, Service]:
    """The images in the lab's registry: those in production's lock file, and those that tests need."""
    locked = set(re.findall(r"^([^#\s]\S*): ", lock.read_text(), re.MULTILINE))
    return {name: service for name, service in SERVICES.items() if name in locked or service.always}


@dataclass(frozen=True)
class Image:
    """A directory below lab/images with a Dockerfile; `fetched` lists its other build inputs by file name."""

    name: str
    key: str
    parent: str
    sources: tuple[Path, ...]
    fetched: Mapping[str, Callable[[Path], object]]
    label: str

    @property
    def tag(self) -> str:
        return f"vpai-lab/{self.name}:{self.key}"


@dataclass(frozen=True)
class Inputs:
    """Inputs of the images besides this directory."""

    root_certificate: str
    executables: Path
    """The toolchain's directory of executables."""
    cache: Path


def describe(inputs: Inputs) -> Mapping[str, Image]:
    """Every image by name, parents first, with a key that changes with its content."""
    images: dict[str, Image] = {}

    def add(
        name: str,
        parent: str = "base",
        facts: Iterable[str] = (),
        fetched: Mapping[str, Callable[[Path], object]] | None = None,
        executables: Iterable[str] = (),
        extra: tuple[Path, ...] = (),
        label: str = "",
    ) -> None:
        sources = (_HERE / "images" / name, *extra)
        built = {program: inputs.executables / program for program in executables}
        above = images[parent].key if parent in images else ""
        digests = [hashlib.sha256(program.read_bytes()).hexdigest() for program in built.values()]
        key = _hash(above, *facts, *digests, *(part for source in sources for part in _content(source)))
        copies = {program: partial(shutil.copy2, path) for program, path in built.items()}
        images[name] = Image(name, key, parent, sources, {**copies, **(fetched or {})}, label)

    images["debian"] = Image("debian", _hash(*_DEBIAN), "", (), {}, "")
    add("base", "debian", [inputs.root_certificate], {"root.crt": lambda path: _write(path, inputs.root_certificate)})
    add("host", executables=["tailscale", "tailscaled"])
    add("server", "host")
    add("operator")
    acme = _HERE / "acme"
    contract = {"contract.py": partial(shutil.copy2, _CONTRACT)}
    read = [_CONTRACT.read_text()]
    pebble = {"pebble": partial(fetch.build_go_program, acme)}
    add("cloud", facts=read, fetched={**pebble, **contract}, extra=(_HERE / "providers", acme))
    add("storage", facts=read, executables=["versitygw"], fetched=contract, extra=(_HERE / "providers",))
    add("tools")
    add("stand-in", "tools", read, contract)
    add("rule-engine")
    postgres, node = fetch.postgres(), fetch.node()
    for service in SERVICES.values():
        name = service.recipe
        fetched: dict[str, Callable[[Path], object]] = {}
        own_program = _OWN_PROGRAMS.get(name)
        if own_program:
            fetched["program"] = partial(fetch.build_go_program, own_program)
        if name == "postgres":
            fetched["server.txz"] = postgres.to
        if name == "openclaw":
            fetched["node"] = node.to
        if (project := _HERE / "images" / name / "package.json").exists():
            fetched["node_modules"] = partial(fetch.copy_node_modules, project.parent, inputs.cache)
        if (requirements := _HERE / "images" / name / "requirements.txt").exists():
            fetched["site"] = partial(fetch.copy_site_packages, requirements, inputs.cache)
        add(
            name,
            service.parent,
            facts={"postgres": [postgres.name], "openclaw": [node.version]}.get(name, ()),
            fetched=fetched,
            executables=[name] if name in ("caddy", "headscale", "restic") else (),
            extra=(*((own_program,) if own_program else ()), *((_SANDBOXES,) if name == "sandboxes" else ())),
            label=service.real,
        )
    return images


def missing(images: Iterable[Image]) -> list[Image]:
    """The images that this machine's Docker engine lacks."""
    tags = [image.tag for image in images]
    have = docker("image", "ls", "--filter", "reference=vpai-lab/*", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    return [image for image in images if image.tag in set(tags) - set(have)]


class Build:
    """Builds images in parallel, each after its parent; `working` names those in progress."""

    def __init__(self, images: Mapping[str, Image], directory: Path) -> None:
        self._images = images
        self._directory = directory
        self._futures: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self.working: list[str] = []

    def run(self, names: Iterable[str]) -> None:
        """Build the named images and their missing ancestors."""
        absent = {image.name for image in missing(self._images.values())}
        wanted: set[str] = set()
        for name in names:
            while name in absent and name not in wanted:
                wanted.add(name)
                name = self._images[name].parent
        with ThreadPoolExecutor(max_workers=max(1, len(wanted))) as pool:
            # In the order of `describe`: a parent's future exists before its children look for it.
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
    """Import a minimal Debian. The suite script of sid works for every later suite, also with an older debootstrap."""
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
