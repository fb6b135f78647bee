"""`make verify-images` against the lab's registry, with an image that lies in each way."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import Lab
from lab.engine import docker
from lab.layout import LABEL
from model.image import ImageLock
from model.service import Configuration, File, Healthcheck, Limits, Logs, NotCollected, Replacement, Service
from operations.checks.verify_images import Engine
from services import zerobyte
from services.networks import BACKEND
from tests.support.fleets import NAMES, PROJECT
from tests.support.waiting import until

NAME = "registry.example/shop:1"
DATABASE = Service(
    name="keeper",
    image=NAME,
    networks=("backend",),
    limits=Limits(memory_mib=64, cpus=0.5),
    replacement=Replacement.STOP_FIRST,
    metrics=NotCollected(reason="a test's"),
    logs=Logs.PLAIN,
    entrypoint=("/init",),
    command=("serve", "8080"),
    secret_environment={"KEY": "value"},
    configuration=Configuration(directory="/etc/shop", owner="1000:1000", files=(File(path="a/b", content="right"),)),
    volumes=(replace(zerobyte.service(NAMES).volumes[0], path="/data", owner="1000:1000"),),
    healthcheck=Healthcheck(command=("wget", "-qO-", "http://127.0.0.1:8080/"), interval=1, timeout=5, retries=3, start_period=5),
    user="1000:1000",
)
SHOP = replace(DATABASE, name="shop", needs=("keeper",), environment={"ASKS": "http://keeper:8080/"})
# It serves only with its file, its variable, its directory and, where it is told to ask, a neighbour that answers.
INIT = """#!/bin/sh
set -eu
[ "$(cat /etc/shop/a/b)" = right ] && [ "$KEY" = value ] || { echo "no file or no variable"; exit 1; }
echo here > /data/index.html
[ -z "${ASKS-}" ] || [ "$(wget -qO- "$ASKS")" = here ] || { echo "nobody beside"; exit 1; }
[ "$1" = serve ] && exec busybox httpd -f -p "$2" -h /data
echo "unknown command $1"
exit 1
"""
TRUE = """COPY --chmod=755 init /init
RUN ln -sf busybox /usr/bin/wget && ln -s /init /usr/bin/serve && install -d -o 1000 -g 1000 /data
VOLUME /data
EXPOSE 8080
USER 1000:1000
ENTRYPOINT ["/init"]
CMD ["serve", "8080"]
"""
LIES = {
    "entrypoint": (('ENTRYPOINT ["/init"]', 'ENTRYPOINT ["/sbin/tini", "--"]'), "the image has /sbin/tini --"),
    "command": (("ln -s /init /usr/bin/serve", "true"), "command: serve is not in the image"),
    "user": (("USER 1000:1000", "USER 1001:1001"), "user: 1000:1000 is declared, the image runs as 1001:1001"),
    "volume": (("VOLUME /data", 'VOLUME ["/data", "/cache"]'), "volume: the image keeps data in /cache"),
    "tool": (("ln -sf busybox /usr/bin/wget", "true"), "healthcheck: wget is not in the image"),
    "shell": (("USER 1000:1000", "RUN rm /bin/sh /usr/bin/sh -f\nUSER 1000:1000"), "shell: sh is not in the image"),
    "start": (("USER 1000:1000", "RUN sed -i 's/= serve/= never/' /init\nUSER 1000:1000"), "unknown command serve"),
}


@pytest.fixture(scope="module")
def mirror() -> Iterator[str]:
    """The lab's registry, writable, on a loopback port."""
    tag = Lab.of_checkout(PROJECT).image("cloud")
    mine = ("--label", f"{LABEL}.test=verify")
    server = ("docker-registry", "serve", "/etc/docker/registry/registry-publish.yml")
    network = docker("network", "create", *mine, "vpai-verify-registry").stdout.strip()
    options = ("--network", network, "--publish", "127.0.0.1::5000", "--tmpfs", "/var/lib/registry")
    registry = docker("run", "--detach", *mine, *options, tag, *server)
    id = registry.stdout.strip()
    address = docker("port", id, "5000").stdout.split()[0]
    until(lambda: subprocess.run(["curl", "-sf", f"http://{address}/v2/"], capture_output=True).returncode == 0, 20, every=0.2)
    yield address
    docker("rm", "--force", "--volumes", id)
    docker("network", "rm", network)


def pushed(mirror: str, directory: Path, dockerfile: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "init").write_text(INIT)
    (directory / "init").chmod(0o755)
    parent = Lab.of_checkout(PROJECT).image("tools")
    (directory / "Dockerfile").write_text(f"FROM {parent}\n" + dockerfile.replace("--chmod=755 ", ""))
    reference = f"{mirror}/{NAME}"
    docker("build", "--quiet", "--network", "host", "--tag", reference, str(directory))
    docker("push", reference)
    docker("image", "rm", reference)


def found(mirror: str, service: Service) -> tuple[str, ...]:
    engine = Engine(ImageLock({NAME: None}), mirror)
    said = engine.verify(service, {"keeper": DATABASE, "shop": SHOP}).said
    assert docker("ps", "--all", "--quiet", "--filter", f"label=vpai.verify={engine.run}").stdout == "", (
        "something was left behind"
    )
    return said


def test_an_image_that_is_as_declared_starts_alone_with_its_configuration_and_what_it_needs(mirror: str, tmp_path: Path) -> None:
    pushed(mirror, tmp_path / "true", TRUE)
    assert found(mirror, SHOP) == ()


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_is_found(lie: str, mirror: str, tmp_path: Path) -> None:
    (old, new), words = LIES[lie]
    assert old in TRUE
    pushed(mirror, tmp_path / "lie", TRUE.replace(old, new))
    said = found(mirror, DATABASE)
    assert any(words in sentence for sentence in said), said


def test_a_port_that_the_image_does_not_serve_and_an_image_that_is_not_there_are_found(mirror: str, tmp_path: Path) -> None:
    pushed(mirror, tmp_path / "port", TRUE.replace("EXPOSE 8080", "EXPOSE 9090"))
    route = replace(zerobyte.service(NAMES).routes[0], port=8080)
    assert found(mirror, replace(DATABASE, routes=(route,))) == ("port: 8080 is declared, the image exposes 9090",)
    [sentence] = found(mirror, replace(DATABASE, image="registry.example/other:1"))
    assert sentence.startswith("docker pull: ")


def test_two_runs_at_a_time_and_networks_of_the_operators_own_are_in_nobodys_way() -> None:
    taken, engines = "vpai-verify-taken", [Engine(ImageLock({}), run=f"two-{number}") for number in (1, 2)]
    # The range of production's own network: on any machine with a few composed projects Docker has given it away.
    docker("network", "create", "--subnet", str(BACKEND.cidr), taken, check=False)
    try:
        for engine in engines:
            engine.connect(f"vpai-verify-{engine.run}")
    finally:
        docker("network", "rm", taken, *(f"vpai-verify-{engine.run}" for engine in engines), check=False)
