"""Images are named by repository and tag and pinned by digest in a lock file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class ImageLock:
    """Digest by image name; None where nobody could look it up (such an image is refused by `up`, warned of by preview)."""

    digests: Mapping[str, str | None]

    def reference(self, image: str, mirror: str) -> str:
        """What to pull: from `mirror` when set (`registry:port`), by digest when known."""
        repository, _, tag = image.rpartition(":")
        prefix = f"{mirror}/" if mirror else ""
        digest = self.digests.get(image)
        return f"{prefix}{repository}@{digest}" if digest else f"{prefix}{repository}:{tag}"
