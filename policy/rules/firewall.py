"""Firewall: Docker, DOCKER-USER, UFW, Caddy and a cloud's firewall agree, and nothing is public without a reason."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network

from model.firewall import WIREGUARD_PORT
from model.host import SSH_PORT
from model.mesh import INTERFACE
from model.network import MAGIC_DNS, MESH
from policy.meaning.iptables import OUTSIDE, IptablesRule, Test, Traffic, chain, follow, within
from policy.meaning.ranges import lets_strangers
from policy.program import CADDY, CLOUD_FIREWALL, CONTAINER, HOST_ACCESS, MESH_MEMBER, Program, Resource
from policy.rule import Finding, ProgramRule, ResourceRule, Severity

_MESH_ONLY = rf"allow in on {INTERFACE} to any port \d+ proto (tcp|udp)"
_NARROW = 16
"""Shortest prefix length of a range that counts as one container network."""
_MESH_FLAGS = frozenset({"-netfilter-mode=off", "-accept-dns=true", "-accept-dns=false", "-accept-routes=false"})
"""Allowed flags of tailscale: it leaves the firewall to us, and may use the mesh's DNS."""
_FORWARD = "/etc/vpai/forward.v4"
_KEPT_IN = (str(MESH), "169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
_BRIDGES = ("br-000000000000", "docker0")
"""Names of bridges: one of our networks as Docker names it, and Docker's default."""
_EXITS = ((IPv4Network(MAGIC_DNS), "53", ("udp", "tcp")), (MESH, "443", ("tcp",)))
"""Destinations in the mesh for containers with a link: DNS, and HTTPS to sites (model.firewall)."""


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
        forwarded = set(_openings(access))
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
    rules = _docker_user(access)
    for kept in _KEPT_IN if rules else ():
        for bridge in _BRIDGES:
            leaving = Traffic(into=bridge, destination=within(IPv4Network(kept)))
            verdict = follow(rules, leaving, _is_exit)
            if verdict.passing or not verdict.dropped:
                by = f" by {verdict.passing[0].text}" if verdict.passing else ""
                yield Finding(what=f"{access.name}: containers on {bridge[:7]} may reach {kept}{by}", subject=kept)
    for bridge in _BRIDGES if rules else ():
        verdict = follow(rules, Traffic(into=OUTSIDE, out=bridge), _is_opening)
        if verdict.passing or not verdict.dropped:
            by = f" by {verdict.passing[0].text}" if verdict.passing else ""
            yield Finding(what=f"{access.name}: what nobody let in reaches containers on {bridge[:7]}{by}", subject=bridge)


def _is_exit(rule: IptablesRule) -> bool:
    """Whether a rule allows one network the mesh's DNS or sites."""
    asked = {option: test.value for option, test in rule.tests.items() if not test.negated}
    try:
        source, to = IPv4Network(asked.get("-s", "0.0.0.0/0")), IPv4Network(asked.get("-d", "0.0.0.0/0"))
    except ValueError:
        return False
    return source.prefixlen >= _NARROW and any(
        to.subnet_of(network) and asked.get("--dport") == port and asked.get("-p") in protocols
        for network, port, protocols in _EXITS
    )


def _is_opening(rule: IptablesRule) -> bool:
    """Whether a rule allows one port of one protocol, as requested before Docker's address translation."""
    return not any(test.negated for test in rule.tests.values()) and all(
        option in rule.tests and rule.tests[option].value.isalnum() for option in ("-p", "--ctorigdstport")
    )


def _openings(access: Resource) -> Iterator[str]:
    """Ports that the chain lets in, in its order; rules after a final verdict do not count."""

    def note(rule: IptablesRule) -> bool:
        if _is_opening(rule):
            found.append(f"{rule.tests['--ctorigdstport'].value}/{rule.tests['-p'].value}")
        return True

    found: list[str] = []
    follow(_docker_user(access), Traffic(into=OUTSIDE, out=_BRIDGES[0]), note)
    return iter(found)


def _mesh_source(access: Resource, _: Program) -> Iterator[Finding]:
    rules = chain(_forward(access), "raw", "VPAI-MESH")
    verdict = follow(rules, Traffic(into=OUTSIDE, source=within(MESH)), _is_of_the_mesh)
    if access.inputs.get("has_mesh") and (verdict.passing or not verdict.dropped):
        yield Finding(what=f"{access.name}: packets may claim an address of the mesh without coming out of it")


def _is_of_the_mesh(rule: IptablesRule) -> bool:
    return rule.tests.get("-i") in (Test(INTERFACE), Test("lo"))


def _host_openings(access: Resource, _: Program) -> Iterator[Finding]:
    # `public_rules` apply until SSH over the mesh is proven: they may open SSH too, and nothing else.
    first = [rule for rule in access.list("public_rules") if not rule.startswith(f"allow {SSH_PORT}/tcp comment ")]
    for rule in (*access.list("rules"), *first):
        said = re.fullmatch(r"(?P<what>.+?) comment '(?P<reason>[^']+)'", rule)
        if not said:
            yield Finding(what=f"{access.name}: UFW's rule {rule!r} has no reason", subject=rule)
        elif access.inputs.get("has_mesh") and not (
            re.fullmatch(_MESH_ONLY, said["what"]) or said["what"] == f"allow {WIREGUARD_PORT}/udp"
        ):
            yield Finding(what=f"{access.name}: {said['what']!r} lets strangers in", subject=said["what"])


def _public_sites(caddy: Resource, _: Program) -> Iterator[Finding]:
    sites = caddy.inputs.get("sites") or {}
    for site in sites:
        if not re.fullmatch(r"vpn -> .+|public -> .+ \(.+\)", str(sites[site])):
            yield Finding(what=f"{site} is {sites[site]}, without a reason to be public", subject=site)


def _cloud_agrees(program: Program) -> Iterator[Finding]:
    """A cloud's firewall lets in what some host opens to strangers, and nothing else.

    SSH is excepted: the first connection to a copy may come from anywhere, and the copy's own UFW closes it. Production's
    SSH: `hetzner-ssh-closed`.
    """
    hosts = list(_with_containers(program))
    wanted = {opening for access in hosts for opening in _openings(access)} | {f"{WIREGUARD_PORT}/udp"}
    if not program.is_production:
        wanted.add(f"{SSH_PORT}/tcp")
    for firewall in program.of_type(CLOUD_FIREWALL) if hosts else ():
        for rule in firewall.list("rules"):
            port = f"{rule.get('port')}/{rule['protocol']}"
            if rule["direction"] == "in" and lets_strangers(rule.get("sourceIps") or ()) and port not in wanted:
                what = f"{firewall.name} lets everybody reach {port}, which no host of this stack opens"
                yield Finding(what=what, subject=port, resource=firewall)


def _mesh_flags(member: Resource, _: Program) -> Iterator[Finding]:
    for flag in member.list("flags"):
        if str(flag).replace("--", "-") not in _MESH_FLAGS:
            yield Finding(what=f"{member.name} joins the mesh with {flag}", subject=str(flag))
    if not member.text("login_server").startswith("https://"):
        yield Finding(what=f"{member.name} joins the mesh of {member.text('login_server')}", subject="login_server")


def _with_containers(program: Program) -> Iterator[Resource]:
    """One HostAccess per host: the second one only closes SSH."""
    seen = set()
    for access in program.of_type(HOST_ACCESS):
        if _docker_user(access) and access.text("alias") not in seen:
            seen.add(access.text("alias"))
            yield access


def _docker_user(access: Resource) -> Sequence[IptablesRule]:
    return chain(_forward(access), "filter", "DOCKER-USER")


def _forward(access: Resource) -> str:
    files = access.inputs.get("files") or {}
    return str(files[_FORWARD]["content"]) if _FORWARD in files else ""


DECLARED = ResourceRule(
    name="firewall-published-ports",
    asks="A published port is one that its service declares, with a reason.",
    severity=Severity.HIGH,
    decides=("CIS-5.9",),
    why="a port that Docker publishes goes past UFW and past Caddy's access list",
    fix="give the service a Route, or a Port with its reason",
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
    fix="declare the port on its service alone; both are drawn from it",
    example='ports=(Port(number=3478, protocol="udp", access=Access.PUBLIC, reason="STUN"),)',
    check=_agree,
)
FORWARD_CLOSED = ResourceRule(
    name="firewall-forward-closed",
    asks="Containers reach neither the mesh nor a LAN nor a cloud's metadata, and nobody reaches them uninvited.",
    severity=Severity.CRITICAL,
    decides=("FW-2",),
    why="Docker lends a container its host's address: it would be a trusted member of the mesh",
    fix="keep the rules of components/host/firewall.py",
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
    fix="keep the raw table of components/host/firewall.py",
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
    fix="open it in the mesh alone",
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
    fix="say why it is public, or make it Access.VPN",
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
    fix="draw its rules from the same plan: components.host.firewall.cloud_rules",
    example='FirewallRuleArgs(direction="in", protocol="tcp", port="443", source_ips=["0.0.0.0/0", "::/0"])',
    check=_cloud_agrees,
)

MESH_FLAGS = ResourceRule(
    name="firewall-mesh-flags",
    asks="A member of the mesh joins over HTTPS and opens nothing in it: no SSH, no routes, no way out.",
    severity=Severity.HIGH,
    decides=("FW-7",),
    why="what tailscaled opens goes past UFW, sshd and the mesh's reviewed policy",
    fix="leave the flag out",
    example='flags=["--netfilter-mode=off", "--accept-dns=true"]',
    types=(MESH_MEMBER,),
    check=_mesh_flags,
)

RULES = (DECLARED, AGREE, FORWARD_CLOSED, MESH_SOURCE, HOST_OPENINGS, PUBLIC_SITES, CLOUD_AGREES, MESH_FLAGS)
