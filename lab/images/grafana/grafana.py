"""Grafana's logins, and its API over what it was provisioned with; behind a datasource's proxy is the datasource itself."""

import base64
import hashlib
import hmac
import json
import os
import re
import socket
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from standin import Refused, Reply, Request

from lab.contract import Contract, keys

_CONTRACT = Contract.load(Path(__file__).with_name("contract.json"))
_PROVISIONING = Path(os.environ["GF_PATHS_PROVISIONING"])
_DATABASE = Path(os.environ["GF_PATHS_DATA"]) / "grafana.db"
"""An SQLite database, as the real one's: it is backed up as such."""
_RESET = ["cli", "--homepath", "/usr/share/grafana", "admin", "reset-admin-password", "--password-from-stdin"]
_OPEN = ("/", "/api/health", "/login", "/metrics")
_ASKED_FOR_HEALTH = {"prometheus": "/api/v1/query?query=1", "loki": "/loki/api/v1/labels"}


def command(arguments: list[str]) -> int:
    """`grafana cli`, as far as the catalogue's task uses it."""
    for refusal in _CONTRACT.refused("commands", [" ".join(arguments)]):
        print(refusal, file=sys.stderr)
        return 1
    _remember(sys.stdin.readline().rstrip("\n"))
    print("Admin password changed successfully ✔")
    return 0


def start(_: list[str]) -> None:
    """The password of the environment counts for a new database only; a file that is wrong ends the start."""
    if not _DATABASE.exists():
        file = os.environ.get("GF_SECURITY_ADMIN_PASSWORD__FILE")
        _remember(Path(file).read_text().strip() if file else os.environ["GF_SECURITY_ADMIN_PASSWORD"])
    if refused := [each for kind in ("datasources", "alerting", "dashboards") for each in wrong(kind, _documents(kind))]:
        raise Refused("; ".join(refused))
    known = {source["uid"] for source in _datasources()}
    for rule in _rules():
        if not {query["datasourceUid"] for query in rule["data"]} <= {*known, "__expr__"}:
            raise Refused(f"the alert rule {rule['uid']} asks a datasource that is not there")
    contacts = {point["name"] for point in _provisioned("alerting", "contactPoints")}
    for policy in _provisioned("alerting", "policies"):
        if policy["receiver"] not in contacts:
            raise Refused(f"the policy tells {policy['receiver']}, which is no contact point")
    _dashboards()


def wrong(kind: str, documents: Iterable[Any]) -> Iterator[str]:
    """What is wrong in the provisioning files of a directory."""
    for document in documents:
        yield from _CONTRACT.refused(kind, keys(document))
        for group in document.get("groups", ()):
            for rule in group["rules"]:
                named = {name: rule.get(name, "") for name in ("uid", "title", "condition", "for", "noDataState", "execErrState")}
                named["data"] = len(rule.get("data", ()))
                yield from _CONTRACT.refused("rules", (f"{name}: {value}" for name, value in named.items()))


def answer(request: Request) -> Reply | None:
    if request.path == "/login" and request.method == "POST":
        login = request.document
        return _right(login["user"], login["password"]) or Reply.of({"message": "Logged in"})
    if request.path in _OPEN:
        return None
    if refusal := _unauthorized(request):
        return refusal
    match request.path.split("/")[1:]:
        case ["api", "org"]:
            return Reply.of({"id": 1, "name": "Main Org."})
        case ["api", "datasources"]:
            return Reply.of([_shown(source) for source in _datasources()])
        case ["api", "datasources", "uid", uid, "health"]:
            return _health(_source(uid))
        case ["api", "datasources", "proxy", "uid", uid, *path]:
            return _asked(_source(uid), "/" + "/".join(path), request)
        case ["api", "search"]:
            return Reply.of([{"uid": uid, "title": each["title"], "type": "dash-db"} for uid, each in _dashboards().items()])
        case ["api", "dashboards", "uid", uid] if uid in _dashboards():
            return Reply.of({"meta": {"provisioned": True}, "dashboard": _dashboards()[uid]})
        case ["api", "v1", "provisioning", "alert-rules"]:
            return Reply.of(list(_rules()))
        case ["api", "v1", "provisioning", "contact-points"]:
            return Reply.of(
                [
                    {"name": point["name"], "type": to["type"]}
                    for point in _provisioned("alerting", "contactPoints")
                    for to in point["receivers"]
                ]
            )
    return None


def _unauthorized(request: Request) -> Reply | None:
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return Reply.of({"message": "Unauthorized"}, 401)
    user, _, password = base64.b64decode(presented).decode().partition(":")
    return _right(user, password)


def _right(user: str, password: str) -> Reply | None:
    """None for the administrator, a refusal for anybody else."""
    with closing(sqlite3.connect(_DATABASE)) as database:
        [(login, digest)] = database.execute("SELECT login, password FROM user")
    if user == login and hmac.compare_digest(_hash(password), digest):
        return None
    return Reply.of({"message": "Invalid username or password"}, 401)


def _remember(password: str) -> None:
    user = os.environ.get("GF_SECURITY_ADMIN_USER", "admin")
    with closing(sqlite3.connect(_DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS user (id INTEGER PRIMARY KEY, login TEXT, password TEXT)")
        database.execute("INSERT OR REPLACE INTO user VALUES (1, ?, ?)", (user, _hash(password)))


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _provisioned(directory: str, key: str) -> Iterator[Any]:
    """The entries under `key` in the files of a directory; JSON is the YAML that this stand-in reads."""
    for document in _documents(directory):
        yield from document.get(key, ())


def _documents(directory: str) -> Iterator[Any]:
    for path in sorted((_PROVISIONING / directory).glob("*.yaml")):
        try:
            yield json.loads(path.read_text())
        except ValueError as error:
            raise Refused(f"{path} cannot be read: {error}") from None


def _datasources() -> list[Any]:
    return list(_provisioned("datasources", "datasources"))


def _rules() -> Iterator[Any]:
    for group in _provisioned("alerting", "groups"):
        yield from group["rules"]


def _dashboards() -> Mapping[str, Any]:
    found = {}
    for provider in _provisioned("dashboards", "providers"):
        for path in sorted(Path(provider["options"]["path"]).glob("*.json")):
            dashboard = json.loads(path.read_text())
            found[dashboard["uid"]] = dashboard
    return found


def _source(uid: str) -> Any:
    return next(source for source in _datasources() if source["uid"] == uid)


def _shown(source: Any) -> Any:
    shown = {name: source.get(name) for name in ("uid", "name", "type", "url", "access")}
    return {**shown, "isDefault": source.get("isDefault", False), "readOnly": not source["editable"]}


def _health(source: Any) -> Reply:
    try:
        if path := _ASKED_FOR_HEALTH.get(source["type"]):
            urllib.request.urlopen(source["url"] + path, timeout=5).close()  # noqa: S310
        else:
            host, _, port = source["url"].partition(":")
            socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        return Reply.of({"status": "ERROR", "message": str(error)}, 400)
    return Reply.of({"status": "OK", "message": "Data source is working"})


def _asked(source: Any, path: str, request: Request) -> Reply:
    query = urlencode(request.query, doseq=True)
    url = re.sub(r"\?$", "", f"{source['url']}{path}?{query}")
    headers = {name: value for name, value in request.headers.items() if name == "content-type"}
    passed = urllib.request.Request(url, request.body or None, headers, method=request.method)  # noqa: S310
    try:
        with urllib.request.urlopen(passed, timeout=20) as response:  # noqa: S310
            return Reply(response.status, response.read(), response.headers.get("content-type", "application/json"))
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.read())
