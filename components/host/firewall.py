"""A firewall plan rendered for UFW (the host), iptables (what Docker forwards) and a cloud's firewall."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model.firewall import PUBLIC_SSH, Firewall, IngressRule, Target
from model.mesh import INTERFACE
from model.network import MESH, MESH_V6
from model.route import Access

_BRIDGES = "br-+"
_FORBIDDEN_TO_CONTAINERS = (
    str(MESH),
    "169.254.0.0/16",  # a cloud's metadata service
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
)
"""Networks closed to containers: Docker lends a container its host's address, which the mesh would trust without a rule."""


def ufw_rules(firewall: Firewall, *, ssh_public: bool) -> tuple[str, ...]:
    """Ingress rules of the host itself, as `ufw show added` prints them after the word `ufw`. UFW denies the rest by default."""
    return tuple(
        f"allow in on {INTERFACE} to any port {opening.port} proto {opening.protocol} comment '{_comment(opening)}'"
        if opening.access is Access.VPN
        else f"allow {opening.port}/{opening.protocol} comment '{_comment(opening)}'"
        for opening in firewall.all_openings(ssh_public=ssh_public)
        if opening.target is Target.HOST
    )


def _comment(opening: IngressRule) -> str:
    """The rule's reason without quotation marks, which UFW does not take."""
    return opening.reason.replace("'", "")


def forward_rules(firewall: Firewall) -> tuple[str, ...]:
    """Rules of DOCKER-USER, Docker's hook into forwarding, in the order of evaluation and as `iptables -S` prints them."""
    if not firewall.has_containers:
        return ()
    return tuple(f"-A DOCKER-USER {rule}" for rule in _docker_user(firewall))


def _docker_user(firewall: Firewall) -> Iterator[str]:
    yield "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"
    # Docker's networks decide about traffic between containers.
    yield f"-i {_BRIDGES} -o {_BRIDGES} -j RETURN"
    for exit in firewall.exits:
        yield (
            f"-s {exit.source} -d {exit.destination} -i {_BRIDGES} "
            f"-p {exit.protocol} -m {exit.protocol} --dport {exit.port} -j RETURN"
        )
    for bridge in (_BRIDGES, "docker0"):
        for forbidden in _FORBIDDEN_TO_CONTAINERS:
            yield f"-d {forbidden} -i {bridge} -j DROP"
        yield f"-i {bridge} -j RETURN"
    for opening in firewall.openings:
        if opening.target is Target.CONTAINER:
            # Docker has translated the port to the container's by now; conntrack still knows the original port.
            source = f"-i {INTERFACE} " if opening.access is Access.VPN else ""
            yield f"{source}-o {_BRIDGES} -p {opening.protocol} -m conntrack --ctorigdstport {opening.port} -j RETURN"
    yield f"-o {_BRIDGES} -j DROP"
    yield "-o docker0 -j DROP"
    yield "-j RETURN"


def spoof_rules(firewall: Firewall, mesh: str) -> tuple[str, ...]:
    """Rules that drop packets with a mesh address that do not come out of the tunnel: carrier NAT uses the same addresses."""
    if not firewall.has_mesh:
        return ()
    return (
        f"-A VPAI-MESH -i {INTERFACE} -j RETURN",
        "-A VPAI-MESH -i lo -j RETURN",
        f"-A VPAI-MESH -s {mesh} -j DROP",
    )


def tables(firewall: Firewall) -> tuple[str, str]:
    """The input of `iptables-restore --noflush` and `ip6tables-restore --noflush`."""
    raw = _table("raw", "VPAI-MESH", spoof_rules(firewall, str(MESH)))
    filtered = _table("filter", "DOCKER-USER", forward_rules(firewall))
    return filtered + raw, _table("raw", "VPAI-MESH", spoof_rules(firewall, str(MESH_V6)))


@dataclass(frozen=True, kw_only=True)
class CloudRule:
    """A rule of a provider's firewall, which stands before the host and does not know the mesh's interface."""

    protocol: str
    port: int
    sources: tuple[str, ...]
    description: str


EVERYWHERE = ("0.0.0.0/0", "::/0")


def cloud_rules(firewall: Firewall, *, ssh_from: Sequence[str]) -> tuple[CloudRule, ...]:
    """Rules of the provider's firewall: everything public; mesh traffic arrives inside WireGuard's port.

    SSH from `ssh_from` stays open as long as the server lives: for the first contact, and for the time when the mesh is lost and
    the host opens SSH itself. Otherwise UFW blocks it.
    """
    public = (opening for opening in firewall.all_openings(ssh_public=bool(ssh_from)) if opening.access is Access.PUBLIC)
    return tuple(
        CloudRule(
            protocol=opening.protocol,
            port=opening.port,
            sources=tuple(ssh_from) if opening == PUBLIC_SSH and ssh_from else EVERYWHERE,
            description=opening.reason,
        )
        for opening in public
    )


def public_ports(firewall: Firewall) -> tuple[IngressRule, ...]:
    """Public ingress rules once SSH is closed to the public."""
    return tuple(opening for opening in firewall.all_openings(ssh_public=False) if opening.access is Access.PUBLIC)


def _table(name: str, chain: str, rules: tuple[str, ...]) -> str:
    if not rules:
        return ""
    return "\n".join([f"*{name}", f":{chain} - [0:0]", *rules, "COMMIT"]) + "\n"
