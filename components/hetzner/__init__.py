"""Hetzner Cloud: a project's shared resources, and servers with firewall, addresses and a host key that is known beforehand."""

from components.hetzner.project import HetznerProject, provider
from components.hetzner.server import HetznerServer
from components.hetzner.server_contact import ServerContact

__all__ = ["HetznerProject", "HetznerServer", "ServerContact", "provider"]
