"""The catalogue as a whole: it obeys every law, its files can be read, and its one-shot steps do what they say."""

import json
import subprocess
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from model.laws import broken_laws
from model.secret import resolve
from model.service import File, Service
from services import (
    couchdb,
    monitoring,
    qdrant,
)
from services.litellm.models import MODELS
from stacks.fleets import HUB_RESERVE_MIB
from tests.support.fleets import NAMES
from tests.support.whole import placements

WHOLE = placements()
# Of those that stand on several hosts, Sese-AI's.
ALL = {service.name: service for placement in reversed(WHOLE) for service in placement.services}


def test_the_whole_catalogue_obeys_every_law_on_the_hosts_it_is_made_for() -> None:
    sizes = {"sese": 11264, "seko": 2048, "waza": 16384}
    made_for = []
    for placement in monitoring.with_monitoring(WHOLE, NAMES, ""):
        name = placement.host.name
        reserve = HUB_RESERVE_MIB if name == "seko" else placement.host.reserve_mib
        host = replace(placement.host, address=f"{name}.test", memory_mib=sizes[name], reserve_mib=reserve)
        made_for.append(replace(placement, host=host))
    assert [str(problem) for problem in broken_laws(made_for)] == []


STRUCTURED = [
    pytest.param(file, id=f"{service.name}-{file.path}")
    for service in ALL.values()
    if service.configuration
    for file in service.configuration.files
    if file.path.endswith((".json", ".yaml", ".yml"))
]


@pytest.mark.parametrize("file", STRUCTURED)
def test_structured_files_can_be_read(file: File) -> None:
    read = json.loads(file.content) if file.path.endswith(".json") else yaml.safe_load(file.content)
    assert isinstance(read, dict | list)
    assert read


def file_of(service: Service, path: str) -> str:
    assert service.configuration
    return next(file.content for file in service.configuration.files if file.path == path)


def test_openclaw_and_its_door_agree() -> None:
    policy = json.loads(file_of(ALL["sandboxes"], "policy.json"))
    settings = json.loads(file_of(ALL["openclaw"], "openclaw.json"))
    default = settings["agents"]["defaults"]["sandbox"]
    wanted = default["docker"]
    assert wanted["image"] == policy["image"]
    assert wanted["containerPrefix"] == policy["name_prefix"]
    assert wanted["memory"] == f"{policy['max_memory_mib']}m"
    # All of them together are within the limit of what they are started by.
    assert ALL["sandboxes"].limits.memory_mib - policy["at_most"] * policy["max_memory_mib"] >= 160
    # What docker-proxy mounts from is no name that OpenClaw owns: it stands in a directory of root's.
    for name in ("openclaw", "sandboxes"):
        assert policy["workspaces"] in {str(volume.path) for volume in ALL[name].volumes}
    assert wanted["readOnlyRoot"] is True
    assert wanted["pidsLimit"] <= policy["max_pids"]
    assert wanted["user"] == policy["user"]
    assert default["workspaceRoot"] == policy["workspaces"]
    agents = settings["agents"]["list"]
    networks = {wanted["network"], *(agent["sandbox"]["docker"]["network"] for agent in agents if "sandbox" in agent)}
    assert networks <= {network["name"] for network in policy["networks"]}
    names = {model.name for model in MODELS}
    assert {agent["model"]["primary"].removeprefix("custom-litellm/") for agent in agents} <= names


def test_openclaw_never_sees_the_docker_socket() -> None:
    holders = {service.name for service in ALL.values() for mount in service.host_mounts if mount.path.startswith("/run")}
    assert holders == {"docker-proxy", "cadvisor"}


