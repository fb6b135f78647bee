"""Servers: made from type, image, keys and user data; switched, changed, protected, deleted."""

import ipaddress
import secrets
from collections.abc import Callable, Mapping

from lab.providers.hetzner import addresses
from lab.providers.hetzner.catalogue import LOCATIONS, Json
from lab.providers.hetzner.fields import HOSTNAME, Fields
from lab.providers.hetzner.project import Project
from lab.providers.hetzner.refusal import API, Refusal

_USER_DATA = int(API.contract.limits["characters of user data"]["most"])


def create(project: Project, fields: Fields) -> tuple[int, Json]:
    """POST /servers."""
    name = fields.text("name", required=True, longest=63, pattern=HOSTNAME)
    kind = project.choose("server_types", fields.identity("server_type", required=True), fields, "server_type")
    image = project.choose("images", fields.identity("image", required=True), fields, "image", architecture=kind["architecture"])
    location = _location(project, fields)
    keys = [project.choose("ssh_keys", key, fields, "ssh_keys") for key in fields.identities("ssh_keys")]
    user_data = fields.text("user_data", longest=_USER_DATA)
    starts = fields.flag("start_after_create", True)
    labels = fields.labels()
    fields.flag("automount")
    networks = [project.find("networks", network) for network in fields.identities("networks")]
    volumes = [project.find("volumes", volume) for volume in fields.identities("volumes")]
    asked = fields.objects("firewalls")
    firewalls = [project.find("firewalls", each.number("firewall", required=True)) for each in asked]
    group = fields.number("placement_group")
    public = fields.object("public_net")
    wants = {"ipv4": public.flag("enable_ipv4", True), "ipv6": public.flag("enable_ipv6", True)}
    given = {version: public.number(version) for version in wants}
    fields.nested(public, *asked)
    if not any(wants.values()) and not networks:
        fields.wrong("public_net", "a server needs a public address or a network")
    fields.check()
    project.refuse_name("servers", name)
    if group:
        _refuse_placement(project, group)
    _refuse_unavailable(project, kind, location)
    reserved = {
        version: addresses.reserved(project, number, version, location)
        for version, number in given.items()
        if wants[version] and number
    }
    server = project.add(
        "servers",
        {
            "name": name,
            "status": "running" if starts else "off",
            "server_type": kind,
            "image": image,
            "location": location,
            "labels": labels,
            "private_net": [],
            "included_traffic": kind["prices"][0]["included_traffic"] if kind["prices"] else 0,
            "outgoing_traffic": 0,
            "ingoing_traffic": 0,
            "backup_window": None,
            "rescue_enabled": False,
            "iso": None,
            "protection": {"delete": False, "rebuild": False},
            "primary_disk_size": kind["disk"],
            "load_balancers": [],
            "_user_data": user_data,
            "_keys": [key["public_key"] for key in keys],
            "_placement_group": group,
            "_new": True,
        },
    )
    for version, wanted in wants.items():
        if wanted:
            addresses.assign(project, reserved.get(version) or addresses.automatic(project, version, location), server)
    for firewall in firewalls:
        firewall["applied_to"].append({"type": "server", "server": {"id": server["id"]}})
    for network in networks:
        _attach(project, server, network, None, ())
    for volume in volumes:
        volume["server"] = server["id"]
    project.steering.machines.boot(server, project.primary_ips_of(server["id"]).get("ipv4", {}).get("ip", ""))
    me = ("server", server["id"])
    following = [project.act("start_server", me)] if starts else []
    following += [project.act("attach_to_network", me, ("network", network["id"])) for network in networks]
    return 201, {
        "server": project.show("servers", server),
        "action": project.act("create_server", me, lock=me),
        "next_actions": following,
        "root_password": None if keys else secrets.token_urlsafe(12),
    }


