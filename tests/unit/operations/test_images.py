"""`make images` against a registry that wants a token, like the real ones."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from operations.checks import images
from operations.checks.images import Registries, State, find_all, parts, write
from tests.support.fleets import PROJECT, stack_services

MANIFEST = b'{"schemaVersion": 2, "manifests": []}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
OLD = f"sha256:{'0' * 64}"


class Registry(BaseHTTPRequestHandler):
    """Knows `quay.io/team/there:1`, and serves `quay.io/team/forged:1` with a digest that is not its content's."""

    def do_GET(self) -> None:
        host = f"http://{self.headers['Host']}"
        if self.path.startswith("/token"):
            assert "scope=repository" in self.path
            self._answer(200, json.dumps({"token": "given"}).encode())
        elif self.headers.get("Authorization") != "Bearer given":
            challenge = f'Bearer realm="{host}/token",service="fake",scope="repository:any:pull"'
            self._answer(401, b"", **{"WWW-Authenticate": challenge})
        elif self.path == "/v2/quay.io/team/there/manifests/1":
            assert "image.index" in str(self.headers["Accept"])
            self._answer(200, MANIFEST, **{"Docker-Content-Digest": DIGEST})
        elif "forged" in self.path:
            self._answer(200, MANIFEST, **{"Docker-Content-Digest": OLD})
        elif "broken" in self.path:
            self._answer(500, b"")
        else:
            self._answer(404, b"{}")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[Registries]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Registries(mirror=f"127.0.0.1:{server.server_address[1]}", scheme="http")
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("image", "locked", "state"),
    [
        ("quay.io/team/there:1", None, State.RESOLVED),
        ("quay.io/team/there:1", DIGEST, State.SAME),
        ("quay.io/team/there:1", OLD, State.MOVED),
        ("quay.io/team/gone:1", OLD, State.VANISHED),
        ("quay.io/team/broken:1", OLD, State.UNKNOWN),
        ("quay.io/team/forged:1", None, State.UNKNOWN),
    ],
)
def test_an_image_is_the_same_new_moved_gone_or_unknown(
    registry: Registries, image: str, locked: str | None, state: State
) -> None:
    found = registry.find(image, locked)
    assert found.state is state
    assert found.digest == (DIGEST if state in (State.SAME, State.RESOLVED, State.MOVED) else None)


def test_a_registry_that_does_not_answer_is_told_and_changes_nothing(tmp_path: Path) -> None:
    nobody = Registries(mirror="127.0.0.1:1", scheme="http")
    lock = tmp_path / "lock.yaml"
    lock.write_text(f"# kept\nquay.io/team/there:1: {OLD}\n")
    [found] = find_all(nobody, yaml.safe_load(lock.read_text()))
    assert found.state is State.UNKNOWN
    write(lock, [found])
    assert lock.read_text() == f"# kept\nquay.io/team/there:1: {OLD}\n"


def test_digests_are_written_and_the_rest_stays(registry: Registries, tmp_path: Path) -> None:
    lock = tmp_path / "lock.yaml"
    lock.write_text(f"# why\nquay.io/team/gone:1: {OLD}\nquay.io/team/there:1: null\n")
    write(lock, find_all(registry, yaml.safe_load(lock.read_text())))
    assert lock.read_text() == f"# why\nquay.io/team/gone:1: {OLD}\nquay.io/team/there:1: {DIGEST}\n"


def test_the_command_says_what_to_do_about_each(
    registry: Registries, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock.yaml"
    lock.write_text(f"quay.io/team/gone:1: null\nquay.io/team/there:1: {OLD}\n")
    monkeypatch.setattr("sys.argv", ["images", "--lock", str(lock), "--mirror", registry.mirror])
    monkeypatch.setattr(images, "Registries", lambda **_: registry)
    assert images.main() == 1
    shown = capsys.readouterr()
    assert "1 moved, 1 vanished" in shown.out
    assert "read its release notes" in shown.err
    assert "choose another version" in shown.err


def test_names_are_taken_apart() -> None:
    assert parts("docker.io/library/redis:8.0") == ("docker.io", "library/redis", "8.0")
    assert parts("registry:5000/a/b:1") == ("registry:5000", "a/b", "1")


def test_each_image_of_our_own_is_built_by_the_workflow_from_a_dockerfile_that_exists() -> None:
    lock = yaml.safe_load((PROJECT / "images.lock.yaml").read_text())
    workflow = yaml.safe_load((PROJECT / ".github/workflows/images.yml").read_text())
    built = workflow["jobs"]["push"]["strategy"]["matrix"]["include"]
    assert {image["name"] for image in built} == {parts(image)[1].partition("/")[2] for image in lock if "/vpai-" in image}
    assert all((PROJECT / image["dockerfile"]).is_file() and (PROJECT / image["context"]).is_dir() for image in built)


def test_every_image_that_the_catalogue_places_is_in_the_lock() -> None:
    lock = yaml.safe_load((PROJECT / "images.lock.yaml").read_text())
    placed = {service.image for service in stack_services()}
    assert placed <= lock.keys()
    assert list(lock) == sorted(lock)
