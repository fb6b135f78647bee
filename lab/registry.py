"""The lab's image registry. All labs share its storage in the cache, filled once for each image's content."""

import json
import re
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.engine import docker
from lab.errors import LabError
from lab.images import SERVICES, Image
from lab.layout import LABEL, Layout


@dataclass(frozen=True)
class Registry:
    """The registry's storage, and the digest of each image's content in it."""

    storage: Path
    lab: str

    @classmethod
    def of(cls, layout: Layout) -> "Registry":
        return cls(layout.shared / "registry", layout.id)

    def digests(self, names: Iterable[str], images: Mapping[str, Image]) -> dict[str, str | None]:
        """By production name the digest of the image's content; None when it is not published yet."""
        return {name: self._digest(name, images[SERVICES[name].recipe]) for name in names}

    def publish(self, names: Iterable[str], images: Mapping[str, Image], server: Image) -> None:
        """Push the built images under their production names."""
        with self._server(server) as address:
            for name in names:
                image = images[SERVICES[name].recipe]
                reference = f"{address}/{name}"
                docker("tag", image.tag, reference)
                try:
                    said = docker("push", reference).stdout
                finally:
                    docker("image", "rm", "--no-prune", reference, check=False)
                digest = re.search(r"digest: (sha256:[0-9a-f]{64})", said)
                if not digest:
                    raise LabError(f"docker push of {name} named no digest, so nothing could pin it; it said:\n{said[-500:]}")
                record = self._record(name, image)
                record.parent.mkdir(parents=True, exist_ok=True)
                record.write_text(json.dumps({"name": name, "digest": digest[1]}))

    def _digest(self, name: str, image: Image) -> str | None:
        try:
            found: str = json.loads(self._record(name, image).read_text())["digest"]
        except (FileNotFoundError, ValueError):
            return None
        return found

    def _record(self, name: str, image: Image) -> Path:
        return self.storage.with_name("published") / f"{name.rpartition('/')[2].replace(':', '-')}-{image.key}.json"

    @contextmanager
    def _server(self, image: Image) -> Iterator[str]:
        """A writable registry on a loopback port, which Docker trusts without TLS; it runs only while images are pushed."""
        self.storage.mkdir(parents=True, exist_ok=True)
        name = f"vpai-{self.lab}-publish"
        docker("rm", "--force", name, check=False)
        docker(
            *("run", "--detach", "--name", name, "--label", f"{LABEL}={self.lab}", "--publish", "127.0.0.1::5000"),
            *("--volume", f"{self.storage}:/var/lib/registry", image.tag),
            *("docker-registry", "serve", "/etc/docker/registry/registry-publish.yml"),
        )
        try:
            address = docker("port", name, "5000").stdout.split()[0]
            _await(address)
            yield address
        finally:
            docker("rm", "--force", name, check=False)


def _await(address: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(f"http://{address}/v2/", timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise LabError(f"the registry that takes the lab's images does not answer on {address}: {error}") from error
            time.sleep(0.1)
