"""How one service calls another, wherever the two stand."""

from dataclasses import dataclass

from model.names import Names
from model.service import Link


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a service is called: beside it by its name and `port` on `network`, from another host at its `site`, over the mesh.

    The route of that site is for members of the VPN; a law refuses a link that ends at none (model/laws/).
    """

    service: str
    port: int
    network: str
    site: str
    """By its default name; `vpai:subdomains` may rename it."""

    @property
    def beside(self) -> str:
        """Its URL for who stands on the same host, without a slash at its end."""
        return f"http://{self.service}:{self.port}"

    def across(self, names: Names) -> str:
        """Its URL for who stands on another one."""
        return f"https://{names.host(self.site)}"


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a service reaches an endpoint from its own host."""

    url: str
    networks: tuple[str, ...] = ()
    """What it joins for that, besides its own."""
    needs: tuple[str, ...] = ()
    """What stands beside it there."""
    links: tuple[Link, ...] = ()
    """What stands on another host: the firewall opens the mesh for it, and its way out is the network of those with links."""
