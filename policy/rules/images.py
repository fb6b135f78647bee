"""Images: each is pinned by its digest and names its version."""

import re
from collections.abc import Iterator

from pulumi_policy.proxy import UnknownValueError

from policy.program import CONTAINER, IMAGE_TAG, REMOTE_IMAGE, Program, Resource
from policy.rule import Finding, ResourceRule, Severity

_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_ID = re.compile(r"sha256:[0-9a-f]")
_KEYS = {REMOTE_IMAGE: "name", CONTAINER: "image", IMAGE_TAG: "sourceImage"}
_FLOATING = ("", "latest", "edge", "main", "master", "nightly", "stable")


def _pinned(image: Resource, program: Program) -> Iterator[Finding]:
    name = _name(image)
    if name and not _DIGEST.fullmatch(name) and not _is_pulled(image, name):
        yield Finding(what=f"{name} is not pinned by digest", subject=name)


def _named_version(image: Resource, _: Program) -> Iterator[Finding]:
    name = _name(image)
    if name and "@" not in name and not _is_pulled(image, name) and _tag(name) in _FLOATING:
        yield Finding(what=f"{name} follows whatever its publisher pushes", subject=name)


def _name(resource: Resource) -> str:
    """The image that is pulled, run or tagged. Empty in a preview where a RemoteImage provides it, which is checked itself."""
    try:
        return resource.text(_KEYS[resource.type])
    except UnknownValueError:
        if resource.type == REMOTE_IMAGE:
            raise
        return ""


def _is_pulled(resource: Resource, name: str) -> bool:
    """Whether a container or a tag names its image by content: such an image is already on the host."""
    return resource.type != REMOTE_IMAGE and bool(_ID.match(name))


def _tag(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[2]


DIGEST = ResourceRule(
    name="images-pinned",
    asks="An image is pinned by its digest.",
    severity=Severity.HIGH,
    decides=("CIS-5.28", "CL-0019"),
    why="its tag can be moved to other content under us; DIUN tells when a newer one is out",
    fix="make images WRITE=1, where the registries can be reached",
    example="docker.io/library/redis:8.0-bookworm: sha256:...",
    open_in_preview=True,
    types=tuple(_KEYS),
    check=_pinned,
)
VERSION = ResourceRule(
    name="images-named-version",
    asks="An image names its version, by digest or by a tag that stays.",
    severity=Severity.MEDIUM,
    decides=("CL-0004",),
    why="two hosts would run two versions under one name, and none could go back",
    fix="name the version; a publisher without versions is pinned by digest",
    example="docker.io/library/redis:8.0-bookworm",
    open_in_preview=True,
    types=tuple(_KEYS),
    check=_named_version,
)

RULES = (DIGEST, VERSION)
