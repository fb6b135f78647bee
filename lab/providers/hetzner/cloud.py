"""The way of a request: token, rate, fault, path, resource, answer."""

import ipaddress
import json
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lab.providers.api import Refused
from lab.providers.hetzner import addresses, others, servers
from lab.providers.hetzner.catalogue import Json, pricing
from lab.providers.hetzner.fields import Fields
from lab.providers.hetzner.machines import Machines, NoMachines
from lab.providers.hetzner.project import CATALOGUE, KINDS, Project, Steering, numbers, selects, singular
from lab.providers.hetzner.refusal import API, Refusal, invalid, unknown

_RATE = int(API.contract.limits["requests an hour"]["most"])
"""Requests an hour, given back one a second (docs.hetzner.cloud, "Rate Limiting")."""
_LONGEST_PAGE = int(API.contract.limits["entries of a page"]["most"])

Query = Mapping[str, list[str]]


@dataclass(frozen=True)
class Reply:
    """What goes over the wire; no document for 204."""

    status: int
    document: Json | None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """Lets the next `times` requests whose `METHOD /path` matches fail."""

    request: str
    status: int
    code: str
    message: str = "as asked for"
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1


Creation = Callable[[Project, Fields], tuple[int, Json]]
Deletion = Callable[[Project, Json], tuple[int, Json | None]]

_CREATIONS: Mapping[str, Creation] = {
    "servers": servers.create,
    "ssh_keys": others.create_ssh_key,
    "firewalls": others.create_firewall,
    "primary_ips": addresses.create,
    "networks": others.create_network,
    "placement_groups": others.create_placement_group,
    "volumes": others.create_volume,
}
_DELETIONS: Mapping[str, Deletion] = {
    "servers": servers.delete,
    "firewalls": others.delete_firewall,
    "primary_ips": addresses.delete,
    "networks": others.delete_network,
    "placement_groups": others.delete_placement_group,
    "volumes": others.delete_volume,
}
_ACTIONS: Mapping[str, Mapping[str, tuple[str, Callable[[Project, Json, Fields], None]]]] = {
    "servers": servers.ACTIONS,
    "primary_ips": addresses.ACTIONS,
    "networks": others.NETWORK_ACTIONS,
    "volumes": others.VOLUME_ACTIONS,
}
_FLAGS: Mapping[str, Mapping[str, bool]] = {"primary_ips": {"auto_delete": True}, "networks": {"expose_routes_to_vswitch": True}}
_FILTERS: Mapping[str, tuple[str, ...]] = {
    "servers": ("name", "status"),
    "ssh_keys": ("name", "fingerprint"),
    "firewalls": ("name",),
    "primary_ips": ("name", "ip"),
    "networks": ("name",),
    "placement_groups": ("name", "type"),
    "volumes": ("name", "status"),
    "locations": ("name",),
    "server_types": ("name",),
    "images": ("name", "type", "architecture", "status"),
}


