"""SSH keys, firewalls, networks, placement groups and volumes."""

import base64
import binascii
import hashlib
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from lab.providers.hetzner.addresses import change_protection
from lab.providers.hetzner.catalogue import Json
from lab.providers.hetzner.fields import Fields
from lab.providers.hetzner.project import Project, selects
from lab.providers.hetzner.refusal import API, Refusal, in_use, taken

Change = Callable[[Project, Json, Fields], None]
_PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_MOST_RULES = int(API.contract.limits["rules of a firewall"]["most"])


def create_ssh_key(project: Project, fields: Fields) -> tuple[int, Json]:
    """POST /ssh_keys: one public key has one name."""
    name, text, labels = (
        fields.text("name", required=True),
        fields.text("public_key", required=True, longest=8192),
        fields.labels(),
    )
    fingerprint = _fingerprint(text)
    if text and not fingerprint:
        fields.wrong("public_key", "is invalid")
    fields.check()
    if any(key["fingerprint"] == fingerprint for key in project.tables["ssh_keys"].values()):
        raise taken("SSH key with the same fingerprint already exists", "public_key")
    key = project.add("ssh_keys", {"name": name, "fingerprint": fingerprint, "public_key": text.strip(), "labels": labels})
    return 201, {"ssh_key": project.show("ssh_keys", key)}


def create_firewall(project: Project, fields: Fields) -> tuple[int, Json]:
    """POST /firewalls."""
    name, labels = fields.text("name", required=True), fields.labels()
    rules, targets = _rules(fields), _targets(project, fields, "apply_to")
    fields.check()
    firewall = project.add("firewalls", {"name": name, "labels": labels, "rules": rules, "applied_to": []})
    me = ("firewall", firewall["id"])
    actions = [project.act("set_firewall_rules", me)] if rules else []
    actions += [_apply(project, firewall, target) for target in targets]
    return 201, {"firewall": project.show("firewalls", firewall), "actions": actions}


def delete_firewall(project: Project, firewall: Json) -> tuple[int, None]:
    """DELETE /firewalls/{id}: not while it is applied to anything."""
    project.remove("firewalls", firewall, users=firewall["applied_to"])
    return 204, None


def set_rules(project: Project, firewall: Json, fields: Fields) -> list[Json]:
    if not fields.has("rules"):
        fields.wrong("rules", "is required")
    rules = _rules(fields)
    fields.check()
    firewall["rules"] = rules
    servers = (server["id"] for server in project.tables["servers"].values() if firewall in project.firewalls_of(server))
    me = ("firewall", firewall["id"])
    return [
        project.act("set_firewall_rules", me),
        *(project.act("apply_firewall", me, ("server", server)) for server in servers),
    ]


def apply_to_resources(project: Project, firewall: Json, fields: Fields) -> list[Json]:
    targets = _targets(project, fields, "apply_to")
    fields.check()
    if any(target in firewall["applied_to"] for target in targets):
        raise Refusal(409, "firewall_already_applied", "firewall is already applied to the resource")
    return [_apply(project, firewall, target) for target in targets]


def remove_from_resources(project: Project, firewall: Json, fields: Fields) -> list[Json]:
    targets = _targets(project, fields, "remove_from")
    fields.check()
    actions = []
    for target in targets:
        if target not in firewall["applied_to"]:
            raise Refusal(422, "firewall_resource_not_found", "firewall is not applied to the resource")
        firewall["applied_to"].remove(target)
        actions.append(project.act("remove_firewall", ("firewall", firewall["id"])))
    return actions


FIREWALL_ACTIONS: Mapping[str, Callable[[Project, Json, Fields], list[Json]]] = {
    "set_rules": set_rules,
    "apply_to_resources": apply_to_resources,
    "remove_from_resources": remove_from_resources,
}
"""The only kind whose requests answer with a list of actions."""


def create_network(project: Project, fields: Fields) -> tuple[int, Json]:
    """POST /networks: private ranges, subnets inside of them."""
    name, labels = fields.text("name", required=True), fields.labels()
    whole = fields.network("ip_range", required=True)
    exposes = fields.flag("expose_routes_to_vswitch")
    asked, ways = fields.objects("subnets"), fields.objects("routes")
    if whole and not (any(whole.subnet_of(private) for private in _PRIVATE) and whole.prefixlen <= 24):
        fields.wrong("ip_range", "must be a private network of at least 256 addresses")
    network = {
        "name": name,
        "labels": labels,
        "ip_range": str(whole),
        "subnets": [],
        "routes": [],
        "protection": {"delete": False},
        "expose_routes_to_vswitch": exposes,
    }
    if whole:
        for each in asked:
            _subnet(network, each)
        for way in ways:
            _route(network, way)
    fields.nested(*asked, *ways)
    fields.check()
    return 201, {"network": project.show("networks", project.add("networks", network))}


