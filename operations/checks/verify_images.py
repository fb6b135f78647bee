"""`make verify-images`: compares each image with its service's declaration, then starts the service alone, without egress.

It needs a Docker engine and the registries; it needs no host and no secret: generated and external values are dummies. Passed
images are recorded beside the image lock, so that `up` can name the images that were never verified. Host mounts are left out:
an image that was never verified sees nothing of this machine.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from model.image import ImageLock, verified_file
from model.secret import External, Generated, Secret, resolve
from model.service import Metrics, Service
from operations.checks.images import LOCK
from operations.reference.catalogue import example_fleet
from operations.secrets.dummies import dummy
from operations.stack import PROJECT
from operations.table import table

_LABEL = "vpai.verify"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image's configuration, from `docker image inspect`."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    ports: tuple[int, ...] = ()
    volumes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, config: Mapping[str, Any]) -> "Image":
        return cls(
            entrypoint=tuple(config.get("Entrypoint") or ()),
            command=tuple(config.get("Cmd") or ()),
            user=config.get("User") or "",
            ports=tuple(sorted(int(port.partition("/")[0]) for port in config.get("ExposedPorts") or {})),
            volumes=tuple(sorted(config.get("Volumes") or {})),
        )


def lies(service: Service, image: Image, has: Callable[[str], bool]) -> Iterator[str]:
    """A sentence for each declaration of `service` that `image` contradicts. `has`: whether a program is in the image."""
    if service.entrypoint and image.entrypoint and service.entrypoint != image.entrypoint:
        yield f"entrypoint: {_words(service.entrypoint)} is declared, the image has {_words(image.entrypoint)}"
    # A command may differ: ours adds arguments, or leaves a script out. Its program must exist; the start shows the rest.
    start, command = service.entrypoint or image.entrypoint, service.command or image.command
    asked = {
        "entrypoint": start[:1],
        "command": tuple(word for word in command[:1] if not word.startswith("-") and (service.command or not start)),
        "healthcheck": service.healthcheck.command[:1],
        "shell": ("sh",) if service.secret_environment else (),
    }
    for kind, words in asked.items():
        for program in words:
            if not has(program):
                yield f"{kind}: {program} is not in the image"
    uid = (service.user or image.user).partition(":")[0]
    if service.user and image.user.partition(":")[0] not in ("", "0", "root", uid) and image.user[:1].isdigit():
        yield f"user: {service.user} is declared, the image runs as {image.user}"
    if uid.isdigit() and uid != "0":
        for what, owner in _owners(service):
            if owner.partition(":")[0] != uid:
                yield f"user: {what} belongs to {owner}, the service runs as {uid}"
    for port in sorted(_ports(service)):
        if image.ports and port not in image.ports:
            yield f"port: {port} is declared, the image exposes {', '.join(map(str, image.ports))}"
    ours = {*(volume.path for volume in service.volumes), *service.tmpfs}
    for path in image.volumes:
        if not any(Path(path).is_relative_to(own) or Path(own).is_relative_to(path) for own in ours):
            yield f"volume: the image keeps data in {path}, which no volume of the service keeps"


def _owners(service: Service) -> Iterator[tuple[str, str]]:
    if service.configuration and service.configuration.files:
        yield service.configuration.directory, service.configuration.owner
    yield from ((volume.path, volume.owner) for volume in service.volumes)


def _ports(service: Service) -> set[int]:
    metrics = {service.metrics.port} if isinstance(service.metrics, Metrics) else set()
    return {route.port for route in service.routes} | {port.number for port in service.ports} | metrics


def _words(words: tuple[str, ...]) -> str:
    return " ".join(words) or "nothing"


@dataclass(frozen=True)
class Verdict:
    """The result of one service's image; `said` is empty when all is well."""

    service: str
    image: str
    said: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.said


