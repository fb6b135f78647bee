"""Obsidian's LiveSync as a phone without the VPN uses it: it logs in, waits for changes, and uploads an attachment."""

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab.engine import docker
from services import couchdb
from tests.lab.deployment import Deployment

BIKI = "https://biki.vpai.test"
VAULT = f"/{couchdb.VAULT}"
APP = "app://obsidian.md"
ATTACHMENT_BYTES = 20 << 20
_JSON = ("-H", "Content-Type: application/json")


class Client:
    """The app on a machine outside the mesh."""

    def __init__(self, stack: Deployment, password: str = "") -> None:
        self._machine = stack.lab.outsider
        secret = password or stack.secrets[couchdb.OBSIDIAN_PASSWORD.name]
        self._login = f'user = "{couchdb.OBSIDIAN}:{secret}"\n'

    def ask(self, path: str, *options: str, login: bool = True) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        curl = [
            "curl",
            "-sS",
            "-K",
            "-",
            "-H",
            f"Origin: {APP}",
            "--max-time",
            "60",
            *options,
            "-w",
            "\n%{http_code}",
            BIKI + path,
        ]
        text, _, status = self._machine.run(curl, input=self._login if login else "").stdout.rpartition("\n")
        return int(status), json.loads(text)

    def shell(self, script: str) -> str:
        """The output of a script that uses curl with `-K -`."""
        return self._machine.run(["sh", "-c", script], input=self._login, timeout=120).stdout


@pytest.fixture
def document(deployed: Deployment) -> Iterator[str]:
    """The name of a new document, which is deleted afterwards."""
    name = f"proof-{time.time_ns()}"
    yield f"{VAULT}/{name}"
    client = Client(deployed)
    status, found = client.ask(f"{VAULT}/{name}")
    if status == 200:
        client.ask(f"{VAULT}/{name}?rev={found['_rev']}", "-X", "DELETE")


def test_the_app_logs_in_and_nobody_else_does(deployed: Deployment) -> None:
    status, said = Client(deployed).ask("/_session")
    assert (status, said["userCtx"]["name"]) == (200, couchdb.OBSIDIAN)
    assert Client(deployed).ask(VAULT)[1]["db_name"] == couchdb.VAULT
    assert Client(deployed, "not-the-password").ask(VAULT)[0] == 401
    assert Client(deployed).ask(VAULT, login=False)[0] == 401


def test_a_change_ends_the_wait_for_it(deployed: Deployment, document: str) -> None:
    client = Client(deployed)
    last = client.ask(f"{VAULT}/_changes?descending=true&limit=1")[1]["last_seq"]
    with ThreadPoolExecutor(1) as pool:
        begin = time.monotonic()
        waiting = pool.submit(client.ask, f"{VAULT}/_changes?feed=longpoll&heartbeat=10000&since={last}")
        time.sleep(4)
        assert not waiting.done(), "nothing has changed, so the question stays open"
        assert client.ask(document, "-X", "PUT", *_JSON, "-d", '{"note": "written elsewhere"}')[0] == 201
        status, changes = waiting.result(30)
    assert status == 200
    assert document.rpartition("/")[2] in {change["id"] for change in changes["results"]}
    assert 4 <= time.monotonic() - begin < 20


def test_an_attachment_comes_back_as_it_went(deployed: Deployment, document: str) -> None:
    client = Client(deployed)
    digest = client.shell(f"head -c {ATTACHMENT_BYTES} /dev/urandom > /tmp/film && sha256sum /tmp/film")
    status, said = client.ask(f"{document}/film", "-X", "PUT", "-H", "Content-Type: video/mp4", "-T", "/tmp/film")
    assert status == 201, said
    back = client.shell(f"curl -sS -K - --max-time 60 {BIKI}{document}/film | sha256sum; rm /tmp/film")
    assert back.split()[0] == digest.split()[0] != hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(("origin", "allowed"), [(APP, True), ("capacitor://localhost", True), ("https://biki.vpai.test", False)])
def test_a_browser_lets_the_app_alone_write_with_its_password(deployed: Deployment, origin: str, allowed: bool) -> None:
    asked = ["-H", "Access-Control-Request-Method: PUT", "-H", "Access-Control-Request-Headers: authorization,content-type"]
    curl = ["curl", "-sS", "-i", "-X", "OPTIONS", "-H", f"Origin: {origin}", *asked, f"{BIKI}{VAULT}/note"]
    head = deployed.lab.outsider.run(curl).stdout.lower()
    headers = dict(line.split(": ", 1) for line in head.replace("\r", "").splitlines() if ": " in line)
    assert headers.get("access-control-allow-origin") == (origin if allowed else None)
    if allowed:
        assert headers["access-control-allow-credentials"] == "true"
        assert "put" in headers["access-control-allow-methods"]
        assert {"authorization", "content-type"} <= {name.strip() for name in headers["access-control-allow-headers"].split(",")}


@pytest.mark.parametrize(("path", "status"), [("/_utils", 404), ("/_all_dbs", 404)])
def test_the_app_is_shown_what_caddy_refuses(deployed: Deployment, path: str, status: int) -> None:
    head = deployed.lab.outsider.run(["curl", "-sS", "-i", "-H", f"Origin: {APP}", BIKI + path]).stdout.lower()
    assert head.splitlines()[0].split()[1] == str(status)
    assert head.count(f"access-control-allow-origin: {APP}\n") == 1


def test_a_thousand_notes_replicate_with_attachments_and_conflicts(deployed: Deployment, tmp_path: Path) -> None:
    lab = deployed.lab
    (tmp_path / "resolv.conf").write_text(lab.outsider.run(["cat", "/etc/resolv.conf"]).stdout)
    mounts = {
        Path(__file__).with_name("replicate.cjs"): "/replicate.cjs",
        tmp_path / "resolv.conf": "/etc/resolv.conf",
        lab.layout.directory / "ca/root.crt": "/root.crt",
    }
    secret = deployed.secrets[couchdb.OBSIDIAN_PASSWORD.name]
    # Runs in the outsider's network with the stand-in's image, which has node, and PouchDB with its HTTP adapter.
    done = docker(
        *("run", "--rm", "--interactive", "--pull", "never", "--network", f"container:{lab.outsider.container}"),
        *("--env", "NODE_PATH=/lab/node_modules", "--env", "NODE_EXTRA_CA_CERTS=/root.crt", "--entrypoint", "node"),
        *(word for path, place in mounts.items() for word in ("--volume", f"{path}:{place}:ro")),
        *(lab.image("couchdb"), "/replicate.cjs"),
        input="\n".join((couchdb.OBSIDIAN, secret, BIKI + VAULT, f"run{time.time_ns()}")),
    )
    seen = json.loads(done.stdout)
    assert (seen["pushed"], seen["pulled"]) == ([1000, 0], [1000, 0])
    assert seen["conflicts"] == [25, 25, 25], "both devices and the vault know each note that was edited on both"
    assert len(set(seen["digests"])) == 1, "and show the same version of it, to the byte"
    assert seen["settled"] == 0
    assert seen["refused"] == "unauthorized"
