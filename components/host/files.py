"""A file that root owns on a host."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

_INSTALLED = Path(__file__).parents[1] / "scripts" / "installed"


@dataclass(frozen=True)
class HostFile:
    """A whole file. No other program writes to it."""

    path: str
    content: str
    mode: int = 0o644

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        return hashlib.sha256(self.content.encode()).hexdigest()


def installed(program: str) -> HostFile:
    """One of our own programs, which runs on the host without the runner."""
    [source] = _INSTALLED.glob(f"{program}.*")
    return HostFile(f"/usr/local/sbin/{program}", source.read_text(), 0o755)