class Cloud:
    """All projects. Thread-safe: a request at a time."""

    def __init__(self, addresses: str = "203.0.113.0/24", action_seconds: float = 0.0, machines: Machines | None = None) -> None:
        self.steering = Steering(ipaddress.IPv4Network(addresses), action_seconds, machines or NoMachines())
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        """`METHOD /path` of every request, for tests."""
        self.statuses: list[int] = []
        self._projects: dict[str, Project] = {}
        self._tokens_left: dict[str, tuple[float, float]] = {}
        self._numbers = numbers()
        self._lock = threading.Lock()

    @property
    def sold_out(self) -> set[tuple[str, str]]:
        """Types that cannot be had in a location."""
        return self.steering.sold_out

    @property
    def failing_actions(self) -> dict[str, str]:
        """Commands of actions that end in an error of this code."""
        return self.steering.failing_actions

    def answer(self, method: str, path: str, query: Query, headers: Mapping[str, str], data: bytes) -> Reply:
        """What the API answers to a request below /v1."""
        with self._lock:
            reply = self._answer(method, path, query, headers, data)
            self.requests.append(f"{method} {path}")
            self.statuses.append(reply.status)
            return reply

    def _answer(self, method: str, path: str, query: Query, headers: Mapping[str, str], data: bytes) -> Reply:
        rate: Mapping[str, str] = {}
        try:
            token = _token(headers)
            rate = self._spend(token)
            self._fail(f"{method} {path}")
            status, document = _route(self.project(token), method, path.removeprefix("/v1"), query, data)
        except Refusal as refusal:
            return Reply(refusal.status, refusal.document, {**rate, **refusal.headers})
        return Reply(status, document, rate)

    def project(self, token: str) -> Project:
        """What a token sees."""
        if token not in self._projects:
            self._projects[token] = Project(self.steering, self._numbers, self._addresses_in_use)
        return self._projects[token]

    def inventory(self, token: str) -> dict[str, list[str]]:
        """The names of everything in a project, by kind; empty kinds left out."""
        with self._lock:
            tables = self.project(token).tables.items()
            return {kind: sorted(entry["name"] for entry in table.values()) for kind, table in tables if table}

    def _addresses_in_use(self) -> list[str]:
        return [entry["ip"] for project in self._projects.values() for entry in project.tables["primary_ips"].values()]

    def _spend(self, token: str) -> Mapping[str, str]:
        left, since = self._tokens_left.get(token, (float(_RATE), time.monotonic()))
        moment = time.monotonic()
        left = min(float(_RATE), left + moment - since) - 1
        headers = {
            "ratelimit-limit": str(_RATE),
            "ratelimit-remaining": str(max(0, math.floor(left))),
            "ratelimit-reset": str(int(time.time() + _RATE - left)),
        }
        if left < 0:
            raise Refusal(
                429, "rate_limit_exceeded", f"limit of {_RATE} requests per hour reached", headers={**headers, "retry-after": "1"}
            )
        self._tokens_left[token] = left, moment
        return headers

    def _fail(self, request: str) -> None:
        for fault in self.faults:
            if fault.times and re.fullmatch(fault.request, request):
                fault.times -= 1
                raise Refusal(fault.status, fault.code, fault.message, headers=fault.headers)


def _token(headers: Mapping[str, str]) -> str:
    _check(API.unless("tokens", given := headers.get("authorization", "")))
    return given.removeprefix("Bearer ")


def _check(refused: Refused | None) -> None:
    if refused:
        raise Refusal(refused.status, refused.code, refused.words)


def _route(project: Project, method: str, path: str, query: Query, data: bytes) -> tuple[int, Json | None]:
    kind, *rest = path.strip("/").split("/")
    if kind == "datacenters":
        raise Refusal(
            410, "deprecated_api_endpoint", "datacenters were removed", {"announcement": "docs.hetzner.cloud/changelog"}
        )
    known = any(API.path(each, path) is None for each in ("GET", "POST", "PUT", "DELETE"))
    if known and API.path(method, path):
        raise Refusal(405, "method_not_allowed", f"{method} is not allowed for {path}")
    if not known:
        raise Refusal(404, "not_found", f"{path} not found")
    if method in ("POST", "PUT"):
        body = _body(data)
        for key in body:
            if not API.contract.accepts("keys", f"{method} {path} {key}"):
                _check(API.refusal("keys", key))
    match (method, kind, rest):
        case ("GET", "pricing", []):
            return 200, {"pricing": pricing()}
        case ("GET", "actions", [number]):
            return 200, {"action": _action(project, number)}
        case ("GET", "actions", []):
            return 200, _page("actions", _chosen_actions(project, query), query)
        case ("GET", _, []) if kind in CATALOGUE:
            return 200, _page(kind, _filtered(kind, project.offered(kind), query), query)
        case ("GET", _, [number]) if kind in CATALOGUE:
            return 200, {singular(kind): _entry(project, kind, number)}
    if kind not in KINDS:
        raise Refusal(404, "not_found", f"{path} not found")
    match (method, rest):
        case ("GET", []):
            shown = [project.show(kind, entry) for entry in project.tables[kind].values()]
            return 200, _page(kind, _filtered(kind, shown, query), query)
        case ("POST", []):
            return _CREATIONS[kind](project, Fields(_body(data)))
        case ("GET", ["actions", number]):
            return 200, {"action": _action(project, number)}
        case ("GET", [number]):
            return 200, {singular(kind): project.show(kind, project.find(kind, number))}
        case ("PUT", [number]):
            document = project.update(kind, project.find(kind, number), Fields(_body(data)), **_FLAGS.get(kind, {}))
            return 200, {singular(kind): project.show(kind, document)}
        case ("DELETE", [number]):
            document = project.find(kind, number)
            if kind not in _DELETIONS:
                project.remove(kind, document)
                return 204, None
            return _DELETIONS[kind](project, document)
        case ("GET", [number, "actions"]):
            mine = {"id": project.find(kind, number)["id"], "type": singular(kind)}
            found = [project.show_action(action) for action in project.actions.values() if mine in action["resources"]]
            return 200, _page("actions", found, query)
        case ("GET", [_, "actions", number]):
            return 200, {"action": _action(project, number)}
        case ("POST", [number, "actions", name]):
            return 201, _act(project, kind, project.find(kind, number), name, Fields(_body(data)))
    raise Refusal(405, "method_not_allowed", f"{method} is not allowed for {path}")


