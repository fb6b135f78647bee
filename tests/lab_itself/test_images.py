"""The lab's images under the services of the catalogue, each alone on this machine's engine: the service starts as it is declared
and its healthcheck succeeds; a stand-in refuses to start where the real image would."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from lab import Lab
from lab.engine import docker
from lab.images import SERVICES
from lab.layout import LABEL, REGISTRY
from model.secret import Generated, Secret, resolve, sourced
from model.service import Configuration, File, Service
from services import (
    alloy,
    cadvisor,
    couchdb,
    diun,
    grafana,
    loki,
    n8n,
    nocodb,
    node_exporter,
    openclaw,
    qdrant,
    sure,
    uptime_kuma,
    victoriametrics,
    zerobyte,
)
from services.alloy.collection import DIRECTORY as ALLOY_DIRECTORY
from tests.support.fleets import NAMES, PROJECT, context

DOMAIN = "vpai.test"
SETTLED = 1.0
"""Seconds after which a program that refuses its configuration has ended: `kill -0 1` may be asked before."""


def _with_file(service: Service, file: File) -> Service:
    assert service.configuration
    return replace(service, configuration=replace(service.configuration, files=(*service.configuration.files, file)))


CATALOGUE: Mapping[str, Service] = {
    service.name: service
    for service in (
        qdrant.service(),
        openclaw.service(context()),
        nocodb.service(NAMES),
        sure.web(context()),
        sure.worker(context()),
        grafana.service(context()),
        loki.service(),
        replace(
            alloy.service((), ()),
            configuration=Configuration(directory=ALLOY_DIRECTORY, files=(File(path="config.alloy", content=""),)),
        ),
        cadvisor.service(),
        couchdb.service(),
        _with_file(diun.service(), diun.watched(("docker.io/library/redis:8.0-bookworm",))),
        uptime_kuma.service(),
        zerobyte.service(NAMES),
        victoriametrics.service(),
        node_exporter.service(),
    )
}
STAND_INS = [name for name, service in CATALOGUE.items() if SERVICES[service.image].parent == "stand-in"]

Start = Callable[[Service], str]
"""Starts a service; its container's id."""


@pytest.fixture(scope="module")
def images() -> Lab:
    return Lab.of_checkout(PROJECT)


@pytest.fixture(scope="module")
def server(images: Lab) -> Iterator[str]:
    """The address of something that takes connections where PostgreSQL and Redis would."""
    listen = "import socket,time; s=[socket.create_server(('',port)) for port in (5432,6379)]; time.sleep(3600)"
    tag = images.image("stand-in")
    id = docker("run", "--detach", "--rm", *_MINE, "--entrypoint", "/lab/python", tag, "-c", listen).stdout.strip()
    yield _address(id)
    docker("rm", "--force", id)


@pytest.fixture
def start(images: Lab, server: str, tmp_path: Path) -> Iterator[Start]:
    started: list[str] = []
    tmp_path.chmod(0o755)

    @cache
    def tag(recipe: str) -> str:
        return images.image(recipe)

    def run(service: Service) -> str:
        directory = tmp_path / str(len(started))
        id = docker(
            "run", "--detach", *_options(service, directory, server), tag(SERVICES[service.image].recipe), *_words(service)
        ).stdout.strip()
        started.append(id)
        return id

    yield run
    if started:
        docker("rm", "--force", "--volumes", *started)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_service_starts_as_declared_and_becomes_healthy(name: str, start: Start) -> None:
    service = CATALOGUE[name]
    id = start(service)
    _await_health(id, service)
    for task in service.tasks:
        for _ in range(2):  # idempotent
            docker("exec", "--interactive", id, *task.command, input=_resolved(service, task.stdin))


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_refuses_whatever_the_real_one_would_miss(name: str, start: Start) -> None:
    service = CATALOGUE[name]
    refusals = {wanted: start(broken) for wanted, broken in _broken(service)}
    assert refusals or name in ("cadvisor",)
    assert [wanted for wanted, id in refusals.items() if wanted not in _refusal(id)] == []


def test_only_the_tools_of_the_real_image_are_there(start: Start) -> None:
    absent = {"loki": ("sh", "wget"), "qdrant": ("curl", "wget"), "grafana": ("apt-get", "python3"), "cadvisor": ("curl", "bash")}
    for name, tools in absent.items():
        id = start(CATALOGUE[name])
        _await_health(id, CATALOGUE[name])
        for tool in tools:
            assert docker("exec", id, tool, "--version", check=False).returncode in (126, 127), f"{name} has {tool}"


def test_make_images_finds_each_image_in_the_registry_as_it_is_pinned(lab: Lab) -> None:
    lock, authority = ".lab/images.lock.yaml", ".lab/ca/root.crt"
    command = ["vpai-python", "-m", "operations.checks.images", "--lock", lock, "--mirror", REGISTRY, "--authority", authority]
    reported = lab.operator.run(command, directory=str(PROJECT)).stdout
    assert f"{len(lab.served)} same" in reported.splitlines()[-1], reported


_MINE = ("--label", f"{LABEL}.test=images")


