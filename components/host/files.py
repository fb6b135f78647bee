"""A file that root owns on a host."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class HostFile:
    """A whole file; nobody else writes to it."""

    path: str
    content: str
    mode: int = 0o644

    @property
    def sha256(self) -> str:
        """Of the content, in hexadecimal."""
        return hashlib.sha256(self.content.encode()).hexdigest()
