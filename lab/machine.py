"""One container of the lab as a machine; created when it is missing or its description changed."""

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

from lab import engine
from lab.engine import docker
from lab.errors import LabError
from lab.layout import LABEL

RECIPE = f"{LABEL}.recipe"


@dataclass(frozen=True)
class FileInside:
    """A file to put into a machine before its first start; owners are numeric, as tar needs them."""

    content: str
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Machine:
    """Description of a container. Volumes in `lasting` survive when the machine is created anew.

    `resolver` is a file outside the machine and its content: the machine's /etc/resolv.conf at its first start.
    """

    name: str
    container: str
    image: str
    network: str
    addresses: tuple[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    files: Mapping[str, FileInside] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    lasting: tuple[str, ...] = ()
    resolver: tuple[Path, str] | None = None
    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        command: Sequence[str],
        *,
        input: str | None = None,
        check: bool = True,
        timeout: float | None = None,
        environment: Mapping[str, str] | None = None,
        directory: str = "",
    ) -> CompletedProcess[str]:
        """Run `command` in the machine; with `check`, a failure raises `CalledProcessError` with its output."""
        return subprocess.run(
            [*self.exec_command(environment, directory, ["-i"]), *command],
            input=input or "",
            capture_output=True,
            text=True,
            check=check,
            timeout=timeout,
        )

    def exec_command(
        self, environment: Mapping[str, str] | None = None, directory: str = "", options: Sequence[str] = ()
    ) -> list[str]:
        """The `docker exec` command for this machine, without the words to run."""
        variables = {**self.environment, **(environment or {})}
        return [
            *(*engine.command(), "exec", *options),
            *(argument for name, value in variables.items() for argument in ("--env", f"{name}={value}")),
            *(("--user", self.user) if self.user else ()),
            *(("--workdir", directory) if directory else ()),
            self.container,
        ]

    @property
    def recipe(self) -> str:
        """A hash of everything that the container is created from."""
        files = {path: vars(file) for path, file in self.files.items()}
        volumes = [*self.volumes, *self.lasting]
        facts = [self.image, self.network, self.addresses, dict(self.labels), self.options, files, volumes, self.resolver]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def start(self) -> None:
        """Make the machine run as described, and wait until it is ready."""
        shown = f'{{{{index .Config.Labels "{RECIPE}"}}}} {{{{.State.Status}}}}'
        state = docker("container", "inspect", "--format", shown, self.container, check=False).stdout.split()
        if state == [self.recipe, "running"]:
            return
        if state != [self.recipe, "exited"]:
            # Missing, described differently, or half-created ("created") by an interrupted run.
            self.remove()
            self._create()
        docker("start", self.container)
        self._wait()

    def remove(self, *, forget: bool = False) -> None:
        """Remove the container and its volumes; with `forget`, also the lasting ones."""
        docker("rm", "--force", "--volumes", self.container, check=False)
        for volume in (*self.volumes, *(self.lasting if forget else ())):
            docker("volume", "rm", "--force", volume.partition(":")[0])

    def _wait(self) -> None:
        try:
            self.run(["sh", "/usr/local/lib/lab/ready.sh"], timeout=60)
        except subprocess.CalledProcessError as error:
            raise self._not_ready(error.stderr.strip()) from error
        except subprocess.TimeoutExpired as error:
            raise self._not_ready("it did not say so within 60 s") from error

    def _not_ready(self, reason: str) -> LabError:
        logged = docker("logs", "--tail", "20", self.container, check=False)
        return LabError(
            f"{self.name} does not become ready, so nothing can be deployed: {reason}\nLook into it with "
            f"`docker exec -it {self.container} bash`, or begin again: python3 -m lab down && python3 -m lab up\n"
            f"Its last log lines:\n{logged.stdout}{logged.stderr}"
        )

    def _create(self) -> None:
        labels = [f"--label={name}={value}" for name, value in {**self.labels, RECIPE: self.recipe}.items()]
        volumes = [*self.volumes, *self.lasting]
        for volume in volumes:
            docker("volume", "create", *(label for label in labels if RECIPE not in label), volume.partition(":")[0])
        if self.resolver:
            path, content = self.resolver
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        v4, v6 = self.addresses
        docker(
            *("create", "--name", self.container, "--hostname", self.name),
            *("--network", self.network, "--ip", v4, "--ip6", v6),
            *labels,
            *(f"--volume={volume}" for volume in volumes),
            *((bind(self.resolver[0], "/etc/resolv.conf"),) if self.resolver else ()),
            *self.options,
            self.image,
        )
        if self.files:
            docker("cp", "-", f"{self.container}:/", input=_archive(self.files))


def bind(source: Path, target: str = "", *, readonly: bool = False) -> str:
    """The docker option that mounts `source` into a container, by default at the same path.

    With `--volume` the engine would create a directory for a missing source, e.g. when it restarts the lab of a deleted checkout;
    the next lab could not write its file there.
    """
    return f"--mount=type=bind,source={source},target={target or source}{',readonly' if readonly else ''}"


def _archive(files: Mapping[str, FileInside]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, file in files.items():
            data = file.content.encode()
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode, entry.uid, entry.gid = len(data), file.mode, file.uid, file.gid
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
