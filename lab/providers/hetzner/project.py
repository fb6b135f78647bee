"""What one token sees: its resources by kind, and the actions that change them."""

import ipaddress
import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lab.providers.hetzner.catalogue import IMAGES, LOCATIONS, SERVER_TYPES, Json, now
from lab.providers.hetzner.fields import Fields
from lab.providers.hetzner.machines import Machines
from lab.providers.hetzner.refusal import Refusal, in_use, invalid, locked, protected, taken, unknown

KINDS = ("servers", "ssh_keys", "firewalls", "primary_ips", "networks", "placement_groups", "volumes")
CATALOGUE: Mapping[str, tuple[Json, ...]] = {"locations": LOCATIONS, "server_types": SERVER_TYPES, "images": IMAGES}
_IPV6_POOL = ipaddress.IPv6Network("2001:db8::/32")


@dataclass
class Steering:
    """What tests and rehearsals set; the whole cloud shares it."""

    addresses: ipaddress.IPv4Network
    action_seconds: float
    machines: Machines
    sold_out: set[tuple[str, str]] = field(default_factory=set)
    """Types that cannot be had in a location."""
    failing_actions: dict[str, str] = field(default_factory=dict)
    """Commands of actions that end in an error of this code."""
    limits: dict[str, int] = field(default_factory=lambda: {"servers": 10, "primary_ips": 20})


