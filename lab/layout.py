"""The layout of one checkout's lab: id, directories and addresses."""

import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from lab.errors import LabError

DOMAIN = "vpai.test"
REGISTRY = f"registry.{DOMAIN}:5000"
PROVIDERS = (
    "api.openai.com",
    "api.anthropic.com",
    "openrouter.ai",
    "generativelanguage.googleapis.com",
    "ark.ap-southeast.bytepluses.com",
    "api.search.brave.com",
    "api.telegram.org",
    "api.hetzner.cloud",
    "api.github.com",
    "eu.api.ovh.com",
)
"""Real names of model providers, Telegram, Hetzner, GitHub and OVH: the lab's DNS resolves them to the stand-in."""

ACME = f"acme.{DOMAIN}"
ACME_PORT = 14000
"""The lab's ACME directory is https://<ACME>:<port>/dir."""

RESOLVERS = ("1.1.1.1", "8.8.8.8")
"""Public resolvers that production queries: in the lab its cloud answers for them."""

LABEL = "vpai.lab"
CLOUD, STORAGE, OPERATOR, OUTSIDER = "cloud", "storage", "operator", "outsider"
SERVER = "server"
"""Role of a machine that the lab's cloud rents out."""
HOSTS = (SESE, SEKO, WAZA) = ("sese", "seko", "waza")
"""The fleet: the stack's host, the mesh's hub, a workstation."""

_OCTETS = {CLOUD: 2, STORAGE: 3, OPERATOR: 5, OUTSIDER: 6, SESE: 10, SEKO: 11, WAZA: 12}


@dataclass(frozen=True)
class Addresses:
    """Addresses on the network that plays the Internet, IPv4 and IPv6: a port open on IPv6 alone must be seen too."""

    number: int

    @property
    def internet(self) -> str:
        return f"198.18.{self.number}.0/24"

    @property
    def internet_v6(self) -> str:
        return f"fd00:c612:{self.number:x}::/64"

    @property
    def rented(self) -> str:
        """The range for rented servers, apart from the fixed machines."""
        return f"198.18.{self.number}.128/25"

    @property
    def gateway(self) -> str:
        """The default gateway of Docker's containers."""
        return f"198.18.{self.number}.1"

    def on_internet(self, machine: str) -> str:
        return f"198.18.{self.number}.{_OCTETS[machine]}"

    def on_internet_v6(self, machine: str) -> str:
        return f"fd00:c612:{self.number:x}::{_OCTETS[machine]}"


@dataclass(frozen=True)
class Layout:
    """Names and directories of a lab; touches nothing on the machine."""

    checkout: Path
    id: str
    cache: Path
    hub: str = SEKO
    """The host to which the Internet's DNS resolves the hub's sites."""

    @classmethod
    def of_checkout(cls, checkout: Path) -> "Layout":
        checkout = checkout.resolve()
        lab_id = os.environ.get("VPAI_LAB_ID") or hashlib.sha256(str(checkout).encode()).hexdigest()[:8]
        if not re.fullmatch(r"[0-9a-f]{8}", lab_id):
            raise LabError(
                f"VPAI_LAB_ID is {lab_id!r}, and a lab's id has eight hexadecimal digits: networks and containers are named "
                "after it. For example: export VPAI_LAB_ID=00c0ffee"
            )
        home = os.environ.get("VPAI_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vpai"
        return cls(checkout=checkout, id=lab_id, cache=Path(home).resolve())

    @property
    def directory(self) -> Path:
        """Files of this lab only; `lab down` removes them."""
        return self.checkout / ".lab"

    def further(self, name: str, hub: str = SEKO) -> "Layout":
        """Another lab, from a copy of this checkout: tests run in two labs at once."""
        lab_id = hashlib.sha256(f"{self.id}/{name}".encode()).hexdigest()[:8]
        return replace(self, checkout=self._further / name, id=lab_id, hub=hub)

    @property
    def furthers(self) -> "tuple[Layout, ...]":
        """The further labs that exist, in whole or in part."""
        return tuple(self.further(path.name) for path in sorted(self._further.glob("*")))

    @property
    def _further(self) -> Path:
        return self.checkout / ".labs"

    @property
    def shared(self) -> Path:
        """The cache that labs share: keyed by content, never removed by a lab."""
        return self.cache / "lab"

    @property
    def first_number(self) -> int:
        """The third octet of the first subnet to try."""
        return int(self.id, 16) % 254 + 1

    def named(self, part: str) -> str:
        """Name of a container, network or volume of this lab."""
        return f"vpai-{self.id}-{part}"
