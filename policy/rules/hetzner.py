"""Hetzner Cloud: firewalls, protection, backups, images, labels and sizes of servers."""

import re
from collections.abc import Iterator

from model.host import SSH_PORT
from policy.meaning.ranges import lets_strangers
from policy.program import CLOUD_FIREWALL, CLOUD_VOLUME, FIREWALL_ATTACHMENT, SERVER, Program, Resource
from policy.rule import Finding, ProgramRule, ResourceRule, Severity

_SERVERS = (SERVER,)
_SMALL = re.compile(r"(cx|cpx|cax)[1-3]\d")
"""Server types up to the third size of a shared line."""
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def _firewall_attached(program: Program) -> Iterator[Finding]:
    attached = any(True for _ in program.of_type(FIREWALL_ATTACHMENT))
    selected = any(firewall.list("applyTos") for firewall in program.of_type(CLOUD_FIREWALL))
    for server in program.of_type(SERVER):
        # A list counts even when its ids are known only after `up`.
        if not len(server.inputs.get("firewallIds") or ()) and not attached and not selected:
            yield Finding(what=f"{server.name} stands in the Internet without a firewall", resource=server)


def _ssh_closed(firewall: Resource, program: Program) -> Iterator[Finding]:
    if not program.is_production:
        return
    for number in (22, SSH_PORT):
        opening = [
            rule
            for rule in firewall.list("rules")
            if rule["direction"] == "in" and rule["protocol"] == "tcp" and _covers(str(rule.get("port") or ""), number)
        ]
        if lets_strangers(source for rule in opening for source in rule.get("sourceIps") or ()):
            ports = ", ".join(sorted({str(rule.get("port") or "any") for rule in opening}))
            yield Finding(what=f"{firewall.name} lets everybody reach SSH ({ports})", subject=ports)


def _covers(ports: str, number: int) -> bool:
    if ports in ("", "any"):
        return True
    first, _, last = ports.partition("-")
    return int(first) <= number <= int(last or first)


def _protected(resource: Resource, program: Program) -> Iterator[Finding]:
    delete, rebuild = bool(resource.inputs.get("deleteProtection")), bool(resource.inputs.get("rebuildProtection"))
    if resource.type == SERVER and delete != rebuild:
        yield Finding(what=f"{resource.name} is protected against deletion or rebuilding, but not against both")
    if program.is_production and not (resource.protect and delete):
        yield Finding(what=f"{resource.name} can be deleted in prod")


def _backups(server: Resource, program: Program) -> Iterator[Finding]:
    if program.is_production and not server.inputs.get("backups"):
        yield Finding(what=f"{server.name} has no backups in prod")


def _keys(server: Resource, _: Program) -> Iterator[Finding]:
    if not len(server.inputs.get("sshKeys") or ()):
        yield Finding(what=f"{server.name} is made without an SSH key")


def _image(server: Resource, _: Program) -> Iterator[Finding]:
    if server.text("image").isdigit() and not {"image", "*"} & server.ignore_changes:
        yield Finding(what=f"{server.name} names its image by id ({server.text('image')})")


def _replacing(server: Resource, _: Program) -> Iterator[Finding]:
    missing = {"sshKeys", "userData", "image"} - server.ignore_changes
    if missing and "*" not in server.ignore_changes:
        yield Finding(what=f"{server.name} is replaced when {', '.join(sorted(missing))} change")


def _labels(server: Resource, program: Program) -> Iterator[Finding]:
    labels = dict((server.inputs.get("labels") or {}).items())
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(str(value)):
            yield Finding(what=f"{server.name} has the label {key}={value}, which the API refuses", subject=key)
    for key in ("env", "owner", *(() if program.is_production else ("ttl",))):
        if not labels.get(key):
            yield Finding(what=f"{server.name} has no label {key!r}", subject=key)


def _small(server: Resource, program: Program) -> Iterator[Finding]:
    if not program.is_production and not _SMALL.fullmatch(server.text("serverType")):
        yield Finding(what=f"{server.name} is a {server.text('serverType')} for a stack that is thrown away")


def _shutdown(server: Resource, _: Program) -> Iterator[Finding]:
    if not server.inputs.get("shutdownBeforeDeletion"):
        yield Finding(what=f"{server.name} is cut off when it is deleted")


def _location(server: Resource, _: Program) -> Iterator[Finding]:
    if not server.text("location"):
        yield Finding(what=f"{server.name} is made wherever there is room")
    if server.text("datacenter"):
        yield Finding(what=f"{server.name} names a datacenter, which the API knows no more", subject="datacenter")