def _act(project: Project, kind: str, document: Json, name: str, fields: Fields) -> Json:
    me = (singular(kind), document["id"])
    if kind == "firewalls" and name in others.FIREWALL_ACTIONS:
        return {"actions": others.FIREWALL_ACTIONS[name](project, document, fields)}
    if name not in _ACTIONS.get(kind, {}):
        raise Refusal(404, "not_found", f"{kind} have no action {name}")
    project.refuse_locked(*me)
    command, change = _ACTIONS[kind][name]
    change(project, document, fields)
    if kind == "servers":
        document["_new"] = False
    return {"action": project.act(command, me, lock=me)}


def _action(project: Project, number: str) -> Json:
    action = project.actions.get(int(number)) if number.isdigit() else None
    if action is None:
        raise unknown("action", number)
    return project.show_action(action)


def _chosen_actions(project: Project, query: Query) -> list[Json]:
    if not query.get("id"):
        raise invalid({"id": ["is required: the list of all actions was removed"]})
    found = [_action(project, number) for number in query["id"] if number.isdigit() and int(number) in project.actions]
    return [action for action in found if action["status"] in query.get("status", [action["status"]])]


def _entry(project: Project, kind: str, number: str) -> Json:
    for entry in project.offered(kind):
        if str(entry["id"]) == number:
            return entry
    raise unknown(singular(kind), number)


def _filtered(kind: str, entries: list[Json], query: Query) -> list[Json]:
    known = {
        *_FILTERS[kind],
        "label_selector",
        "sort",
        "page",
        "per_page",
        *(("include_deprecated",) if kind == "images" else ()),
    }
    if strange := query.keys() - known:
        raise invalid({name: ["is unknown"] for name in sorted(strange)})
    for name in _FILTERS[kind]:
        if wanted := query.get(name):
            entries = [entry for entry in entries if entry[name] in wanted]
    if selector := query.get("label_selector", [""])[0]:
        selects(selector, {})
        entries = [entry for entry in entries if selects(selector, entry["labels"])]
    return entries


def _page(name: str, entries: list[Json], query: Query) -> Json:
    for order in reversed(query.get("sort", [])):
        key, _, direction = order.partition(":")
        if key not in ("id", "name", "created", "status", "command", "progress", "started", "finished") or direction not in (
            *("", "asc", "desc"),
        ):
            raise invalid({"sort": [f"'{order}' is invalid"]})
        entries = sorted(entries, key=lambda entry: (entry[key] is None, entry[key]), reverse=direction == "desc")
    page, size = _number(query, "page", 1, 2**31), _number(query, "per_page", 25, _LONGEST_PAGE)
    last = max(1, math.ceil(len(entries) / size))
    meta = {
        "page": page,
        "per_page": size,
        "previous_page": page - 1 if page > 1 else None,
        "next_page": page + 1 if page < last else None,
        "last_page": last,
        "total_entries": len(entries),
    }
    return {name: entries[(page - 1) * size : page * size], "meta": {"pagination": meta}}


def _number(query: Query, name: str, default: int, most: int) -> int:
    text = query.get(name, [str(default)])[0]
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise invalid({name: [f"must be between 1 and {most}"]})
    return int(text)


def _body(data: bytes) -> Json:
    try:
        body = json.loads(data or b"{}")
    except ValueError:
        refused = API.refusal("json")
    else:
        if isinstance(body, dict):
            return body
        refused = API.refusal("object")
    raise Refusal(refused.status, refused.code, refused.words)