def _options(service: Service, directory: Path, server: str) -> list[str]:
    """As components/docker/service_container.py runs it; data lies in memory."""
    words = [*_MINE, "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", f"{service.limits.memory_mib}m"]
    words += [f"--add-host={name}:{server}" for name in ("postgresql", "redis")]
    words += [f"--cap-add={name}" for name in service.capabilities]
    words += ["--init"] if service.init_process else []
    words += ["--read-only"] if service.read_only_root else []
    words += ["--user", service.user] if service.user else []
    words += [f"--env={name}={value}" for name, value in service.environment.items()]
    words += [f"--tmpfs={path}:mode=1777" for path in service.tmpfs]
    words += [f"--sysctl={name}={value}" for name, value in service.sysctls.items()]
    words += [f"--volume={mount.path}:{mount.container_path}:ro" for mount in service.host_mounts]
    for volume in service.volumes:
        uid, gid = volume.owner.split(":")
        words += [f"--tmpfs={volume.path}:uid={uid},gid={gid},mode={volume.mode:04o}"]
    if service.configuration:
        _write_files(service, directory)
        words += [f"--volume={directory}:{service.configuration.directory}:ro"]
    entrypoint = _entrypoint(service)
    return [*words, *(["--entrypoint", entrypoint[0]] if entrypoint else [])]


def _words(service: Service) -> list[str]:
    return [*_entrypoint(service)[1:], *service.command]


def _entrypoint(service: Service) -> tuple[str, ...]:
    return (*service.with_secrets, *service.entrypoint)


def _write_files(service: Service, directory: Path) -> None:
    assert service.configuration
    files = {file.path: file.content for file in service.configuration.files}
    files["environment"] = sourced(service.secret_environment)
    owner = [int(id) for id in service.configuration.owner.split(":")]
    directory.mkdir()
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_resolved(service, content))
        path.chmod(0o400 if os.getuid() == 0 else 0o444)
    for path in (directory, *directory.rglob("*")):
        if os.getuid() == 0:
            os.chown(path, *owner)


def _resolved(service: Service, text: str) -> str:
    return resolve(text, {secret.name: _value(secret) for secret in _secrets(service)})


def _secrets(service: Service) -> Iterator[Secret]:
    yield from service.secrets
    yield from (database.password for database in (nocodb.DATABASE, sure.DATABASE, n8n.DATABASE))


def _value(secret: Secret) -> str:
    if isinstance(secret.source, Generated):
        return secret.source.prefix + (hashlib.sha256(secret.name.encode()).hexdigest() * 2)[: secret.source.length]
    return "123456" if secret.name.endswith("chat_id") else "123456:0123456789abcdef0123456789abcdef"


def _broken(service: Service) -> Iterator[tuple[str, Service]]:
    """The service without one of the things that its stand-in's specification demands, and that thing's name."""
    recipe = SERVICES[service.image].recipe
    needs = json.loads((PROJECT / "lab/images" / recipe / "spec.json").read_text())["needs"]
    for name in needs.get("environment", ()):
        # Empty, and not away: an image may have a default.
        plain = {**{key: value for key, value in service.environment.items() if not key.startswith(name)}, name: ""}
        secret = {key: value for key, value in service.secret_environment.items() if key != name}
        yield name, replace(service, environment=plain, secret_environment=secret)
    for volume in service.volumes if needs.get("writable") else ():
        others = tuple(other for other in service.volumes if other != volume)
        yield volume.path, replace(service, volumes=(*others, replace(volume, owner="1:1", mode=0o555)), capabilities=())
    if service.configuration and (needs.get("files") or needs.get("arguments")):
        yield service.configuration.directory, replace(service, configuration=replace(service.configuration, files=()))
    if "uid" in needs:
        configuration = service.configuration and replace(service.configuration, owner="65534:65534")
        yield "user 65534", replace(service, user="65534:65534", configuration=configuration)
    for name in needs.get("reaches", ()):
        nowhere = {**service.secret_environment, name: service.secret_environment[name].replace("@postgresql", "@127.0.0.1")}
        nowhere[name] = nowhere[name].replace("@redis", "@127.0.0.1").replace("//postgresql", "//127.0.0.1")
        yield name, replace(service, secret_environment=nowhere)


def _address(id: str) -> str:
    return docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", id).stdout.strip()


def _await_health(id: str, service: Service) -> None:
    deadline = time.monotonic() + max(60, service.healthcheck.deadline)
    while True:
        asked = docker("exec", id, *service.healthcheck.command, check=False)
        if asked.returncode == 0:
            time.sleep(SETTLED)
        runs = docker("inspect", "--format", "{{.State.Running}}", id).stdout.strip() == "true"
        if asked.returncode == 0 and runs:
            return
        if time.monotonic() > deadline or not runs:
            logs = docker("logs", id, check=False)
            pytest.fail(f"{service.name}: {asked.stdout}{asked.stderr}\n{logs.stdout}{logs.stderr}")
        time.sleep(0.2)


def _refusal(id: str) -> str:
    """What a container that ended by itself with the code of a wrong configuration said."""
    code = docker("wait", id).stdout.strip()
    said = docker("logs", id)
    assert code == "78", said.stdout + said.stderr
    return "\n".join(entry["refused"] for line in said.stdout.splitlines() if "refused" in (entry := json.loads(line)))
