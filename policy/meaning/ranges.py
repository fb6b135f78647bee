"""Sets of address ranges."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network

from model.network import MESH

_MANY = {4: 1 << 16, 6: 1 << 96}
"""Number of global addresses, by IP version, above which ranges include strangers: no operator's provider gives that many."""
_ALL = ip_network("0.0.0.0/0")


def ranges(texts: Iterable[object]) -> list[IPv4Network | IPv6Network]:
    """The ranges as they are routed, bits beyond the mask ignored; an unreadable text counts as every address."""
    return [_range(str(text)) for text in texts]


def _range(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        return _ALL


def lets_strangers(texts: Iterable[object]) -> bool:
    """Whether the ranges together hold more public addresses than an operator's own."""
    found = ranges(texts)
    for version, many in _MANY.items():
        apart = collapse_addresses([network for network in found if network.version == version])  # type: ignore[type-var]
        if sum(network.num_addresses for network in apart if not _is_internal(network)) > many:
            return True
    return False


def _is_internal(network: IPv4Network | IPv6Network) -> bool:
    return network.is_private or (isinstance(network, IPv4Network) and network.subnet_of(MESH))


def is_every_address(text: str) -> bool:
    """Whether a socket on this address listens on all addresses of its host; true for an unreadable address."""
    try:
        address = ip_address(text.strip().strip("[]"))
    except ValueError:
        return True
    return address.is_unspecified or bool(address.version == 6 and address.ipv4_mapped and address.ipv4_mapped.is_unspecified)
