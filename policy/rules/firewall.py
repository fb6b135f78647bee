"""Firewall: Docker, DOCKER-USER, UFW, Caddy and a cloud's firewall agree, and nothing is public without a reason."""

import re
from collections.abc import Iterator

from model.firewall import WIREGUARD_PORT
from model.host import SSH_PORT
from model.mesh import INTERFACE
from model.network import MESH
from policy.program import CADDY, CLOUD_FIREWALL, CONTAINER, HOST_ACCESS, Program, Resource
from policy.rule import Finding, ProgramRule, ResourceRule, Severity

EVERYBODY = frozenset({"0.0.0.0/0", "::/0"})
_FORWARD = "/etc/vpai/forward.v4"
_KEPT_IN = (str(MESH), "169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
_OPENING = re.compile(r"-o br-\+ -p (?P<protocol>\w+) .*--ctorigdstport (?P<port>\d+) -j RETURN")


def _declared(container: Resource, program: Program) -> Iterator[Finding]:
    service = program.parent(container)
    declared = service.inputs.get("ports") or {} if service else {}
    if container.inputs.get("publishAllPorts"):
        yield Finding(what=f"{container.name} publishes every port that its image names")
    for port in container.list("ports"):
        number = f"{int(port.get('external') or 0)}/{port.get('protocol') or 'tcp'}"
        if not declared.get(number):
            yield Finding(what=f"{container.name} publishes {number} without a reason in the catalogue", subject=number)


def _agree(program: Program) -> Iterator[Finding]:
    for access in _with_containers(program):
        forwarded = {
            f"{match['port']}/{match['protocol']}" for rule in _forward(access).splitlines() if (match := _OPENING.search(rule))
        }
        published = {
            f"{int(port.get('external') or 0)}/{port.get('protocol') or 'tcp'}"
            for container in program.of_type(CONTAINER)
            if container.host == access.text("alias")
            for port in container.list("ports")
        }
        for port in sorted(published ^ forwarded):
            does = (
                "is published by Docker but dropped by DOCKER-USER"
                if port in published
                else "is let in, but nothing publishes it"
            )
            yield Finding(what=f"{access.text('alias')}: {port} {does}", subject=port, resource=access)


def _forward_closed(access: Resource, _: Program) -> Iterator[Finding]:
    forward = _forward(access)
    if "*filter" not in forward:
        return
    rules = forward.splitlines()
    for kept in _KEPT_IN:
        if f"-A DOCKER-USER -d {kept} -i br-+ -j DROP" not in rules:
            yield Finding(what=f"{access.name}: containers may reach {kept}", subject=kept)
    if "-A DOCKER-USER -o br-+ -j DROP" not in rules:
        yield Finding(what=f"{access.name}: what nobody let in reaches containers")


def _mesh_source(access: Resource, _: Program) -> Iterator[Finding]:
    rules = _forward(access).splitlines()
    if access.inputs.get("has_mesh") and f"-A VPAI-MESH -s {MESH} -j DROP" not in rules:
        yield Finding(what=f"{access.name}: packets may claim an address of the mesh without coming out of it")


def _host_openings(access: Resource, _: Program) -> Iterator[Finding]:
    for rule in access.list("rules"):
        said = re.fullmatch(r"(?P<what>.+?) comment '(?P<reason>.+)'", rule)
        if not said:
            yield Finding(what=f"{access.name}: UFW's rule {rule!r} has no reason", subject=rule)
        elif access.inputs.get("has_mesh") and not (
            said["what"].startswith(f"allow in on {INTERFACE} ") or said["what"] == f"allow {WIREGUARD_PORT}/udp"
        ):
            yield Finding(what=f"{access.name}: {said['what']!r} lets strangers in", subject=said["what"])


def _public_sites(caddy: Resource, _: Program) -> Iterator[Finding]:
    sites = caddy.inputs.get("sites") or {}
    for site in sites:
        if not re.fullmatch(r"vpn -> .+|public -> .+ \(.+\)", str(sites[site])):
            yield Finding(what=f"{site} is {sites[site]}, without a reason to be public", subject=site)


def _cloud_agrees(program: Program) -> Iterator[Finding]:
    """A cloud's firewall lets in whatever some host lets strangers reach, and nothing else.

    Besides SSH: a copy is met from anywhere for the first time, and its own UFW closes it. Production's: `hetzner-ssh-closed`.
    """
    hosts = list(_with_containers(program))
    wanted = {
        f"{match['port']}/{match['protocol']}"
        for access in hosts
        for rule in _forward(access).splitlines()
        if (match := _OPENING.search(rule))
    } | {f"{WIREGUARD_PORT}/udp"}
    if not program.is_production:
        wanted.add(f"{SSH_PORT}/tcp")
    for firewall in program.of_type(CLOUD_FIREWALL) if hosts else ():
        for rule in firewall.list("rules"):
            port = f"{rule.get('port')}/{rule['protocol']}"
            if rule["direction"] == "in" and EVERYBODY & set(rule.get("sourceIps") or ()) and port not in wanted:
                what = f"{firewall.name} lets everybody reach {port}, which no host of this stack opens"
                yield Finding(what=what, subject=port, resource=firewall)


def _with_containers(program: Program) -> Iterator[Resource]:
    """One HostAccess a host: the second one only closes SSH."""
    seen = set()
    for access in program.of_type(HOST_ACCESS):
        if "*filter" in _forward(access) and access.text("alias") not in seen:
            seen.add(access.text("alias"))
            yield access


def _forward(access: Resource) -> str:
    files = access.inputs.get("files") or {}
    return str(files[_FORWARD]["content"]) if _FORWARD in files else ""


DECLARED = ResourceRule(
    name="firewall-published-ports",
    asks="A published port is one that its service declares, with a reason.",
    severity=Severity.HIGH,
    decides=("CIS-5.9",),
    why="a port that Docker publishes goes past UFW and past Caddy's access list",
    mend="give the service a Route, or a Port with its reason",
    example='Port(number=443, protocol="tcp", access=Access.PUBLIC, reason="VPN-only sites answer 403 to the public")',
    types=(CONTAINER,),
    check=_declared,
)
AGREE = ProgramRule(
    name="firewall-agrees",
    asks="What Docker publishes on a host is what DOCKER-USER lets in.",
    severity=Severity.HIGH,
    decides=("FW-1",),
    why="one of the two is wrong: a door that does not open, or one that opens on nothing until somebody stands behind it",
    mend="declare the port on its service alone; both are drawn from it",
    example='ports=(Port(number=3478, protocol="udp", access=Access.PUBLIC, reason="STUN"),)',
    check=_agree,
)
FORWARD_CLOSED = ResourceRule(
    name="firewall-forward-closed",
    asks="Containers reach neither the mesh nor a LAN nor a cloud's metadata, and nobody reaches them uninvited.",
    severity=Severity.CRITICAL,
    decides=("FW-2",),
    why="Docker lends a container its host's address: it would be a trusted member of the mesh",
    mend="keep the rules of components/host/firewall.py",
    example="-A DOCKER-USER -d 169.254.0.0/16 -i br-+ -j DROP",
    types=(HOST_ACCESS,),
    check=_forward_closed,
)
MESH_SOURCE = ResourceRule(
    name="firewall-mesh-source",
    asks="An address of the mesh is believed only when it comes out of the tunnel.",
    severity=Severity.HIGH,
    decides=("FW-3",),
    why="100.64.0.0/10 is carrier NAT's too: a neighbour could show such an address and be let in",
    mend="keep the raw table of components/host/firewall.py",
    example="-A VPAI-MESH -s 100.64.0.0/10 -j DROP",
    types=(HOST_ACCESS,),
    check=_mesh_source,
)
HOST_OPENINGS = ResourceRule(
    name="firewall-host-openings",
    asks="Each opening of UFW has a reason; a member of the mesh opens but WireGuard to strangers.",
    severity=Severity.HIGH,
    decides=("FW-4",),
    why="sshd and whatever else listens on the host would be there for everybody",
    mend="open it in the mesh alone",
    example="allow in on tailscale0 to any port 804 proto tcp comment 'SSH over the mesh'",
    types=(HOST_ACCESS,),
    check=_host_openings,
)
PUBLIC_SITES = ResourceRule(
    name="firewall-public-sites",
    asks="A site that strangers may use says why.",
    severity=Severity.HIGH,
    decides=("FW-5",),
    why="what the whole Internet may reach is decided and reviewed route by route",
    mend="say why it is public, or make it Access.VPN",
    example='access=Access.PUBLIC, reason="Obsidian on iOS syncs without the VPN"',
    types=(CADDY,),
    check=_public_sites,
)
CLOUD_AGREES = ProgramRule(
    name="firewall-cloud-agrees",
    asks="A cloud's firewall lets everybody reach only what a host of the stack opens.",
    severity=Severity.MEDIUM,
    decides=("FW-6",),
    why="an opening that nobody needs is one that nobody watches",
    mend="draw its rules from the same plan: components.host.firewall.cloud_rules",
    example='FirewallRuleArgs(direction="in", protocol="tcp", port="443", source_ips=["0.0.0.0/0", "::/0"])',
    check=_cloud_agrees,
)

RULES = (DECLARED, AGREE, FORWARD_CLOSED, MESH_SOURCE, HOST_OPENINGS, PUBLIC_SITES, CLOUD_AGREES)