FIREWALL = ProgramRule(
    name="hetzner-firewall",
    asks="Every server has a firewall.",
    severity=Severity.CRITICAL,
    decides=("H1",),
    why="between its first boot and UFW it is open to everybody",
    fix="attach one from the start",
    example="firewall_ids=[firewall.id]",
    check=_firewall_attached,
)
SSH_CLOSED = ResourceRule(
    name="hetzner-ssh-closed",
    asks="In prod no cloud firewall lets everybody reach SSH.",
    severity=Severity.HIGH,
    decides=("H2",),
    why="SSH is for members of the mesh",
    fix="leave the rule out once the mesh is proven; a first contact opens it to the operator's address",
    example='source_ips=["203.0.113.7/32"]',
    types=(CLOUD_FIREWALL,),
    check=_ssh_closed,
)
PROTECTED = ResourceRule(
    name="hetzner-protection",
    asks="In prod a server or volume is protected by Pulumi and by Hetzner, against deletion and rebuilding alike.",
    severity=Severity.HIGH,
    decides=("H3",),
    why="Hetzner's lock alone is lifted by the provider, and Pulumi's does not hold in the console",
    fix="set protect, delete_protection and rebuild_protection",
    example="delete_protection=True, rebuild_protection=True, opts=ResourceOptions(protect=True)",
    types=(SERVER, CLOUD_VOLUME),
    check=_protected,
)
BACKUPS = ResourceRule(
    name="hetzner-backups",
    asks="In prod a server has backups.",
    severity=Severity.MEDIUM,
    decides=("H4",),
    why="a disk that is gone would have to be made again by hand",
    fix="switch them on: a fifth of the server's price",
    example="backups=True",
    types=_SERVERS,
    check=_backups,
)
KEYS = ResourceRule(
    name="hetzner-ssh-keys",
    asks="A server is made with an SSH key.",
    severity=Severity.HIGH,
    decides=("H5",),
    why="without one Hetzner mails a password for root",
    fix="name the deploy key",
    example="ssh_keys=[key.id]",
    types=_SERVERS,
    check=_keys,
)
IMAGE = ResourceRule(
    name="hetzner-image",
    asks="A server names its image by name.",
    severity=Severity.MEDIUM,
    decides=("H6",),
    why="an id differs from the name that the API shows, and the server would be replaced",
    fix="use the name",
    example='image="debian-13"',
    types=_SERVERS,
    check=_image,
)
REPLACING = ResourceRule(
    name="hetzner-not-replaced",
    asks="A new key, image name or user data does not replace a server.",
    severity=Severity.HIGH,
    decides=("H13",),
    why="all three force a replacement, and with the server go its data",
    fix="ignore their changes; replace a server on purpose",
    example='ResourceOptions(ignore_changes=["sshKeys", "userData", "image"])',
    types=_SERVERS,
    check=_replacing,
)
LABELS = ResourceRule(
    name="hetzner-labels",
    asks="A server says its stack, its owner and, where it is thrown away, when.",
    severity=Severity.MEDIUM,
    decides=("H7",),
    why="what nobody owns is never deleted, and the API refuses labels that it cannot read half-way through",
    fix="label it",
    example='labels={"env": "preprod", "owner": "ops", "ttl": "2026-11-24"}',
    types=_SERVERS,
    check=_labels,
)
SMALL = ResourceRule(
    name="hetzner-ephemeral-small",
    asks="A server that is thrown away is a small one.",
    severity=Severity.MEDIUM,
    decides=("H8",),
    why="one that is forgotten costs money every hour",
    fix="take at most the third size of a shared line",
    example='server_type="cx23"',
    types=_SERVERS,
    check=_small,
)
SHUTDOWN = ResourceRule(
    name="hetzner-shutdown",
    asks="A server is shut down before it is deleted.",
    severity=Severity.LOW,
    decides=("H11",),
    why="databases and members of the mesh would leave without a word",
    fix="set it",
    example="shutdown_before_deletion=True",
    types=_SERVERS,
    check=_shutdown,
)
LOCATION = ResourceRule(
    name="hetzner-location",
    asks="A server says where it stands.",
    severity=Severity.MEDIUM,
    decides=("H12",),
    why="data would leave the place, and the law, that was chosen for it",
    fix="name a location",
    example='location="fsn1"',
    types=_SERVERS,
    check=_location,
)

RULES = (FIREWALL, SSH_CLOSED, PROTECTED, BACKUPS, KEYS, IMAGE, REPLACING, LABELS, SMALL, SHUTDOWN, LOCATION)
