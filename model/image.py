"""Images are named by repository and tag and pinned by digest in a lock file."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class ImageLock:
    """Digest by image name; None where nobody could look it up: `up` refuses such an image, a preview warns of it."""

    digests: Mapping[str, str | None]

    def unverified(self, passed: Mapping[str, str | None], images: Iterable[str]) -> tuple[str, ...]:
        """Those of `images` that did not pass `make verify-images` with their present digest; it wrote `passed`."""
        return tuple(image for image in images if image not in passed or passed[image] != self.digests.get(image))

    def reference(self, image: str, mirror: str) -> str:
        """What to pull: from `mirror` when set (`registry:port`), by digest when known."""
        repository, _, tag = image.rpartition(":")
        prefix = f"{mirror}/" if mirror else ""
        digest = self.digests.get(image)
        return f"{prefix}{repository}@{digest}" if digest else f"{prefix}{repository}:{tag}"


def verified_file(lock: str) -> str:
    """Name of the file, beside the image lock `lock`, that lists what passed `make verify-images`."""
    return lock.replace("lock", "verified")
