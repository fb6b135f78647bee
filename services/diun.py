"""DIUN 4.31: reports newer tags of the images that run."""

import json
import re
from collections.abc import Iterable, Iterator

from model.backup import Nothing
from model.host import TIMEZONE
from model.overview import Overview
from model.secret import json_text
from model.service import Configuration, File, Healthcheck, Limits, Logs, May, NotCollected, Replacement, Service, Volume
from services import telegram
from services.context import Context
from services.networks import EGRESS

DIRECTORY = "/etc/diun"
IMAGES = "images.yml"
"""The file with the images; written when all images are known."""
_OWN = "ghcr.io/mobutoo/vpai-"
_DEBIAN = "(bookworm|trixie)"
"""Debian releases in tags: Redis from 8.4 on is built for trixie alone."""


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(of.scale, timezone=of.timezone)


def service(scale: float = 1.0, *, timezone: str = TIMEZONE) -> Service:
    """DIUN, which asks the registries over egress. The list of images is added last.

    DIUN does not ask Docker: containers there have images by digest, and a digest has no tag that could be older than another.
    """
    return Service(
        name="diun",
        image="docker.io/crazymax/diun:4.31.0",
        networks=(EGRESS.name,),
        limits=Limits(memory_mib=64, cpus=0.25).scaled(scale),
        replacement=Replacement.STOP_FIRST,
        metrics=NotCollected(reason="shows none; what it finds goes to Telegram"),
        logs=Logs.PLAIN,
        environment={"TZ": timezone, "CONFIG": f"{DIRECTORY}/diun.yml"},
        configuration=Configuration(directory=DIRECTORY, files=(File(path="diun.yml", content=_settings()),)),
        completed_last=_completed,
        secrets=(telegram.MONITORING_TOKEN, telegram.MONITORING_CHAT),
        volumes=(
            Volume(
                path="/data",
                directory="diun",
                owner="0:0",
                mode=0o755,
                backup=Nothing(reason="which tags it has already told of"),
            ),
        ),
        # DIUN has no port; its log shows failed scans.
        may=May(share_uid=0),
        healthcheck=Healthcheck(command=("sh", "-c", "kill -0 1"), interval=30, timeout=5, retries=3, start_period=30),
        capabilities=("DAC_OVERRIDE", "FOWNER"),
        tmpfs=("/tmp",),
    )


def _completed(service: Service, of: Overview) -> Service:
    """`service` with every image that runs on any host."""
    return service.with_files(
        watched(placed_service.image for placement in of.placements for placed_service in placement.services)
    )


def watched(images: Iterable[str]) -> File:
    """The file of images to check, each with the pattern of tags of the same kind as the one that runs.

    Images of this repository are left out: whoever pushes a newer one knows.
    """
    entries = [_entry(image) for image in sorted(set(images)) if not image.startswith(_OWN)]
    return File(path=IMAGES, content=json.dumps(entries, indent=1))


def _entry(image: str) -> dict[str, object]:
    """One image: `18.1-bookworm` is followed by any 18.x or 19.x of Debian; one without a number (`nightly`) by a new digest."""
    _, _, tag = image.rpartition("/")[2].partition(":")
    first, *others = re.findall(r"[0-9]+", tag) or [""]
    if not first:
        return {"name": image, "watch_repo": False}
    before, *after = (part.replace(".", "[.]").replace("bookworm", _DEBIAN) for part in re.split(r"[0-9]+", tag))
    if len(others) == 2:
        # The newest three: each tag that is seen for the first time is a pull at Docker Hub, which counts pulls.
        kind = before + "".join(f"[0-9]+{part}" for part in after)
        return {"name": image, "watch_repo": True, "sort_tags": "semver", "max_tags": 3, "include_tags": [f"^{kind}$"]}
    # Not semantic versions: sorted as such, the oldest come first (crazy-max/diun v4.31.0, pkg/registry/tags.go).
    kind = f"{before}({first}|{int(first) + 1})" + "[0-9]+".join(after)
    return {"name": image, "watch_repo": True, "include_tags": [f"^{kind}$"]}


def _settings() -> str:
    """DIUN's settings in JSON, which is YAML too."""
    return json_text(
        {
            "watch": {"schedule": "0 */6 * * *", "firstCheckNotif": False, "runOnStartup": True},
            "providers": {"file": {"filename": f"{DIRECTORY}/{IMAGES}"}},
            "notif": {"telegram": {"token": str(telegram.MONITORING_TOKEN), "chatIDs": [str(telegram.MONITORING_CHAT)]}},
        },
        indent=2,
    )
