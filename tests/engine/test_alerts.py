"""The rules in a real rule engine, their messages by a real Alertmanager: a service stops, somebody is told, and told again."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from services import monitoring
from services.monitoring.alerts import prometheus_rules
from services.monitoring.provisioning import MESSAGE
from tests.waiting import until
from tests.whole import placements

pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("prometheus-alertmanager")),
    reason="needs Debian's prometheus and prometheus-alertmanager",
)


@dataclass
class Outside:
    """What Prometheus scrapes, as docker-proxy would show it, and what Telegram is sent, on one port."""

    running: bool = True
    messages: list[str] = field(default_factory=list)

    def metrics(self) -> str:
        state = int(self.running)
        return f'vpai_service_running{{service="redis"}} {state}\nvpai_service_healthy{{service="redis"}} {state}\n'


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    told = Outside()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(told))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    prometheus, alertmanager = _free_port(), _free_port()
    rules = [replace(each, seconds=2) for each in monitoring.alerts(placements()) if each.uid == "sese-redis-down"]
    files = {
        "rules.yml": prometheus_rules(rules),
        "prometheus.yml": json.dumps(_prometheus(server.server_port, alertmanager)),
        "alertmanager.yml": json.dumps(_alertmanager(server.server_port)),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    commands = (
        [
            "prometheus",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{prometheus}",
        ],
        [
            *("prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alerts"),
            *(f"--web.listen-address=127.0.0.1:{alertmanager}", "--cluster.listen-address="),
        ],
    )
    with (tmp_path / "log").open("w") as log:
        started = [subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log) for command in commands]
        try:
            yield told
        finally:
            for process in started:
                process.terminate()
                process.wait(timeout=20)
            server.shutdown()


def test_a_stopped_service_is_told_of_and_so_is_its_return(outside: Outside) -> None:
    time.sleep(6)
    assert outside.messages == [], "all is well"
    outside.running = False
    until(
        lambda: any(message.startswith("FIRING") for message in outside.messages), 60, every=0.5, told=lambda: "nobody was told"
    )
    assert "redis on sese does not run" in outside.messages[0]
    assert "make logs SERVICE=redis" in outside.messages[0]
    outside.running = True
    until(
        lambda: any(message.startswith("RESOLVED") for message in outside.messages), 60, every=0.5, told=lambda: "nobody was told"
    )
    assert len(outside.messages) == 2


def _prometheus(port: int, alertmanager: int) -> object:
    labels = {"host": "sese", "service": "docker-proxy"}
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
        "scrape_configs": [
            {
                "job_name": "docker-proxy",
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": labels}],
            }
        ],
    }


def _alertmanager(port: int) -> object:
    telegram = {
        "api_url": f"http://127.0.0.1:{port}",
        "bot_token": "1:token",
        "chat_id": 12345,
        "parse_mode": "",
        "message": MESSAGE,
        "send_resolved": True,
    }
    return {
        "route": {"receiver": "telegram", "group_by": ["host", "service"], "group_wait": "1s", "group_interval": "2s"},
        "receivers": [{"name": "telegram", "telegram_configs": [telegram]}],
    }


def _handler(told: Outside) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(told.metrics(), "text/plain; version=0.0.4")

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
            told.messages.append(sent["text"])
            message = {"message_id": len(told.messages), "date": 0, "chat": {"id": int(sent["chat_id"]), "type": "private"}}
            self._reply(json.dumps({"ok": True, "result": message}), "application/json")

        def _reply(self, text: str, kind: str) -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Quiet."""

    return Handler


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
