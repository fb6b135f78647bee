"""What an image's configuration bears out of what its service says, and what is known to have passed."""

import asyncio
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import yaml

from model.image import ImageLock
from model.route import Access, Route
from model.service import Configuration, File, Healthcheck, Limits, Logs, NotCollected, Replacement, Service
from operations.checks.verify_images import Image, Verdict, lies, record, write
from services import zerobyte
from stacks import deployment
from tests.support.fleets import NAMES, inputs

SERVICE = Service(
    name="shop",
    image="registry.example/shop:1",
    networks=("backend",),
    limits=Limits(memory_mib=64, cpus=0.5),
    replacement=Replacement.STOP_FIRST,
    metrics=NotCollected(reason="none"),
    logs=Logs.PLAIN,
    entrypoint=("/init", "--"),
    command=("shop", "serve"),
    secret_environment={"KEY": "value"},
    configuration=Configuration(directory="/etc/shop", owner="1000:1000", files=(File(path="a", content="a"),)),
    volumes=(replace(zerobyte.service(NAMES).volumes[0], path="/data", owner="1000:1000"),),
    healthcheck=Healthcheck(command=("wget", "-q", "http://127.0.0.1/"), interval=1, timeout=1, retries=1, start_period=1),
)
TRUE = Image(entrypoint=("/init", "--"), command=("shop", "serve"), user="1000", ports=(80,), volumes=("/data",))


def said(image: Image, *absent: str, service: Service = SERVICE) -> list[str]:
    return list(lies(service, image, lambda program: program not in absent))


def test_an_image_that_is_as_declared_tells_no_lie() -> None:
    assert said(TRUE) == []


@pytest.mark.parametrize(
    ("image", "absent", "lie"),
    [
        (replace(TRUE, entrypoint=("/sbin/tini",)), (), "entrypoint: /init -- is declared, the image has /sbin/tini"),
        (TRUE, ("/init",), "entrypoint: /init is not in the image"),
        (TRUE, ("shop",), "command: shop is not in the image"),
        (TRUE, ("wget",), "healthcheck: wget is not in the image"),
        (TRUE, ("sh",), "shell: sh is not in the image"),
        (replace(TRUE, user="1001"), (), "user: /etc/shop belongs to 1000:1000, the service runs as 1001"),
        (
            replace(TRUE, volumes=("/data", "/cache")),
            (),
            "volume: the image keeps data in /cache, which no volume of the service keeps",
        ),
    ],
)
def test_each_lie_is_found(image: Image, absent: tuple[str, ...], lie: str) -> None:
    assert lie in said(image, *absent)


def test_a_user_and_a_port_that_the_image_does_not_know_are_found() -> None:
    service = replace(SERVICE, user="1000:1000")
    assert "user: 1000:1000 is declared, the image runs as 1001" in said(replace(TRUE, user="1001"), service=service)
    routed = replace(SERVICE, routes=(Route(subdomain="shop", port=8080, access=Access.VPN),))
    assert said(TRUE, service=routed) == ["port: 8080 is declared, the image exposes 80"]


def test_production_says_which_images_were_never_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", said.append)
    monkeypatch.setattr(deployment, "client_config", lambda *_: "")
    monkeypatch.setattr(deployment, "_Deployment", MagicMock())
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: True)
    asyncio.set_event_loop(asyncio.new_event_loop())  # which another test may have taken away
    production = replace(inputs("lab"), unresolved=(), unverified=("ghcr.io/nicotsx/zerobyte:v0.26.0",))
    deployment.deploy(production, Path())
    assert said == [deployment.unverified("lab", production.unverified)] and "ghcr.io/nicotsx/zerobyte:v0.26.0" in said[0]


def test_a_service_may_lower_the_images_root() -> None:
    assert said(replace(TRUE, user=""), service=replace(SERVICE, user="1000:1000")) == []


def test_an_image_counts_as_verified_under_the_digest_with_which_it_passed(tmp_path: Path) -> None:
    lock = tmp_path / "images.lock.yaml"
    lock.write_text(f"a:1: sha256:{'a' * 64}\nb:1: sha256:{'b' * 64}\n")

    def unverified() -> tuple[str, ...]:
        passed = yaml.safe_load(record(lock).read_text()) if record(lock).exists() else {}
        return ImageLock(yaml.safe_load(lock.read_text())).unverified(passed, ("a:1", "b:1"))

    assert unverified() == ("a:1", "b:1")
    write(lock, [Verdict("a", "a:1", ()), Verdict("b", "b:1", ("it ended",))])
    assert unverified() == ("b:1",)
    lock.write_text(f"a:1: sha256:{'c' * 64}\nb:1: sha256:{'b' * 64}\n")
    assert unverified() == ("a:1", "b:1")
    assert record(lock).name == "images.verified.yaml"