def delete(project: Project, server: Json) -> tuple[int, Json]:
    """DELETE /servers/{id}: addresses made with it go too, volumes and networks stay."""
    me = ("server", server["id"])
    project.refuse_locked(*me)
    project.remove("servers", server)
    project.steering.machines.remove(server)
    for address in project.primary_ips_of(server["id"]).values():
        if address["auto_delete"]:
            del project.tables["primary_ips"][address["id"]]
        else:
            address.update(assignee_id=None, assignee_type="unassigned")
    for firewall in project.tables["firewalls"].values():
        firewall["applied_to"] = [target for target in firewall["applied_to"] if target.get("server") != {"id": server["id"]}]
    for volume in project.tables["volumes"].values():
        if volume["server"] == server["id"]:
            volume["server"] = None
    return 200, {"action": project.act("delete_server", me)}


def _switch(status: str, verb: str) -> Callable[[Project, Json, Fields], None]:
    def switched(project: Project, server: Json, fields: Fields) -> None:
        fields.check()
        server["status"] = status
        project.steering.machines.power(server, verb)

    return switched


def _change_type(project: Project, server: Json, fields: Fields) -> None:
    kind = project.choose("server_types", fields.identity("server_type", required=True), fields, "server_type")
    upgrades = fields.flag("upgrade_disk", required=True)
    fields.check()
    if server["status"] != "off":
        raise Refusal(422, "server_not_stopped", "server must be stopped")
    if kind["architecture"] != server["server_type"]["architecture"] or kind["disk"] < server["primary_disk_size"]:
        raise Refusal(422, "invalid_server_type", "the disk or the architecture of the type does not fit the server")
    _refuse_unavailable(project, kind, server["location"])
    server["server_type"] = kind
    if upgrades:
        server["primary_disk_size"] = kind["disk"]


def _rebuild(project: Project, server: Json, fields: Fields) -> None:
    image = project.choose("images", fields.identity("image", required=True), fields, "image")
    user_data = fields.text("user_data", longest=_USER_DATA)
    fields.check()
    if server["protection"]["rebuild"]:
        raise Refusal(403, "protected", "server is rebuild protected")
    server.update(image=image, status="running", _user_data=user_data or server["_user_data"])
    project.steering.machines.remove(server)
    project.steering.machines.boot(server, project.primary_ips_of(server["id"]).get("ipv4", {}).get("ip", ""))


def _enable_backup(_: Project, server: Json, fields: Fields) -> None:
    fields.text("backup_window")
    fields.check()
    server["backup_window"] = "22-02"


def _disable_backup(_: Project, server: Json, fields: Fields) -> None:
    fields.check()
    server["backup_window"] = None


def _change_protection(_: Project, server: Json, fields: Fields) -> None:
    wanted = {name: fields.flag(name, server["protection"][name]) for name in ("delete", "rebuild")}
    if wanted["delete"] != wanted["rebuild"]:
        fields.wrong("rebuild", "delete and rebuild must have the same value")
    fields.check()
    server["protection"] = wanted


def _change_dns_ptr(project: Project, server: Json, fields: Fields) -> None:
    ip, name = fields.text("ip", required=True), fields.text("dns_ptr")
    fields.check()
    addresses.name(list(project.primary_ips_of(server["id"]).values()), ip, name)


def _attach_to_network(project: Project, server: Json, fields: Fields) -> None:
    network = fields.number("network", required=True)
    address, aliases = fields.address("ip"), fields.identities("alias_ips")
    fields.text("ip_range")
    fields.check()
    _attach(project, server, project.find("networks", network), address, tuple(aliases))


def _detach_from_network(project: Project, server: Json, fields: Fields) -> None:
    network = fields.number("network", required=True)
    fields.check()
    project.find("networks", network)
    server["private_net"] = [interface for interface in server["private_net"] if interface["network"] != network]


def _change_alias_ips(project: Project, server: Json, fields: Fields) -> None:
    network, aliases = fields.number("network", required=True), fields.identities("alias_ips")
    fields.check()
    for interface in server["private_net"]:
        if interface["network"] == network:
            interface["alias_ips"] = aliases


