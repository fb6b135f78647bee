"""A firewall plan in the three languages that enforce it: UFW's, iptables' for what Docker forwards, a cloud's."""

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
"""Docker lends a container its host's address: without a rule every container with a way out is a trusted mesh member."""


def ufw_rules(firewall: Firewall, *, ssh_public: bool) -> tuple[str, ...]:
    """What reaches the host itself, as `ufw show added` prints it after the word `ufw`. All else is denied by default."""
    return tuple(
        f"allow in on {INTERFACE} to any port {opening.port} proto {opening.protocol} comment '{_comment(opening)}'"
        if opening.access is Access.VPN
        else f"allow {opening.port}/{opening.protocol} comment '{_comment(opening)}'"
        for opening in firewall.all_openings(ssh_public=ssh_public)
        if opening.target is Target.HOST
    )


def _comment(opening: IngressRule) -> str:
    """UFW takes no quotation marks."""
    return opening.reason.replace("'", "")


def forward_rules(firewall: Firewall) -> tuple[str, ...]:
    """Docker's own hook into what is forwarded, in the order of evaluation and in the words of `iptables -S`."""
    if not firewall.has_containers:
        return ()
    return tuple(f"-A DOCKER-USER {rule}" for rule in _docker_user(firewall))


def _docker_user(firewall: Firewall) -> Iterator[str]:
    yield "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"
    # Between containers the networks decide.
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
            # After Docker's translation the port is the container's: conntrack still knows the one that was asked for.
            source = f"-i {INTERFACE} " if opening.access is Access.VPN else ""
            yield f"{source}-o {_BRIDGES} -p {opening.protocol} -m conntrack --ctorigdstport {opening.port} -j RETURN"
    yield f"-o {_BRIDGES} -j DROP"
    yield "-o docker0 -j DROP"
    yield "-j RETURN"


def spoof_rules(firewall: Firewall, mesh: str) -> tuple[str, ...]:
    """The mesh's addresses are carrier NAT's too: whoever shows one and does not come out of the tunnel is dropped."""
    if not firewall.has_mesh:
        return ()
    return (
        f"-A VPAI-MESH -i {INTERFACE} -j RETURN",
        "-A VPAI-MESH -i lo -j RETURN",
        f"-A VPAI-MESH -s {mesh} -j DROP",
    )


def tables(firewall: Firewall) -> tuple[str, str]:
    """What `iptables-restore --noflush` and `ip6tables-restore --noflush` read."""
    raw = _table("raw", "VPAI-MESH", spoof_rules(firewall, str(MESH)))
    filtered = _table("filter", "DOCKER-USER", forward_rules(firewall))
    return filtered + raw, _table("raw", "VPAI-MESH", spoof_rules(firewall, str(MESH_V6)))


@dataclass(frozen=True, kw_only=True)
class CloudRule:
    """A rule of a provider's own firewall, which stands before the host and knows no mesh interface."""

    protocol: str
    port: int
    sources: tuple[str, ...]
    description: str


EVERYWHERE = ("0.0.0.0/0", "::/0")


def cloud_rules(firewall: Firewall, *, ssh_from: Sequence[str]) -> tuple[CloudRule, ...]:
    """What a provider's firewall has to let through: everything public; mesh traffic arrives inside WireGuard's port.

    SSH comes in from `ssh_from` for as long as the server lives: at the first contact, and when the mesh is lost and the host
    opens itself. Otherwise UFW has closed it.
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
    """What a stranger may reach once SSH is closed to the public."""
    return tuple(opening for opening in firewall.all_openings(ssh_public=False) if opening.access is Access.PUBLIC)


def _table(name: str, chain: str, rules: tuple[str, ...]) -> str:
    if not rules:
        return ""
    return "\n".join([f"*{name}", f":{chain} - [0:0]", *rules, "COMMIT"]) + "\n"