class Project:
    """Resources in the form of the API. What starts with an underscore is ours and never shown."""

    def __init__(self, steering: Steering, numbers: Iterator[int], in_use_elsewhere: Callable[[], Iterable[str]]) -> None:
        self.steering = steering
        self.tables: dict[str, dict[int, Json]] = {kind: {} for kind in KINDS}
        self.actions: dict[int, Json] = {}
        self._numbers = numbers
        self._addresses_in_use = in_use_elsewhere

    def find(self, kind: str, identity: object) -> Json:
        """The resource with this id; 404 without one."""
        table = self.tables[kind]
        found = table.get(int(str(identity))) if str(identity).isdigit() else None
        if found is None:
            raise unknown(singular(kind), identity)
        return found

    def offered(self, kind: str) -> list[Json]:
        """Part of the catalogue, as far as it is not sold out."""
        if kind != "server_types":
            return list(CATALOGUE[kind])
        return [{**entry, "locations": [self._stock(entry, place) for place in entry["locations"]]} for entry in SERVER_TYPES]

    def choose(self, kind: str, identity: str, fields: Fields, name: str, **wanted: object) -> Json:
        """What a field of a request names by id or name."""
        table = CATALOGUE[kind] if kind in CATALOGUE else tuple(self.tables[kind].values())
        for entry in table:
            if identity in (str(entry["id"]), entry["name"]) and all(entry.get(key) == value for key, value in wanted.items()):
                return entry
        if identity:
            fields.wrong(name, f"{singular(kind)} '{identity}' not found")
        fields.check()
        raise invalid({name: ["is required"]})

    def add(self, kind: str, document: Json) -> Json:
        """Keep a new resource, its name unlike every other's."""
        self.refuse_name(kind, str(document["name"]))
        limit = self.steering.limits.get(kind)
        if limit is not None and len(self.tables[kind]) >= limit:
            raise Refusal(403, "resource_limit_exceeded", f"{singular(kind)} limit exceeded", {"limits": [{"name": kind}]})
        number = next(self._numbers)
        self.tables[kind][number] = {"id": number, "created": now(), **document}
        return self.tables[kind][number]

    def refuse_name(self, kind: str, name: str, own: int = 0) -> None:
        for entry in self.tables[kind].values():
            if entry["name"] == name and entry["id"] != own:
                raise taken(f"{singular(kind)} name is already used", "name")

    def remove(self, kind: str, document: Json, users: Iterable[object] = ()) -> None:
        """Delete a resource that is neither protected nor used."""
        if document.get("protection", {}).get("delete"):
            raise protected(singular(kind))
        if list(users):
            raise in_use(singular(kind), document["id"])
        del self.tables[kind][document["id"]]

    def update(self, kind: str, document: Json, fields: Fields, **flags: bool) -> Json:
        """PUT: name, labels and the flags that the kind has."""
        name, labels = fields.text("name"), fields.labels(document["labels"])
        changed = {flag: fields.flag(flag, document[flag]) for flag in flags}
        fields.check()
        if name:
            self.refuse_name(kind, name, document["id"])
        document.update({**({"name": name} if name else {}), "labels": labels, **changed})
        return document

    def act(self, command: str, *resources: tuple[str, int], lock: tuple[str, int] | None = None) -> Json:
        """An action that runs for a while; the resource that it locks takes no second one meanwhile."""
        number = next(self._numbers)
        self.actions[number] = {
            "id": number,
            "command": command,
            "started": now(),
            "resources": [{"id": identity, "type": kind} for kind, identity in resources],
            "_ends": time.monotonic() + self.steering.action_seconds,
            "_locks": lock,
            "_fails": self.steering.failing_actions.get(command, ""),
        }
        return self.show_action(self.actions[number], fresh=True)

    def refuse_locked(self, kind: str, number: int) -> None:
        if any(action["_locks"] == (kind, number) and action["_ends"] > time.monotonic() for action in self.actions.values()):
            raise locked(kind)

    def show_action(self, action: Json, *, fresh: bool = False) -> Json:
        """An action as the API shows it; right after the request it always runs still."""
        over = not fresh and action["_ends"] <= time.monotonic()
        failed = over and action["_fails"]
        error = {"code": action["_fails"], "message": f"Action failed: {action['_fails']}"} if failed else None
        return {
            **{key: value for key, value in action.items() if not key.startswith("_")},
            "status": ("error" if failed else "success") if over else "running",
            "progress": 100 if over else 0,
            "finished": datetime.now(UTC).isoformat(timespec="seconds") if over else None,
            "error": error,
        }

    def show(self, kind: str, document: Json) -> Json:
        """A resource as the API shows it."""
        shown = {key: value for key, value in document.items() if not key.startswith("_")}
        if kind == "servers":
            shown |= self._show_server(document)
        elif kind == "firewalls":
            shown["applied_to"] = [self._show_applied(target) for target in document["applied_to"]]
        elif kind == "networks":
            shown |= {"servers": [server["id"] for server in self.servers_in(document["id"])], "load_balancers": []}
        elif kind == "placement_groups":
            members = (server for server in self.tables["servers"].values() if server["_placement_group"] == document["id"])
            shown["servers"] = [server["id"] for server in members]
        return shown

    def servers_in(self, network: int) -> list[Json]:
        """The servers that are attached to a network."""
        return [
            server
            for server in self.tables["servers"].values()
            if any(interface["network"] == network for interface in server["private_net"])
        ]

    def firewalls_of(self, server: Json) -> list[Json]:
        """Those applied to a server itself or to its labels."""
        return [
            firewall
            for firewall in self.tables["firewalls"].values()
            if any(self._applies(target, server) for target in firewall["applied_to"])
        ]

    def primary_ips_of(self, server: int) -> Mapping[str, Json]:
        return {address["type"]: address for address in self.tables["primary_ips"].values() if address["assignee_id"] == server}

    def free_address(self, kind: str) -> str:
        """The lowest address that nobody has."""
        used = set(self._addresses_in_use())
        if kind == "ipv6":
            return next(str(net) for net in _IPV6_POOL.subnets(new_prefix=64) if str(net) not in used)
        free = (str(host) for host in self.steering.addresses.hosts())
        found = next((address for address in free if address not in used), None)
        if found is None:
            raise Refusal(412, "resource_unavailable", "no free IPv4 addresses")
        return found

    def _stock(self, kind: Json, place: Json) -> Json:
        return {**place, "available": place["available"] and (kind["name"], place["name"]) not in self.steering.sold_out}

    def _show_server(self, server: Json) -> Json:
        addresses = self.primary_ips_of(server["id"])
        ipv4, ipv6 = addresses.get("ipv4"), addresses.get("ipv6")
        group = self.tables["placement_groups"].get(server["_placement_group"])
        busy = any(
            action["_locks"] == ("server", server["id"]) and action["_ends"] > time.monotonic()
            for action in self.actions.values()
        )
        return {
            "status": "initializing" if busy and server["_new"] else server["status"],
            "locked": busy,
            "public_net": {
                "ipv4": ipv4 and {"id": ipv4["id"], "ip": ipv4["ip"], "blocked": False, "dns_ptr": ipv4["dns_ptr"][0]["dns_ptr"]},
                "ipv6": ipv6 and {"id": ipv6["id"], "ip": ipv6["ip"], "blocked": False, "dns_ptr": ipv6["dns_ptr"]},
                "floating_ips": [],
                "firewalls": [{"id": firewall["id"], "status": "applied"} for firewall in self.firewalls_of(server)],
            },
            "volumes": [volume["id"] for volume in self.tables["volumes"].values() if volume["server"] == server["id"]],
            "placement_group": group and self.show("placement_groups", group),
        }

    def _show_applied(self, target: Json) -> Json:
        if target["type"] == "server":
            return target
        matching = (server for server in self.tables["servers"].values() if self._applies(target, server))
        return {**target, "applied_to_resources": [{"type": "server", "server": {"id": server["id"]}} for server in matching]}

    def _applies(self, target: Json, server: Json) -> bool:
        if target["type"] == "server":
            return bool(target["server"]["id"] == server["id"])
        return selects(target["label_selector"]["selector"], server["labels"])


def singular(kind: str) -> str:
    """`servers` -> `server`."""
    return {"primary_ips": "primary_ip"}.get(kind, kind.removesuffix("s"))


def numbers() -> Iterator[int]:
    """Ids of resources and actions; no two kinds share one, so that a mix-up is seen."""
    return itertools.count(1_000_001)


_TERM = re.compile(r"\s*(!?)([^\s!=(),]+)\s*(?:(==|=|!=)\s*([^\s,()=!]*)|(in|notin)\s*\(([^()]*)\))?\s*")


def selects(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether a label selector (`env=prod,!ttl,role in (a,b)`) matches; docs.hetzner.cloud, "Label Selector"."""
    for term in re.split(r",(?![^()]*\))", selector):
        found = _TERM.fullmatch(term)
        if not found or (found[1] and (found[3] or found[5])):
            raise invalid({"label_selector": [f"'{term}' is invalid"]})
        negated, key, comparison, value, membership, listed = found.groups()
        there = labels.get(key)
        if comparison:
            matches = there != value if comparison == "!=" else there == value
        elif membership:
            matches = (there in {word.strip() for word in listed.split(",")}) == (membership == "in")
        else:
            matches = (there is None) == bool(negated)
        if not matches:
            return False
    return True


Operation = Callable[[Project, Fields], tuple[int, Any]]
