"""Primary IPs: they outlive their server unless made with it."""

import ipaddress
from collections.abc import Callable, Mapping, Sequence

from lab.providers.hetzner.catalogue import Json
from lab.providers.hetzner.fields import Fields
from lab.providers.hetzner.project import Project
from lab.providers.hetzner.refusal import Refusal, invalid


def create(project: Project, fields: Fields) -> tuple[int, Json]:
    """POST /primary_ips: in a location, or for a server that is there."""
    label = fields.text("name", required=True)
    kind = fields.text("type", required=True, one_of=("ipv4", "ipv6"))
    assignee, assignee_type = fields.number("assignee_id"), fields.text("assignee_type", one_of=("server",))
    deletes, labels = fields.flag("auto_delete"), fields.labels()
    where = fields.identity("location")
    if assignee and where:
        fields.wrong("location", "location and assignee_id exclude each other")
    if assignee and not assignee_type:
        fields.wrong("assignee_type", "is required with assignee_id")
    if not assignee and not where:
        fields.wrong("location", "is required without assignee_id")
    fields.check()
    server = project.find("servers", assignee) if assignee else None
    if server:
        _refuse_assignment(project, server, kind)
    location = server["location"] if server else project.choose("locations", where, fields, "location")
    address = project.add("primary_ips", _document(project, label, kind, location, labels, auto_delete=deletes))
    action = None
    if server:
        assign(project, address, server)
        action = project.act("assign_primary_ip", ("primary_ip", address["id"]), ("server", server["id"]))
    return 201, {"primary_ip": project.show("primary_ips", address), "action": action}


def delete(project: Project, address: Json) -> tuple[int, None]:
    """DELETE /primary_ips/{id}: of a server only while that is off."""
    if address["assignee_id"] and not address["protection"]["delete"]:
        _refuse_running(project.find("servers", address["assignee_id"]))
    project.remove("primary_ips", address)
    return 204, None


def automatic(project: Project, kind: str, location: Json) -> Json:
    """The address that a server gets when it brings none."""
    address = project.add("primary_ips", _document(project, "", kind, location, {}, auto_delete=True))
    address["name"] = f"primary_ip-{address['id']}"
    return address


def reserved(project: Project, number: int, kind: str, location: Json) -> Json:
    """The address that a new server asks for, if it may have it."""
    address = project.find("primary_ips", number)
    if address["type"] != kind:
        raise Refusal(422, "primary_ip_version_mismatch", f"primary IP {number} is no {kind}")
    if address["location"]["name"] != location["name"]:
        raise Refusal(422, "primary_ip_datacenter_mismatch", f"primary IP {number} is in {address['location']['name']}")
    if address["assignee_id"]:
        raise Refusal(409, "primary_ip_assigned", f"primary IP {number} is already assigned")
    return address


def assign(project: Project, address: Json, server: Json) -> None:
    address.update(assignee_id=server["id"], assignee_type="server")


def name(addresses: Sequence[Json], ip: str, dns_ptr: str) -> None:
    """Reverse DNS; an empty name is the provider's own again."""
    for address in addresses:
        entries = {entry["ip"]: entry["dns_ptr"] for entry in address["dns_ptr"]}
        network = ipaddress.ip_network(address["ip"])
        if ipaddress.ip_address(ip) in network:
            if address["type"] == "ipv4":
                entries[ip] = dns_ptr or _default_name(ip)
            elif dns_ptr:
                entries[ip] = dns_ptr
            else:
                entries.pop(ip, None)
            address["dns_ptr"] = [{"ip": key, "dns_ptr": value} for key, value in entries.items()]
            return
    raise invalid({"ip": [f"'{ip}' is not an address of the resource"]})


def _assign(project: Project, address: Json, fields: Fields) -> None:
    server = project.find("servers", fields.number("assignee_id", required=True))
    fields.text("assignee_type", one_of=("server",))
    fields.check()
    if address["assignee_id"]:
        raise Refusal(409, "primary_ip_already_assigned", f"primary IP {address['id']} is already assigned")
    _refuse_assignment(project, server, address["type"])
    assign(project, address, server)


def _unassign(project: Project, address: Json, fields: Fields) -> None:
    fields.check()
    if address["assignee_id"]:
        _refuse_running(project.find("servers", address["assignee_id"]))
    address.update(assignee_id=None, assignee_type="unassigned")


def _change_dns_ptr(_: Project, address: Json, fields: Fields) -> None:
    ip, label = fields.text("ip", required=True), fields.text("dns_ptr")
    fields.check()
    name([address], ip, label)


def change_protection(_: Project, document: Json, fields: Fields) -> None:
    """Of every kind but servers, which have two."""
    wanted = fields.flag("delete", document["protection"]["delete"])
    fields.check()
    document["protection"] = {"delete": wanted}


ACTIONS: Mapping[str, tuple[str, Callable[[Project, Json, Fields], None]]] = {
    "assign": ("assign_primary_ip", _assign),
    "unassign": ("unassign_primary_ip", _unassign),
    "change_dns_ptr": ("change_dns_ptr", _change_dns_ptr),
    "change_protection": ("change_protection", change_protection),
}


def _document(project: Project, label: str, kind: str, location: Json, labels: Json, *, auto_delete: bool) -> Json:
    ip = project.free_address(kind)
    return {
        "name": label,
        "type": kind,
        "ip": ip,
        "labels": labels,
        "location": location,
        "dns_ptr": [{"ip": ip, "dns_ptr": _default_name(ip)}] if kind == "ipv4" else [],
        "assignee_id": None,
        "assignee_type": "unassigned",
        "auto_delete": auto_delete,
        "blocked": False,
        "protection": {"delete": False},
    }


def _default_name(ip: str) -> str:
    return f"static.{'.'.join(reversed(ip.split('.')))}.clients.your-server.de"


def _refuse_assignment(project: Project, server: Json, kind: str) -> None:
    _refuse_running(server)
    if kind in project.primary_ips_of(server["id"]):
        raise Refusal(409, f"server_has_{kind}", f"server {server['id']} has an {kind} already")


def _refuse_running(server: Json) -> None:
    if server["status"] != "off":
        raise Refusal(422, "server_not_stopped", "server must be stopped")
