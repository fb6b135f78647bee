"""Start, use and remove the lab of one checkout."""

import fcntl
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lab import engine, fetch, machines, network
from lab.authority import Certificate, authority, issue
from lab.engine import docker
from lab.images import SERVICES, Build, Image, Inputs, Service, describe, served
from lab.layout import (
    ACME,
    CLOUD,
    HOSTS,
    LABEL,
    OPERATOR,
    OUTSIDER,
    PROVIDERS,
    REGISTRY,
    SEKO,
    SERVER,
    SESE,
    STORAGE,
    WAZA,
    Addresses,
    Layout,
)
from lab.machine import Machine
from lab.record import Record
from lab.registry import Registry
from lab.storage import HOST as OBJECT_STORAGE
from toolchain.progress import step
from toolchain.provision import provide

_IMAGES = {CLOUD: "cloud", STORAGE: "storage", OPERATOR: "operator", OUTSIDER: "operator", **dict.fromkeys(HOSTS, "host")}


@dataclass(frozen=True)
class Lab:
    """The lab of one checkout, running or not."""

    layout: Layout

    @classmethod
    def of_checkout(cls, checkout: Path) -> "Lab":
        return cls(Layout.of_checkout(checkout))

    def up(self) -> None:
        """Start the lab, or the parts of it that are missing or out of date."""
        with step("Docker engine"), self._locked():
            engine.prepare()
        if not Record.exists(self.layout.directory):
            # Left by an interrupted first `up`, or by a deleted checkout without `down`.
            self._remove_all()
        elif network.outdated(self.layout):
            self._remove_machines()
        toolchain, _ = provide()
        with step("keys and certificates"):
            self._make_keys()
        images = self._describe(toolchain)
        with self._locked():
            site, digests = self._provide_images(images)
            with step("network"):
                addresses = network.ensure(self.layout)
        record = Record(
            id=self.id,
            number=addresses.number,
            containers={name: self.layout.named(name) for name in _IMAGES},
            images={name: images[image].tag for name, image in {**_IMAGES, SERVER: "server"}.items()},
            toolchain=str(toolchain),
            python_site=str(site),
        )
        with step("machines"):
            self._write_files(record, digests)
            hosts = (self._host(record, name) for name in HOSTS)
            outsider = machines.outsider(self.layout, record)
            _start_all((self._cloud(record), self._storage(record), *hosts, self._operator(record), outsider))
        record.save(self.layout.directory)

    def down(self) -> None:
        """Remove every container, volume, network and file of this lab and its further labs; the shared cache stays."""
        for further in self.layout.furthers:
            Lab(further).down()
            shutil.rmtree(further.checkout)
        engine.prepare()
        with step("remove machines, volumes, network and files"):
            self._remove_all()

    def image(self, recipe: str) -> str:
        """Tag of the image of `recipe`, which is built if missing; the lab need not be running."""
        with self._locked():  # another lab may be starting at the same time
            engine.prepare()
        toolchain, _ = provide()
        self._make_authority()
        images = self._describe(toolchain)
        with self._locked():
            Build(images, self.layout.shared / "build").run([recipe])
        return images[recipe].tag

    @property
    def id(self) -> str:
        return self.layout.id

    @cached_property
    def record(self) -> Record:
        """The record that `up` wrote; raises `LabError` before the first `up`."""
        return Record.load(self.layout.directory)

    @property
    def addresses(self) -> Addresses:
        return self.record.addresses

    @property
    def cloud(self) -> Machine:
        """The machine for DNS, the image registry and model providers."""
        return self._cloud(self.record)

    @property
    def storage(self) -> Machine:
        """The machine for object storage."""
        return self._storage(self.record)

    @property
    def operator(self) -> Machine:
        """The machine that deploys."""
        return self._operator(self.record)

    @property
    def outsider(self) -> Machine:
        """A machine on the Internet that is no member of the mesh."""
        return machines.outsider(self.layout, self.record)

    @property
    def hosts(self) -> tuple[Machine, ...]:
        """The fleet's hosts."""
        return (self.sese, self.seko, self.waza)

    @property
    def sese(self) -> Machine:
        """The host of the stack."""
        return self._host(self.record, SESE)

    @property
    def seko(self) -> Machine:
        """The mesh's hub."""
        return self._host(self.record, SEKO)

    @property
    def waza(self) -> Machine:
        """The workstation."""
        return self._host(self.record, WAZA)

    @property
    def served(self) -> Mapping[str, Service]:
        """The images in the lab's registry, by the names that production pulls."""
        return served(self.layout.checkout / "images.lock.yaml")

    def _remove_all(self) -> None:
        self._remove_machines()
        if self.layout.directory.exists():
            shutil.rmtree(self.layout.directory)

    def _remove_machines(self) -> None:
        """Remove all Docker resources of a lab with this id, also of a deleted checkout or another version."""
        mine = ("--filter", f"label={LABEL}={self.id}")
        if containers := docker("ps", "--all", "--quiet", *mine).stdout.split():
            docker("rm", "--force", "--volumes", *containers)
        if volumes := docker("volume", "ls", "--quiet", *mine).stdout.split():
            docker("volume", "rm", "--force", *volumes)
        network.remove(self.layout)

    def _describe(self, toolchain: Path) -> Mapping[str, Image]:
        return describe(Inputs(self._root.certificate.read_text(), toolchain / "bin", self.layout.shared))

    def _make_authority(self) -> None:
        with self._locked():
            root = authority(self._root.certificate.parent)
            issue(root, root.certificate.parent, CLOUD, (REGISTRY.partition(":")[0], ACME, *PROVIDERS))
            issue(root, root.certificate.parent, STORAGE, (OBJECT_STORAGE,))

    def _make_keys(self) -> None:
        self.layout.directory.mkdir(exist_ok=True)
        self._make_authority()
        for path in (*(self._host_key(name) for name in HOSTS), self._deploy_key):
            if not path.with_suffix(".pub").exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)
                command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"vpai lab {self.id}", "-f", str(path)]
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def _provide_images(self, images: Mapping[str, Image]) -> tuple[Path, Mapping[str, str]]:
        """Build missing images and fill the registry; returns the operator's Python packages and the images' digests."""
        contexts = self.layout.shared / "build"
        shutil.rmtree(contexts, ignore_errors=True)  # left by a killed run
        fetch.remove_leftovers(self.layout.shared)
        registry = Registry.of(self.layout)
        names = self.served
        unpublished = [name for name, digest in registry.digests(names, images).items() if digest is None]
        build = Build(images, contexts)
        with step("images", detail=lambda: ", ".join(build.working)), ThreadPoolExecutor(max_workers=1) as pool:
            site = pool.submit(fetch.site_packages, self.layout.checkout / "requirements.txt", self.layout.shared)
            build.run(["cloud", "storage", "operator", "host", "server", *(SERVICES[name].recipe for name in unpublished)])
            packages = site.result()
            _compile(packages, images["operator"])
        if unpublished:
            with step(f"publish {len(unpublished)} images"):
                registry.publish(unpublished, images, images["cloud"])
        return packages, {name: digest for name, digest in registry.digests(names, images).items() if digest}

    def _write_files(self, record: Record, digests: Mapping[str, str]) -> None:
        """Write the files that the program's lab settings name, and those that the operator's pulumi needs."""
        directory = self.layout.directory
        pinned = {name: self._host_key(name).with_suffix(".pub").read_text().split()[:2] for name in HOSTS}
        (directory / "known_hosts").write_text("".join(f"{name} {' '.join(key)}\n" for name, key in pinned.items()))
        lines = [f"{json.dumps(name)}: {json.dumps(digest)}\n" for name, digest in digests.items()]
        (directory / "images.lock.yaml").write_text("".join(lines))
        (directory / "ca").mkdir(exist_ok=True)
        shutil.copy(self._root.certificate, directory / "ca/root.crt")
        (directory / "state").mkdir(exist_ok=True)
        (directory / machines.RESOLVERS_DIRECTORY).mkdir(exist_ok=True)
        plugins, built = directory / "pulumi-home/plugins", Path(record.toolchain) / "home/plugins"
        plugins.parent.mkdir(exist_ok=True)
        if not plugins.is_symlink() or plugins.readlink() != built:
            plugins.unlink(missing_ok=True)
            plugins.symlink_to(built)
        (plugins.parent / "logs").touch()  # a file where the engine would make the directory of its automatic log: docs/adr/0026

    def _cloud(self, record: Record) -> Machine:
        return machines.cloud(self.layout, record, Certificate.in_directory(self._root.certificate.parent, CLOUD), self._root)

    def _storage(self, record: Record) -> Machine:
        return machines.storage(self.layout, record, Certificate.in_directory(self.layout.shared / "ca", STORAGE))

    def _host(self, record: Record, name: str) -> Machine:
        return machines.host(self.layout, record, name, self._host_key(name), self._deploy_key)

    def _operator(self, record: Record) -> Machine:
        return machines.operator(self.layout, record, self._deploy_key)

    @property
    def _root(self) -> Certificate:
        return Certificate.in_directory(self.layout.shared / "ca", "root")

    @property
    def _deploy_key(self) -> Path:
        return self.layout.directory / "deploy-key"

    def _host_key(self, name: str) -> Path:
        return self.layout.directory / "hosts" / name / "ssh_host_ed25519_key"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """A lock on the shared cache and on the choice of addresses: one lab at a time."""
        self.layout.shared.mkdir(parents=True, exist_ok=True)
        with (self.layout.shared / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _compile(packages: Path, operator: Image) -> None:
    """Compile the operator's packages to bytecode, since it mounts them read-only; programs then start in half the time."""
    if not (packages / "bytecode").exists():
        owner = packages.stat()
        docker(
            *("run", "--rm", "--user", f"{owner.st_uid}:{owner.st_gid}", "--volume", f"{packages}:/opt/vpai/site"),
            *(operator.tag, "python3", "-m", "compileall", "-q", "-j", "0", "/opt/vpai/site"),
        )
        (packages / "bytecode").touch()


def _start_all(wanted: tuple[Machine, ...]) -> None:
    """Start the machines in parallel and wait until each is ready."""
    with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        for started in [pool.submit(machine.start) for machine in wanted]:
            started.result()