@dataclass
class Engine:
    """This machine's Docker. All resources of a run carry its label and are removed at its end."""

    lock: ImageLock
    mirror: str = ""
    run: str = field(default_factory=lambda: f"{os.getpid()}")
    secrets: dict[str, str] = field(default_factory=dict)

    def verify(self, service: Service, others: Mapping[str, Service]) -> Verdict:
        """Compare the image, and start the service with the services of `others` that it needs."""
        try:
            self._docker("pull", "--quiet", self._reference(service.image), seconds=900)
            image = self._inspected(service.image)
            found = list(lies(service, image, lambda program: self._has(service.image, program)))
            if not found:
                found = self._started(service, others)
        except CommandRefused as refused:
            found = [str(refused)]
        return Verdict(service.name, service.image, tuple(found))

    def _reference(self, image: str) -> str:
        return self.lock.reference(image, self.mirror)

    def _inspected(self, image: str) -> Image:
        [shown] = json.loads(self._docker("image", "inspect", self._reference(image)))
        return Image.parse(shown["Config"])

    def _has(self, image: str, program: str) -> bool:
        """Whether `program` starts, without a network or arguments; it is stopped at once."""
        options = ("--network", "none", "--label", f"{_LABEL}={self.run}", "--entrypoint", program)
        container = self._docker("create", *options, self._reference(image)).strip()
        try:
            self._docker("start", container)
        except CommandRefused as refused:
            return not any(
                words in str(refused) for words in ("executable file not found", "no such file or directory", "not a directory")
            )
        finally:
            self._docker("rm", "--force", "--volumes", container)
        return True

    def _started(self, service: Service, others: Mapping[str, Service]) -> list[str]:
        network = f"{_LABEL.replace('.', '-')}-{self.run}"
        self.connect(network)
        try:
            for needed in (*_needed(service, others), service):
                if reason := self._healthy(needed, network):
                    return [f"start: {'' if needed is service else needed.name + ', which it needs, '}{reason}"]
        finally:
            found = self._docker("ps", "--all", "--quiet", "--filter", f"label={_LABEL}={self.run}").split()
            if found:
                self._docker("rm", "--force", "--volumes", *found)
            self._docker("network", "rm", network)
        return []

    def connect(self, network: str) -> None:
        """Create a network without egress. Docker picks the subnet: the operator's containers may use any."""
        self._docker("network", "create", "--internal", "--label", f"{_LABEL}={self.run}", network)

    def _healthy(self, service: Service, network: str) -> str:
        """Why the service did not become healthy, or which task failed; empty on success."""
        container = self._docker(*self._create(service, network)).strip()
        for path, archive in self._files(service):
            self._docker("cp", "-", f"{container}:{path}", data=archive)
        self._docker("start", container)
        check = service.healthcheck
        deadline = time.monotonic() + check.deadline
        while not self._inside(container, *check.command, seconds=check.timeout + 5):
            if not json.loads(self._docker("inspect", "--format", "{{json .State.Running}}", container)):
                return f"it ended: {self._last_words(container)}"
            if time.monotonic() > deadline:
                return f"not healthy after {check.deadline} s: {self._last_words(container)}"
            time.sleep(1)
        for task in service.tasks:
            if not self._inside(container, *task.command, data=resolve(task.stdin, self._values(service)).encode(), seconds=300):
                return f"its task {task.name} failed"
        return ""

    def _create(self, service: Service, network: str) -> Iterator[str]:
        configuration = service.configuration
        yield from ("create", "--network", network, "--network-alias", service.name, *self.labels(service), *self.health(service))
        yield from ("--cap-drop", "ALL", "--security-opt", "no-new-privileges:true", "--memory", f"{service.limits.memory_mib}m")
        yield from (word for name in service.capabilities for word in ("--cap-add", name))
        yield from ("--read-only",) if service.read_only_root else ()
        yield from ("--init",) if service.init_process else ()
        yield from ("--user", service.user) if service.user else ()
        yield from (word for path in service.tmpfs for word in ("--tmpfs", f"{path}:rw,noexec,nosuid,nodev,size=64m"))
        yield from (word for name, value in service.sysctls.items() for word in ("--sysctl", f"{name}={value}"))
        yield from self.volumes(service)
        yield from ("--volume", configuration.directory) if configuration else ()
        yield from (word for name, value in service.environment.items() for word in ("--env", f"{name}={value}"))
        entrypoint = service.entrypoint
        if service.secret_environment and configuration:
            read = f'set -a; . {configuration.directory}/environment; set +a; exec "$@"'
            entrypoint = ("sh", "-c", read, "sh", *service.entrypoint)
        yield from ("--entrypoint", entrypoint[0]) if entrypoint else ()
        yield from (self._reference(service.image), *entrypoint[1:], *service.command)

    def labels(self, service: Service) -> Iterator[str]:
        """Labels by which resources of this run are found again."""
        yield from ("--label", f"{_LABEL}={self.run}")

    def health(self, service: Service) -> Iterator[str]:
        """None: the engine runs no healthcheck, `_healthy` does."""
        yield from ()

    def volumes(self, service: Service) -> Iterator[str]:
        """Volumes in memory: Docker cannot set the owner of a volume of its own."""
        for volume in service.volumes:
            uid, gid = volume.owner.split(":")
            yield from ("--tmpfs", f"{volume.path}:exec,uid={uid},gid={gid},mode={volume.mode:04o}")

    def _files(self, service: Service) -> Iterator[tuple[str, bytes]]:
        """The directory of the rendered configuration, and its files as an archive."""
        if configuration := service.configuration:
            values = self._values(service)
            texts = {file.path: (resolve(file.content, values), file.mode) for file in configuration.files}
            if service.secret_environment:
                lines = (f"{name}='{resolve(value, values)}'\n" for name, value in service.secret_environment.items())
                texts["environment"] = ("".join(lines), 0o400)
            yield configuration.directory, _archive(texts, configuration.owner, 0o755)

    def _values(self, service: Service) -> Mapping[str, str]:
        for secret in (*service.secrets, *(database.password for database in service.databases)):
            self.secrets.setdefault(secret.name, dummy_of(secret))
        # A database's password is its server's secret.
        for name in service.referenced_secrets:
            self.secrets.setdefault(name, hashlib.sha256(name.encode()).hexdigest()[:32])
        return self.secrets

    def _inside(self, container: str, *command: str, data: bytes = b"", seconds: float) -> bool:
        try:
            self._docker("exec", "--interactive", container, *command, data=data, seconds=seconds)
        except CommandRefused:
            return False
        return True

    def _last_words(self, container: str) -> str:
        done = subprocess.run(["docker", "logs", "--tail", "3", container], capture_output=True, text=True)
        return " / ".join((done.stdout + done.stderr).split("\n")).strip(" /")[-300:] or "it said nothing"

    def _docker(self, *words: str, data: bytes = b"", seconds: float = 120) -> str:
        try:
            done = subprocess.run(["docker", *words], input=data, capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired as expired:
            raise CommandRefused(f"docker {words[0]}: no end within {seconds:.0f} s") from expired
        if done.returncode:
            raise CommandRefused(f"docker {words[0]}: {done.stderr.decode(errors='replace').strip()[-300:]}")
        return done.stdout.decode()


class CommandRefused(Exception):
    """A Docker command failed; the message is Docker's."""


def _needed(service: Service, others: Mapping[str, Service]) -> Iterator[Service]:
    """The services that must run before `service`, each once, dependencies first."""
    seen: set[str] = set()

    def visit(name: str) -> Iterator[Service]:
        if name in seen or name not in others:
            return
        seen.add(name)
        for deeper in others[name].needs:
            yield from visit(deeper)
        yield others[name]

    for name in service.needs:
        yield from visit(name)


def _archive(texts: Mapping[str, tuple[str, int]], owner: str, mode: int) -> bytes:
    """A tar archive of a directory and the files in it."""
    uid, gid = map(int, owner.split(":"))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:

        def add(name: str, mode: int, content: bytes | None) -> None:
            entry = tarfile.TarInfo(name)
            entry.uid, entry.gid, entry.mode, entry.mtime = uid, gid, mode, int(time.time())
            entry.type, entry.size = (tarfile.DIRTYPE, 0) if content is None else (tarfile.REGTYPE, len(content))
            tar.addfile(entry, io.BytesIO(content or b""))

        add(".", mode, None)
        for parent in sorted({str(parent) for path in texts for parent in Path(path).parents} - {"."}):
            add(f"./{parent}", 0o755, None)
        for path, (text, file_mode) in texts.items():
            add(f"./{path}", file_mode, text.encode())
    return archive.getvalue()


def dummy_of(secret: Secret) -> str:
    """A dummy value of the right form for the secret."""
    match secret.source:
        case Generated(length=length, prefix=prefix):
            # Values differ: OpenClaw refuses the same token for two purposes.
            return prefix + (hashlib.sha256(secret.name.encode()).hexdigest() * (length // 64 + 1))[:length]
        case External(pattern=pattern):
            return dummy(secret.name, pattern)
    return ""


def record(lock: Path) -> Path:
    """Path of the file of the images that passed, each with its digest at the time, or null."""
    return lock.with_name(verified_file(lock.name))


def _read(path: Path) -> dict[str, str | None]:
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def write(lock: Path, verdicts: list[Verdict]) -> None:
    """Add the images whose services all passed; remove those that failed."""
    digests, passed = _read(lock), _read(record(lock))
    failed = {verdict.image for verdict in verdicts if not verdict.ok}
    for image in {verdict.image for verdict in verdicts}:
        passed.pop(image, None)
        if image not in failed:
            passed[image] = digests.get(image)
    head = "# Images that `make verify-images` passed, with the digest of the time.\n"
    record(lock).write_text(head + yaml.safe_dump(dict(sorted(passed.items()))))


def main() -> int:
    """Exit code; 0 when every image matches its service."""
    parser = argparse.ArgumentParser(prog="make verify-images", description=__doc__)
    parser.add_argument("--stack", default="prod", help="whose image lock and mirror (Pulumi.<stack>.yaml)")
    parser.add_argument("services", nargs="*", help="these alone")
    arguments = parser.parse_args()
    arguments.services = [name for name in arguments.services if name]  # make passes an empty name
    file = PROJECT / f"Pulumi.{arguments.stack}.yaml"
    settings: dict[str, Any] = (yaml.safe_load(file.read_text()) or {}).get("config") or {} if file.exists() else {}
    lock = PROJECT / str(settings.get("vpai:imageLock") or LOCK.name)
    engine = Engine(ImageLock(_read(lock)), str(settings.get("vpai:imageMirror") or ""))
    found: dict[tuple[str, str], Service] = {}
    fleet = example_fleet()
    for _, service in fleet.services():
        found.setdefault((service.name, service.image), service)
    others = {service.name: service for service in found.values()}
    wanted = [image for image in found.values() if not arguments.services or image.name in arguments.services]
    if missing := set(arguments.services) - others.keys():
        print(f"no service {', '.join(sorted(missing))}: use some of {', '.join(sorted(others))}", file=sys.stderr)
        return 2
    verdicts = []
    for service in wanted:
        verdicts.append(engine.verify(service, others))
        print(f"{'ok' if verdicts[-1].ok else 'NO'}  {service.name}", flush=True)
    rows = [(verdict.service, verdict.image, "; ".join(verdict.said) or "as declared, and healthy") for verdict in verdicts]
    print(table(("service", "image", "found"), rows))
    write(lock, verdicts)
    return int(not all(verdict.ok for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