def _add_to_placement_group(project: Project, server: Json, fields: Fields) -> None:
    group = fields.number("placement_group", required=True)
    fields.check()
    if server["status"] != "off":
        raise Refusal(422, "server_not_stopped", "server must be stopped")
    _refuse_placement(project, group)
    server["_placement_group"] = group


def _remove_from_placement_group(_: Project, server: Json, fields: Fields) -> None:
    fields.check()
    server["_placement_group"] = 0


ACTIONS: Mapping[str, tuple[str, Callable[[Project, Json, Fields], None]]] = {
    "poweron": ("start_server", _switch("running", "start")),
    "poweroff": ("stop_server", _switch("off", "stop")),
    "shutdown": ("shutdown_server", _switch("off", "stop")),
    "reboot": ("reboot_server", _switch("running", "restart")),
    "reset": ("reset_server", _switch("running", "restart")),
    "change_type": ("change_server_type", _change_type),
    "rebuild": ("rebuild_server", _rebuild),
    "enable_backup": ("enable_backup", _enable_backup),
    "disable_backup": ("disable_backup", _disable_backup),
    "change_protection": ("change_protection", _change_protection),
    "change_dns_ptr": ("change_dns_ptr", _change_dns_ptr),
    "attach_to_network": ("attach_to_network", _attach_to_network),
    "detach_from_network": ("detach_from_network", _detach_from_network),
    "change_alias_ips": ("change_alias_ips", _change_alias_ips),
    "add_to_placement_group": ("add_to_placement_group", _add_to_placement_group),
    "remove_from_placement_group": ("remove_from_placement_group", _remove_from_placement_group),
}
"""By the last part of the path: the command that the action shows, and what it does."""


def _location(project: Project, fields: Fields) -> Json:
    name = fields.identity("location")
    return project.choose("locations", name, fields, "location") if name else LOCATIONS[0]


def _refuse_unavailable(project: Project, kind: Json, location: Json) -> None:
    if kind["deprecated"]:
        raise Refusal(422, "invalid_server_type", f"server type {kind['name']} is deprecated")
    if (kind["name"], location["name"]) in project.steering.sold_out:
        raise Refusal(412, "resource_unavailable", "error during placement")


def _refuse_placement(project: Project, group: int) -> None:
    project.find("placement_groups", group)
    if sum(server["_placement_group"] == group for server in project.tables["servers"].values()) >= 10:
        raise Refusal(412, "placement_error", "error during placement: the group is full")


def _attach(
    project: Project, server: Json, network: Json, address: ipaddress.IPv4Address | None, aliases: tuple[str, ...]
) -> None:
    """Give a server an address in the first subnet of a network, or the one it asks for."""
    if any(interface["network"] == network["id"] for interface in server["private_net"]):
        raise Refusal(422, "server_already_attached", "server is already attached to the network")
    ranges = [ipaddress.IPv4Network(subnet["ip_range"]) for subnet in network["subnets"]]
    taken = {
        interface["ip"]
        for other in project.servers_in(network["id"])
        for interface in other["private_net"]
        if interface["network"] == network["id"]
    }
    # The first address of the network is its gateway.
    gateways = {str(ipaddress.IPv4Network(network["ip_range"])[1]), *(str(each[1]) for each in ranges)}
    if address is None:
        free = (str(host) for each in ranges for host in each.hosts() if str(host) not in taken | gateways)
        chosen = next(free, None)
        if chosen is None:
            raise Refusal(422, "no_subnet_available", "no subnet or IP is available in the network")
    else:
        chosen = str(address)
        if chosen in taken | gateways or not any(address in each for each in ranges):
            raise Refusal(422, "ip_not_available", f"IP {chosen} is not available in the network")
    number = int(ipaddress.IPv4Address(chosen))
    server["private_net"].append(
        {
            "network": network["id"],
            "ip": chosen,
            "alias_ips": list(aliases),
            "mac_address": "86:00:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(4)),
        }
    )
