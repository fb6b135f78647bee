"""`python -m operations.checks.images`: asks an image's registry for the digest of its tag, and compares with the image lock."""

import argparse
import hashlib
import json
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml

from operations.table import table

LOCK = Path(__file__).parent.parent.parent / "images.lock.yaml"
_SECONDS = 20
_MANIFESTS = ", ".join(
    (
        # Lists come before single manifests: the digest of a list covers amd64 and arm64.
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
# Docker's registry answers at another host than its images are named by.
_SERVED_BY = {"docker.io": "registry-1.docker.io"}
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class State(StrEnum):
    """How a tag's digest compares with the lock."""

    SAME = "same"
    RESOLVED = "resolved"
    """The lock had no digest yet."""
    MOVED = "moved"
    """The tag leads to other content than the locked digest."""
    VANISHED = "vanished"
    UNKNOWN = "unknown"
    """The registry gave no answer."""


@dataclass(frozen=True)
class Finding:
    """A registry's answer for one image."""

    image: str
    state: State
    digest: str | None
    """The tag's digest today; None when it is unknown."""
    note: str = ""


@dataclass(frozen=True)
class Registries:
    """Where to ask: the images' own registries, or one `mirror` (`host:port`) for all of them."""

    mirror: str = ""
    scheme: str = "https"
    authority: str = ""
    """PEM file of a private certificate authority."""

    def find(self, image: str, locked: str | None) -> Finding:
        """Ask for one image. The request is anonymous, so that stale credentials cannot hide an image."""
        try:
            digest = self._digest(image)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return Finding(image, State.VANISHED, None, "the registry has no such tag")
            return Finding(image, State.UNKNOWN, None, f"the registry answered {error.code}")
        except (OSError, ValueError, KeyError) as error:
            return Finding(image, State.UNKNOWN, None, str(error))
        if locked is None:
            return Finding(image, State.RESOLVED, digest)
        if locked == digest:
            return Finding(image, State.SAME, digest)
        return Finding(image, State.MOVED, digest, f"was {locked}")

    def _digest(self, image: str) -> str:
        host, repository, tag = parts(image)
        if self.mirror:
            host, repository = self.mirror, f"{host}/{repository}"
        url = f"{self.scheme}://{_SERVED_BY.get(host, host)}/v2/{repository}/manifests/{tag}"
        try:
            headers, body = self._get(url, {"Accept": _MANIFESTS})
        except urllib.error.HTTPError as error:
            challenge = error.headers.get("WWW-Authenticate", "")
            if error.code != 401 or not challenge.startswith("Bearer "):
                raise
            token = self._token(dict(_CHALLENGE.findall(challenge)))
            headers, body = self._get(url, {"Accept": _MANIFESTS, "Authorization": f"Bearer {token}"})
        computed = f"sha256:{hashlib.sha256(body).hexdigest()}"
        reported = headers.get("Docker-Content-Digest", computed)
        if reported != computed:
            raise ValueError(f"the registry says {reported}, its manifest is {computed}")
        return computed

    def _token(self, challenge: Mapping[str, str]) -> str:
        query = urllib.parse.urlencode({key: challenge[key] for key in ("service", "scope") if key in challenge})
        _, body = self._get(f"{challenge['realm']}?{query}", {})
        answer = json.loads(body)
        return str(answer.get("token") or answer["access_token"])

    def _get(self, url: str, headers: Mapping[str, str]) -> tuple[Mapping[str, str], bytes]:
        context = ssl.create_default_context(cafile=self.authority or None)
        request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310
        with urllib.request.urlopen(request, timeout=_SECONDS, context=context) as response:  # noqa: S310
            return response.headers, response.read()


def parts(image: str) -> tuple[str, str, str]:
    """Registry, repository and tag of an image's full name."""
    name, _, tag = image.rpartition(":")
    host, _, repository = name.partition("/")
    return host, repository, tag


def find_all(registries: Registries, lock: Mapping[str, str | None]) -> list[Finding]:
    """Ask for every image of the lock, several at once."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda image: registries.find(image, lock[image]), sorted(lock)))


def write(path: Path, findings: Iterable[Finding]) -> None:
    """Write the digests found into the lock; comments and images without an answer stay as they were."""
    found = {finding.image: finding.digest for finding in findings if finding.digest}
    lines = path.read_text().splitlines()
    names = [line.rpartition(": ")[0] for line in lines]
    path.write_text(
        "".join(f"{name}: {found[name]}\n" if name in found else f"{line}\n" for name, line in zip(names, lines, strict=True))
    )


def main() -> int:
    """Exit code; 0 when every image exists under its locked digest, or its digest was just written."""
    parser = argparse.ArgumentParser(prog="make images", description=__doc__)
    parser.add_argument("--lock", type=Path, default=LOCK)
    parser.add_argument("--write", action="store_true", help="write resolved and moved digests into the lock")
    parser.add_argument("--mirror", default="", help="registry (host:port) that holds copies of all images")
    parser.add_argument("--authority", default="", help="PEM file of the mirror's certificate authority")
    arguments = parser.parse_args()
    lock: dict[str, str | None] = yaml.safe_load(arguments.lock.read_text())
    findings = find_all(Registries(mirror=arguments.mirror, authority=arguments.authority), lock)
    rows = [(finding.state, finding.image, finding.digest or "-", finding.note) for finding in findings]
    print(table(("", "image", "digest of the tag today", ""), rows))
    if arguments.write:
        write(arguments.lock, findings)
    troubles = {State.VANISHED, State.UNKNOWN} | (set() if arguments.write else {State.MOVED, State.RESOLVED})
    counts = {state: sum(finding.state is state for finding in findings) for state in State}
    print(", ".join(f"{count} {state}" for state, count in counts.items() if count))
    if counts[State.MOVED] and not arguments.write:
        print("A moved tag is other software: read its release notes, then `make images WRITE=1` and deploy.", file=sys.stderr)
    if counts[State.VANISHED]:
        print("A vanished tag stops every fresh host: push a copy to a mirror, or choose another version.", file=sys.stderr)
    return int(any(finding.state in troubles for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
