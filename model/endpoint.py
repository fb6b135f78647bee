"""How one service calls another, on the same host or on another one."""

from dataclasses import dataclass

from model.names import Names
from model.service import Link


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Address of a service: on its host its name and `port` on `network`, from another host its `site`, over the mesh.

    The site needs a VPN route; a law refuses a link without one (model/laws/).
    """

    service: str
    port: int
    network: str
    site: str
    """The site's default name; `vpai:subdomains` may rename it."""

    @property
    def beside(self) -> str:
        """URL for services on the same host, without a slash at its end."""
        return f"http://{self.service}:{self.port}"

    def across(self, names: Names) -> str:
        """URL for services on other hosts."""
        return f"https://{names.host(self.site)}"


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a service reaches an endpoint from its own host."""

    url: str
    networks: tuple[str, ...] = ()
    """Networks that the service joins for this, besides its own."""
    needs: tuple[str, ...] = ()
    """Services on the same host that it needs."""
    links: tuple[Link, ...] = ()
    """Services on another host. The firewall opens the mesh for the caller, whose egress is the network of callers with links."""
