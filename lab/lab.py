"""Raise, use and remove the lab of one checkout."""

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
from lab.images import SERVICES, Build, Image, Inputs, describe
from lab.layout import CLOUD, LABEL, OPERATOR, PROVIDERS, REGISTRY, SESE, Addresses, Layout
from lab.machine import Machine
from lab.record import Record
from lab.registry import Registry
from toolchain.progress import step
from toolchain.provision import provide


@dataclass(frozen=True)
class Lab:
    """The lab of one checkout, running or not."""

    layout: Layout

    @classmethod
    def of_checkout(cls, checkout: Path) -> "Lab":
        return cls(Layout.of_checkout(checkout))

    def up(self) -> None:
        """Raise the lab, or what of it is missing or out of date."""
        with step("Docker engine"):
            engine.prepare()
        toolchain, _ = provide()
        with step("keys and certificates"):
            self._make_keys()
        images = describe(Inputs(self._root.certificate.read_text(), toolchain / "bin/caddy", self.layout.shared))
        with self._locked():
            site, digests = self._provide_images(images)
            with step("networks"):
                addresses = network.ensure(self.layout)
        record = Record(
            id=self.id,
            number=addresses.number,
            containers={name: self.layout.named(name) for name in (CLOUD, OPERATOR, SESE)},
            images={CLOUD: images["cloud"].tag, OPERATOR: images["operator"].tag, SESE: images["host"].tag},
            toolchain=str(toolchain),
            python_site=str(site),
        )
        with step("machines"):
            self._write_files(record, digests)
            _start_all((self._cloud(record), self._sese(record), self._operator(record)))
        record.save(self.layout.directory)

    def down(self) -> None:
        """Remove every container, volume, network and file of this lab; the shared cache stays."""
        engine.prepare()
        mine = ("--filter", f"label={LABEL}={self.id}")
        with step("remove containers and volumes"):
            if containers := docker("ps", "--all", "--quiet", *mine).stdout.split():
                docker("rm", "--force", "--volumes", *containers)
            if volumes := docker("volume", "ls", "--quiet", *mine).stdout.split():
                docker("volume", "rm", "--force", *volumes)
        with step("remove networks and files"):
            network.remove(self.layout)
            shutil.rmtree(self.layout.directory, ignore_errors=True)

    @property
    def id(self) -> str:
        return self.layout.id

    @cached_property
    def record(self) -> Record:
        """What `up` wrote; raises `LabError` before the first `up`."""
        return Record.load(self.layout.directory)

    @property
    def addresses(self) -> Addresses:
        return self.record.addresses

    @property
    def cloud(self) -> Machine:
        """Names, images and model providers."""
        return self._cloud(self.record)

    @property
    def operator(self) -> Machine:
        """The machine that deploys."""
        return self._operator(self.record)

    @property
    def sese(self) -> Machine:
        """The host that is deployed to."""
        return self._sese(self.record)

    def _make_keys(self) -> None:
        self.layout.directory.mkdir(exist_ok=True)
        with self._locked():
            root = authority(self._root.certificate.parent)
            issue(root, root.certificate.parent, CLOUD, (REGISTRY.partition(":")[0], *PROVIDERS))
        for path in (self._host_key, self._deploy_key):
            if not path.with_suffix(".pub").exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)
                command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"vpai lab {self.id}", "-f", str(path)]
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def _provide_images(self, images: Mapping[str, Image]) -> tuple[Path, Mapping[str, str]]:
        """Build what is missing and fill the registry; the operator's python packages and the images' digests."""
        contexts = self.layout.shared / "build"
        shutil.rmtree(contexts, ignore_errors=True)  # of a run that was killed
        fetch.remove_leftovers(self.layout.shared)
        registry = Registry.of(self.layout)
        unpublished = [name for name, digest in registry.digests(images).items() if digest is None]
        build = Build(images, contexts)
        with step("images", detail=lambda: ", ".join(build.working)), ThreadPoolExecutor(max_workers=1) as pool:
            site = pool.submit(fetch.site_packages, self.layout.checkout / "requirements.txt", self.layout.shared)
            build.run(["cloud", "operator", "host", *(SERVICES[name].recipe for name in unpublished)])
            packages = site.result()
            _compile(packages, images["operator"])
        if unpublished:
            with step(f"publish {len(unpublished)} images"):
                registry.publish(unpublished, images, images["cloud"])
        return packages, {name: digest for name, digest in registry.digests(images).items() if digest}

    def _write_files(self, record: Record, digests: Mapping[str, str]) -> None:
        """What the program's lab settings point to, and what the operator's pulumi needs."""
        directory = self.layout.directory
        (directory / "resolv.conf").write_text(f"nameserver {record.addresses.on_internet(CLOUD)}\n")
        algorithm, key, *_ = self._host_key.with_suffix(".pub").read_text().split()
        (directory / "known_hosts").write_text(f"{SESE} {algorithm} {key}\n")
        lines = [f"{json.dumps(name)}: {json.dumps(digest)}\n" for name, digest in digests.items()]
        (directory / "images.lock.yaml").write_text("".join(lines))
        (directory / "ca").mkdir(mode=0o700, exist_ok=True)
        shutil.copy(self._root.certificate, directory / "ca/root.crt")
        shutil.copy(self._root.key, directory / "ca/root.key")
        (directory / "state").mkdir(exist_ok=True)
        plugins, built = directory / "pulumi-home/plugins", Path(record.toolchain) / "home/plugins"
        plugins.parent.mkdir(exist_ok=True)
        if not plugins.is_symlink() or plugins.readlink() != built:
            plugins.unlink(missing_ok=True)
            plugins.symlink_to(built)

    def _cloud(self, record: Record) -> Machine:
        return machines.cloud(self.layout, record, Certificate.in_directory(self.layout.shared / "ca", CLOUD))

    def _sese(self, record: Record) -> Machine:
        return machines.sese(self.layout, record, self._host_key, self._deploy_key)

    def _operator(self, record: Record) -> Machine:
        return machines.operator(self.layout, record, self._deploy_key)

    @property
    def _root(self) -> Certificate:
        return Certificate.in_directory(self.layout.shared / "ca", "root")

    @property
    def _deploy_key(self) -> Path:
        return self.layout.directory / "deploy-key"

    @property
    def _host_key(self) -> Path:
        return self.layout.directory / "hosts/sese/ssh_host_ed25519_key"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One lab at a time fills the shared cache and chooses addresses."""
        self.layout.shared.mkdir(parents=True, exist_ok=True)
        with (self.layout.shared / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _compile(packages: Path, operator: Image) -> None:
    """Leave bytecode of the operator's python beside the packages, which it sees read-only: a program starts in half the time."""
    if not (packages / "bytecode").exists():
        owner = packages.stat()
        docker(
            *("run", "--rm", "--user", f"{owner.st_uid}:{owner.st_gid}", "--volume", f"{packages}:/opt/vpai/site"),
            *(operator.tag, "python3", "-m", "compileall", "-q", "-j", "0", "/opt/vpai/site"),
        )
        (packages / "bytecode").touch()


def _start_all(wanted: tuple[Machine, ...]) -> None:
    """Start the machines side by side and wait until each is ready to be used."""
    with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        for started in [pool.submit(machine.start) for machine in wanted]:
            started.result()