class Fake(ThreadingHTTPServer):
    """A server that answers as `answer` says and remembers what it was asked."""

    def __init__(self, answer: Callable[[str, str, Any, str], tuple[int, Any]]) -> None:
        asked: list[tuple[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def _reply(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                login = self.headers.get("Authorization", "")
                asked.append((self.command, self.path))
                status, shown = answer(self.command, self.path, body, login)
                payload = json.dumps(shown).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_PUT = _reply  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = asked
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str, str, Any, str], tuple[int, Any]]], Fake]]:
    servers: list[Fake] = []

    def start(answer: Callable[[str, str, Any, str], tuple[int, Any]]) -> Fake:
        servers.append(Fake(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def run_task(service: Service, name: str, port: int, server: int) -> subprocess.CompletedProcess[str]:
    """The task as production runs it, its service's port led to the fake server, each secret its own name."""
    task = next(task for task in service.tasks if task.name == name)
    script = resolve(task.stdin, {secret.name: secret.name for secret in service.secrets}).replace(str(port), str(server))
    return subprocess.run(task.command, input=script, capture_output=True, text=True, timeout=30)


class TestCollections:
    def collections(self, known: dict[str, Any]) -> Callable[[str, str, Any, str], tuple[int, Any]]:
        def answer(method: str, path: str, body: Any, _: str) -> tuple[int, Any]:
            name = path.rpartition("/")[2]
            if method == "PUT":
                known[name] = body
                return 200, {"result": True}
            if name not in known:
                return 404, {"status": {"error": "Not found"}}
            return 200, {"result": {"config": {"params": {"vectors": known[name]["vectors"]}}}}

        return answer

    def test_a_missing_one_is_made_with_its_size_and_threshold(self, serve: Callable[..., Fake]) -> None:
        known: dict[str, Any] = {}
        server = serve(self.collections(known))
        done = run_task(qdrant.service(), "collection-content-index", qdrant.PORT, server.port)
        assert done.returncode == 0, done.stderr
        assert known["content_index"] == {
            "vectors": {"size": 1536, "distance": "Cosine"},
            "optimizers_config": {"indexing_threshold": 10000},
        }

    def test_one_that_is_there_stays_as_it_is(self, serve: Callable[..., Fake]) -> None:
        server = serve(self.collections({"semantic_cache": {"vectors": {"distance": "Cosine", "size": 1536}}}))
        done = run_task(qdrant.service(), "collection-semantic-cache", qdrant.PORT, server.port)
        assert done.returncode == 0, done.stderr
        assert [method for method, _ in server.asked] == ["GET"]

    @pytest.mark.parametrize("vectors", [{"size": 15360, "distance": "Cosine"}, {"size": 1536, "distance": "Dot"}])
    def test_one_of_another_shape_is_refused_with_a_remedy(self, serve: Callable[..., Fake], vectors: Mapping[str, Any]) -> None:
        server = serve(self.collections({"semantic_cache": {"vectors": vectors}}))
        done = run_task(qdrant.service(), "collection-semantic-cache", qdrant.PORT, server.port)
        assert done.returncode == 1
        assert "exists, but is not" in done.stderr
        assert "export what is in it" in done.stderr


class TestVault:
    def couch(self, known: dict[str, Any]) -> Callable[[str, str, Any, str], tuple[int, Any]]:
        def answer(method: str, path: str, body: Any, login: str) -> tuple[int, Any]:
            if path == "/_session":
                return (200 if "_users/org.couchdb.user:obsidian" in known else 401), {}
            if b64decode(login.removeprefix("Basic ")) != b"admin:couchdb_admin_password":
                return 401, {}
            name = path.lstrip("/")
            if method == "GET":
                return (200, known[name]) if name in known else (404, {"error": "not_found"})
            if name in known and "/" not in name:
                return 412, {"error": "file_exists"}
            known[name] = body
            return 201, {"ok": True}

        return answer

    def test_databases_user_and_who_may_enter_are_made_once(self, serve: Callable[..., Fake]) -> None:
        known: dict[str, Any] = {}
        server = serve(self.couch(known))
        for _ in range(2):
            done = run_task(couchdb.service(), "couchdb-vault", couchdb.PORT, server.port)
            assert done.returncode == 0, done.stderr
        assert {"_users", "_replicator", "_global_changes", "obsidian_vault"} <= known.keys()
        admins = {"names": [], "roles": ["_admin"]}
        members = {"names": ["obsidian"], "roles": []}
        assert known["obsidian_vault/_security"] == {"admins": admins, "members": members}
        assert [path for method, path in server.asked if method == "PUT"].count("/_users/org.couchdb.user:obsidian") == 1

    def test_a_server_that_refuses_is_told(self, serve: Callable[..., Fake]) -> None:
        server = serve(lambda *_: (500, {}))
        done = run_task(couchdb.service(), "couchdb-vault", couchdb.PORT, server.port)
        assert done.returncode == 1
        assert "CouchDB answered 500 to PUT /_users" in done.stderr


@pytest.mark.parametrize("service", ALL.values(), ids=ALL.keys())
def test_the_gate_gives_up_after_docker_does(service: Service) -> None:
    """Every probe that hangs takes its timeout, and the next one begins an interval after it has ended."""
    check = service.healthcheck
    assert check.deadline > check.start_period + check.retries * (check.interval + check.timeout)