def delete_network(project: Project, network: Json) -> tuple[int, None]:
    """DELETE /networks/{id}: servers are detached."""
    project.remove("networks", network)
    for server in project.tables["servers"].values():
        server["private_net"] = [interface for interface in server["private_net"] if interface["network"] != network["id"]]
    return 204, None


def _add_subnet(_: Project, network: Json, fields: Fields) -> None:
    _subnet(network, fields)
    fields.check()


def _delete_subnet(project: Project, network: Json, fields: Fields) -> None:
    text = str(fields.network("ip_range", required=True))
    if text not in [subnet["ip_range"] for subnet in network["subnets"]]:
        fields.wrong("ip_range", "is no subnet of the network")
    fields.check()
    inside = ipaddress.IPv4Network(text)
    for server in project.servers_in(network["id"]):
        for interface in server["private_net"]:
            if interface["network"] == network["id"] and ipaddress.IPv4Address(interface["ip"]) in inside:
                raise in_use("subnet", text)
    network["subnets"] = [subnet for subnet in network["subnets"] if subnet["ip_range"] != text]


def _add_route(_: Project, network: Json, fields: Fields) -> None:
    _route(network, fields)
    fields.check()


def _delete_route(_: Project, network: Json, fields: Fields) -> None:
    route = {"destination": str(fields.network("destination", required=True)), "gateway": fields.text("gateway", required=True)}
    if route not in network["routes"]:
        fields.wrong("destination", "is no route of the network")
    fields.check()
    network["routes"].remove(route)


def _change_ip_range(_: Project, network: Json, fields: Fields) -> None:
    whole = fields.network("ip_range", required=True)
    if whole and not ipaddress.IPv4Network(network["ip_range"]).subnet_of(whole):
        fields.wrong("ip_range", "must contain the range of now")
    fields.check()
    network["ip_range"] = str(whole)


NETWORK_ACTIONS: Mapping[str, tuple[str, Change]] = {
    "add_subnet": ("add_subnet", _add_subnet),
    "delete_subnet": ("delete_subnet", _delete_subnet),
    "add_route": ("add_route", _add_route),
    "delete_route": ("delete_route", _delete_route),
    "change_ip_range": ("change_ip_range", _change_ip_range),
    "change_protection": ("change_protection", change_protection),
}


def create_placement_group(project: Project, fields: Fields) -> tuple[int, Json]:
    """POST /placement_groups."""
    name, kind, labels = (
        fields.text("name", required=True),
        fields.text("type", required=True, one_of=("spread",)),
        fields.labels(),
    )
    fields.check()
    group = project.add("placement_groups", {"name": name, "type": kind, "labels": labels})
    return 201, {"placement_group": project.show("placement_groups", group), "action": None}


def delete_placement_group(project: Project, group: Json) -> tuple[int, None]:
    """DELETE /placement_groups/{id}: not while servers are in it."""
    project.remove("placement_groups", group, users=project.show("placement_groups", group)["servers"])
    return 204, None


def create_volume(project: Project, fields: Fields) -> tuple[int, Json]:
    """POST /volumes: in a location, or at a server."""
    name, labels = fields.text("name", required=True, longest=64), fields.labels()
    size = fields.number("size", required=True, least=10, most=10_240)
    number, where = fields.number("server"), fields.identity("location")
    shape = fields.text("format", one_of=("xfs", "ext4"))
    fields.flag("automount")
    if bool(number) == bool(where):
        fields.wrong("location", "either location or server is required")
    fields.check()
    server = project.find("servers", number) if number else None
    location = server["location"] if server else project.choose("locations", where, fields, "location")
    volume = project.add(
        "volumes",
        {
            "name": name,
            "labels": labels,
            "size": size,
            "server": number or None,
            "location": location,
            "format": shape or None,
            "status": "available",
            "protection": {"delete": False},
        },
    )
    volume["linux_device"] = f"/dev/disk/by-id/scsi-0HC_Volume_{volume['id']}"
    me = ("volume", volume["id"])
    following = [project.act("attach_volume", me, ("server", number))] if number else []
    action = project.act("create_volume", me)
    return 201, {"volume": project.show("volumes", volume), "action": action, "next_actions": following}


def delete_volume(project: Project, volume: Json) -> tuple[int, None]:
    """DELETE /volumes/{id}: not while it is attached."""
    project.remove("volumes", volume, users=[volume["server"]] if volume["server"] else [])
    return 204, None


def _attach_volume(project: Project, volume: Json, fields: Fields) -> None:
    server = project.find("servers", fields.number("server", required=True))
    fields.flag("automount")
    fields.check()
    if volume["server"]:
        raise Refusal(422, "volume_already_attached", "volume is already attached to a server")
    if server["location"]["name"] != volume["location"]["name"]:
        raise Refusal(422, "invalid_input", "server and volume are in different locations")
    volume["server"] = server["id"]


def _detach_volume(_: Project, volume: Json, fields: Fields) -> None:
    fields.check()
    volume["server"] = None


