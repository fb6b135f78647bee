"""cAdvisor's series for each running container, from the statistics of the Docker engine itself."""

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

_FRESH_SECONDS = 10
_HELP = {
    "container_last_seen": "gauge",
    "container_start_time_seconds": "gauge",
    "container_memory_usage_bytes": "gauge",
    "container_memory_working_set_bytes": "gauge",
    "container_spec_memory_limit_bytes": "gauge",
    "container_cpu_usage_seconds_total": "counter",
    "container_oom_events_total": "counter",
}
_SHOWN: set[str] = set()
_LOCK = threading.Lock()
_LAST: tuple[float, str] = (0.0, "")


def start(arguments: list[str]) -> None:
    """Which of the containers' own labels become labels of their series: all, or those that a flag lists."""
    for argument in arguments:
        name, _, value = argument.lstrip("-").partition("=")
        if name == "whitelisted_container_labels":
            _SHOWN.update(value.split(","))


def samples() -> str:
    """Asked at most every ten seconds, as the real one keeps house."""
    global _LAST
    with _LOCK:
        if time.monotonic() - _LAST[0] > _FRESH_SECONDS or not _LAST[1]:
            _LAST = (time.monotonic(), _scrape())
        return _LAST[1]


def _scrape() -> str:
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = [sample for samples in pool.map(_container, _engine("/containers/json")) for sample in samples]
    lines = []
    for name, kind in _HELP.items():
        lines.append(f"# TYPE {name} {kind}")
        lines += [f"{name}{{{labels}}} {value}" for series, labels, value in found if series == name]
    return "\n".join(lines) + "\n"


def _container(listed: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
    id = listed["Id"]
    try:
        stats, details = _engine(f"/containers/{id}/stats?stream=false&one-shot=true"), _engine(f"/containers/{id}/json")
    except (OSError, KeyError, ValueError):
        return
    if "State" not in details or "cpu_stats" not in stats:
        return  # the engine says that there is no such container: it ended meanwhile
    named = {"id": f"/docker/{id}", "image": listed["Image"], "name": listed["Names"][0].lstrip("/")}
    declared = {
        "container_label_" + re.sub(r"\W", "_", name): value
        for name, value in listed["Labels"].items()
        if not _SHOWN or name in _SHOWN
    }
    labels = ",".join(f"{name}={json.dumps(value)}" for name, value in {**named, **declared}.items())
    memory = stats.get("memory_stats", {})
    usage, detail = memory.get("usage", 0), memory.get("stats", {})
    inactive = detail.get("inactive_file", detail.get("total_inactive_file", 0))
    yield "container_last_seen", labels, int(time.time())
    yield "container_start_time_seconds", labels, datetime.fromisoformat(details["State"]["StartedAt"]).timestamp()
    yield "container_memory_usage_bytes", labels, usage
    yield "container_memory_working_set_bytes", labels, max(0, usage - inactive)
    yield "container_spec_memory_limit_bytes", labels, details["HostConfig"]["Memory"]
    yield "container_cpu_usage_seconds_total", f'{labels},cpu="total"', stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
    yield "container_oom_events_total", labels, int(details["State"]["OOMKilled"])


class _Connection(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect("/var/run/docker.sock")


def _engine(path: str) -> Any:
    connection = _Connection("docker")
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()
