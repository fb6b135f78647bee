"""Images: what runs is what was looked at."""

import re
from collections.abc import Iterator

from policy.program import REMOTE_IMAGE, Program, Resource
from policy.rule import Finding, ResourceRule, Severity

_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_FLOATING = ("", "latest", "edge", "main", "master", "nightly", "stable")


def _pinned(image: Resource, _: Program) -> Iterator[Finding]:
    name = image.text("name")
    if not _DIGEST.fullmatch(name):
        yield Finding(what=f"{name} is not pinned by digest", subject=name)


def _named_version(image: Resource, _: Program) -> Iterator[Finding]:
    name = image.text("name")
    if "@" not in name and _tag(name) in _FLOATING:
        yield Finding(what=f"{name} follows whatever its publisher pushes", subject=name)


def _tag(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[2]


DIGEST = ResourceRule(
    name="images-pinned",
    asks="An image is pinned by its digest.",
    severity=Severity.HIGH,
    decides=("CIS-5.28", "CL-0019"),
    why="its tag can be moved to other content under us; DIUN tells when a newer one is out",
    mend="make images WRITE=1, where the registries can be reached",
    example="docker.io/library/redis:8.0-bookworm: sha256:...",
    open_in_preview=True,
    types=(REMOTE_IMAGE,),
    check=_pinned,
)
VERSION = ResourceRule(
    name="images-named-version",
    asks="An image names its version, by digest or by a tag that stays.",
    severity=Severity.MEDIUM,
    decides=("CL-0004",),
    why="two hosts would run two versions under one name, and none could go back",
    mend="name the version; a publisher without versions is pinned by digest",
    example="docker.io/library/redis:8.0-bookworm",
    open_in_preview=True,
    types=(REMOTE_IMAGE,),
    check=_named_version,
)

RULES = (DIGEST, VERSION)