def _resize(_: Project, volume: Json, fields: Fields) -> None:
    size = fields.number("size", required=True, least=volume["size"] + 1, most=10_240)
    fields.check()
    volume["size"] = size


VOLUME_ACTIONS: Mapping[str, tuple[str, Change]] = {
    "attach": ("attach_volume", _attach_volume),
    "detach": ("detach_volume", _detach_volume),
    "resize": ("resize_volume", _resize),
    "change_protection": ("change_protection", change_protection),
}


def _fingerprint(text: str) -> str:
    """MD5 of the key, as the API shows it; empty for what is no OpenSSH public key."""
    kind, _, rest = text.strip().partition(" ")
    try:
        blob = base64.b64decode(rest.partition(" ")[0], validate=True)
    except binascii.Error:
        return ""
    if not blob.startswith(len(kind).to_bytes(4) + kind.encode()) or not re.fullmatch(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+", kind):
        return ""
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[place : place + 2] for place in range(0, 32, 2))


def _rules(fields: Fields) -> list[Json]:
    asked = fields.objects("rules", most=_MOST_RULES)
    found = [_rule(each) for each in asked]
    fields.nested(*asked)
    return found


def _rule(rule: Fields) -> Json:
    direction = rule.text("direction", required=True, one_of=("in", "out"))
    protocol = rule.text("protocol", required=True, one_of=("tcp", "udp", "icmp", "esp", "gre"))
    port, description = rule.text("port"), rule.text("description", longest=255)
    sources = rule.networks("source_ips", required=direction == "in")
    destinations = rule.networks("destination_ips", required=direction == "out")
    has_ports = protocol in ("tcp", "udp")
    if has_ports != bool(port):
        rule.wrong("port", "is required for tcp and udp" if has_ports else f"is not allowed for {protocol}")
    if port and port != "any" and not _is_port(port):
        rule.wrong("port", "must be a port, a range such as 80-85, or any")
    return {
        "direction": direction,
        "protocol": protocol,
        "port": port or None,
        "source_ips": sources,
        "destination_ips": destinations,
        "description": description or None,
    }


def _is_port(text: str) -> bool:
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    return bool(found) and 1 <= int(found[1]) <= int(found[2] or found[1]) <= 65535  # type: ignore[index]


def _targets(project: Project, fields: Fields, name: str) -> list[Json]:
    asked = fields.objects(name)
    found: list[Json] = []
    for each in asked:
        kind = each.text("type", required=True, one_of=("server", "label_selector"))
        server, selector = each.object("server"), each.object("label_selector")
        number, text = (
            server.number("id", required=kind == "server"),
            selector.text("selector", required=kind == "label_selector"),
        )
        each.nested(server, selector)
        if number and not _is_public(project, number):
            raise Refusal(422, "private_net_only_server", "the server has no public interface")
        if text:
            selects(text, {})
        found.append({"type": kind, **({"server": {"id": number}} if number else {"label_selector": {"selector": text}})})
    fields.nested(*asked)
    return found


def _is_public(project: Project, server: int) -> bool:
    project.find("servers", server)
    return bool(project.primary_ips_of(server))


def _apply(project: Project, firewall: Json, target: Json) -> Json:
    firewall["applied_to"].append(target)
    me: tuple[Any, ...] = (("firewall", firewall["id"]),)
    return project.act("apply_firewall", *me, *([("server", target["server"]["id"])] if "server" in target else []))


def _subnet(network: Json, fields: Fields) -> None:
    kind = fields.text("type", required=True, one_of=("cloud", "server", "vswitch"))
    zone = fields.text("network_zone", required=True, one_of=("eu-central",))
    inside = fields.network("ip_range")
    fields.text("gateway")
    fields.number("vswitch_id")
    whole = ipaddress.IPv4Network(network["ip_range"])
    others = [ipaddress.IPv4Network(subnet["ip_range"]) for subnet in network["subnets"]]
    if inside is None and not fields.has("ip_range"):
        inside = next((subnet for subnet in whole.subnets(new_prefix=max(24, whole.prefixlen)) if subnet not in others), None)
    if inside is None:
        return
    if not inside.subnet_of(whole):
        fields.wrong("ip_range", "must be inside of the network")
    if any(inside.overlaps(other) for other in others):
        fields.wrong("ip_range", "overlaps another subnet")
    network["subnets"].append({"type": kind, "ip_range": str(inside), "network_zone": zone, "gateway": str(whole[1])})


def _route(network: Json, fields: Fields) -> None:
    destination, gateway = fields.network("destination", required=True), fields.address("gateway")
    if gateway is None:
        fields.wrong("gateway", "is required")
    elif gateway not in ipaddress.IPv4Network(network["ip_range"]):
        fields.wrong("gateway", "must be inside of the network")
    network["routes"].append({"destination": str(destination), "gateway": str(gateway)})
