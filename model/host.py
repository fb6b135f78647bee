"""A machine of the fleet."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where sshd may answer."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine that services stand on; `name` is its SSH alias."""

    name: str
    endpoints: tuple[Endpoint, ...]
    """In the order in which they are tried; the first that shows an SSH banner is taken."""
    user: str
    memory_mib: int
    reserve_mib: int = 512
    """Memory left to the host itself."""
