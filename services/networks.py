"""The five networks of the specification, with its CIDRs."""

from collections.abc import Iterable
from ipaddress import IPv4Network

from model.network import Network
from model.service import Service

FRONTEND = Network(name="frontend", cidr=IPv4Network("172.20.1.0/24"), internal=False)
BACKEND = Network(name="backend", cidr=IPv4Network("172.20.2.0/24"), internal=True)
MONITORING = Network(name="monitoring", cidr=IPv4Network("172.20.3.0/24"), internal=True)
EGRESS = Network(name="egress", cidr=IPv4Network("172.20.4.0/24"), internal=False)
SANDBOX = Network(name="sandbox", cidr=IPv4Network("172.20.5.0/24"), internal=True)

HUB = Network(name="hub", cidr=IPv4Network("172.20.6.0/24"), internal=True)
"""Network of the hub's Caddy and the services behind it. They reach the Internet by EGRESS, Caddy by UPLINK."""

UPLINK = Network(name="uplink", cidr=IPv4Network("172.20.7.0/24"), internal=False)
"""Network of the services that call other hosts. The firewall lets its packets, and no other container's, into the mesh."""

NETWORKS = (FRONTEND, BACKEND, MONITORING, EGRESS, SANDBOX)
INTERNAL = frozenset(network.name for network in (*NETWORKS, HUB, UPLINK) if network.internal)


def joined(service: Service, others: Iterable[Service]) -> tuple[str, ...]:
    """The networks of `service`, and one more for each of `others` that shares none of them: an internal one where possible."""
    found = service.networks
    for other in others:
        if not set(other.networks) & set(found):
            found = (*found, min(other.networks, key=lambda name: name not in INTERNAL))
    return found
