"""The rendered Caddyfile with certificates over OVH: the real Caddy, the real Pebble, and the lab's OVH."""

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import authority, fetch
from lab.providers import ovh
from lab.providers.exchange import Answer, Request
from lab.providers.server import Server
from model.network import MESH
from model.route import Access, Route, RouteTarget, sites
from services.caddy.caddyfile import AcmeOverOvh, render
from tests.support.fleets import PROJECT
from tests.support.ports import free_port
from tests.support.waiting import until

DOMAIN = ovh.ZONE
NAMES = (DOMAIN, f"llm.{DOMAIN}", f"mayi.{DOMAIN}")
SITES = sites(
    [
        RouteTarget(route=Route(subdomain=name, port=0, access=Access.VPN, paths=("/health",), answer="OK"), upstream=None)
        for name in ("", "llm", "mayi")
    ],
    DOMAIN,
)
SECRETS = {
    "ovh-application-key": ovh.APPLICATION_KEY,
    "ovh-application-secret": ovh.APPLICATION_SECRET,
    "ovh-consumer-key": ovh.CONSUMER_KEY,
}
HURRY = "renewal_window_ratio 0.999999"
"""Renews a certificate after eight seconds instead of 60 days."""


@dataclass
class Outside:
    """Pebble and OVH, with their ports."""

    root: Path
    acme: int
    api: int
    names: int
    ovh: ovh.Ovh
    refused: list[int]
    """Status codes of answers other than success."""
    trouble: list[int]
    """Status codes with which OVH answers every request, while the list is not empty."""


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory, toolchain: Path) -> Path:
    built = tmp_path_factory.mktemp("pebble") / "pebble"
    fetch.build_go_program(PROJECT / "lab/acme", built)
    return built


@pytest.fixture
def outside(tmp_path: Path, pebble: Path) -> Iterator[Outside]:
    provider, refused, trouble = ovh.Ovh(), list[int](), list[int]()

    def answer(request: Request) -> Answer:
        reply = (trouble[0], {}) if trouble else provider.answer(request.method, request.url, request.headers, request.data)
        status, document = reply or (404, {})
        if status >= 400:
            refused.append(status)
        return Answer(status, document)

    api = Server(0, None, answer)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    names = ovh.serve_names(provider, 0)
    root = authority.authority(tmp_path / "ca")
    cloud = authority.issue(root, tmp_path / "ca", "cloud", ["localhost"])
    acme, resolver = free_port(), names[0].server_address[1]
    with (tmp_path / "pebble.log").open("w") as log:
        words = [str(pebble), "--listen", f"127.0.0.1:{acme}", "--resolver", f"127.0.0.1:{resolver}"]
        words += ["--certificate", str(cloud.certificate), "--key", str(cloud.key)]
        words += ["--root", str(root.certificate), "--root-key", str(root.key)]
        process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            yield Outside(root.certificate, acme, int(api.server_address[1]), int(resolver), provider, refused, trouble)
        finally:
            process.terminate()
            process.wait(20)
            for server in (api, *names):
                server.shutdown()
                server.server_close()


class Caddy:
    """The real Caddy on ports of this machine, with its own data."""

    def __init__(self, binary: Path, directory: Path, outside: Outside, wildcard: str = DOMAIN) -> None:
        self._binary, self._directory, self._outside, self._wildcard = binary, directory, outside, wildcard
        self.port, self._admin = free_port(), free_port()
        self.client = ssl.create_default_context(cafile=str(outside.root))
        for name, value in SECRETS.items():
            (directory / name).write_text(value)
        self.write()
        environment = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "SSL_CERT_FILE": str(outside.root)}
        self.log = directory / "caddy.log"
        with self.log.open("w") as log:
            command = [str(binary), "run", "--config", str(directory / "caddy.json")]
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def write(self, options: str = "") -> None:
        """Write the configuration, with `options` added to the global ones."""
        outside = self._outside
        directory = f"https://localhost:{outside.acme}/dir"
        issuer = AcmeOverOvh(
            email="ops@example.org", credentials=str(self._directory), directory=directory, wildcard=self._wildcard
        )
        text = render(SITES, issuer, [MESH])
        for old, new in (
            ("endpoint ovh-eu", f"endpoint http://127.0.0.1:{outside.api}/1.0"),
            ("resolvers 1.1.1.1 8.8.8.8", f"resolvers 127.0.0.1:{outside.names}"),
            ("renew_interval 15s", "renew_interval 1s"),
            ("admin localhost:2019", f"admin 127.0.0.1:{self._admin}\n\t{options}"),
        ):
            assert old in text
            text = text.replace(old, new)
        (self._directory / "Caddyfile").write_text(text)
        adapted = subprocess.run(
            [self._binary, "adapt", "--config", self._directory / "Caddyfile"], capture_output=True, text=True, check=True
        )
        config = json.loads(adapted.stdout)
        servers = config["apps"]["http"]["servers"]
        config["apps"]["http"]["servers"] = {
            name: {**server, "listen": [f":{self.port}"], "automatic_https": {"disable_redirects": True}}
            for name, server in servers.items()
            if server["listen"] == [":443"]
        }
        config["apps"]["http"]["https_port"] = self.port
        (self._directory / "caddy.json").write_text(json.dumps(config))

    def reload(self, options: str) -> None:
        """Reload Caddy as a deployment does."""
        self.write(options)
        where = ("--address", f"127.0.0.1:{self._admin}", "--config", str(self._directory / "caddy.json"))
        subprocess.run([str(self._binary), "reload", *where, "--force"], check=True, capture_output=True)

    def certificate(self, name: str) -> Any:
        """The certificate of `name` as a client gets it, verified with the lab's root alone."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        with self.client.wrap_socket(plain, server_hostname=name) as connection:
            connection.sendall(f"GET /health HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 403", "a stranger, who is told so"
            return connection.getpeercert()

    def serves(self, name: str) -> bool:
        try:
            return bool(self.certificate(name))
        except OSError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@pytest.fixture
def caddy(toolchain: Path, tmp_path: Path, outside: Outside, request: pytest.FixtureRequest) -> Iterator[Caddy]:
    running = Caddy(toolchain / "bin/caddy", tmp_path, outside, getattr(request, "param", DOMAIN))
    try:
        until(lambda: all(map(running.serves, NAMES)), 60, describe=running.log.read_text)
        yield running
    finally:
        running.stop()


def alternatives(certificate: Any) -> set[str]:
    return {name for _, name in certificate["subjectAltName"]}


def test_one_certificate_serves_every_name_and_the_logs_of_the_world_learn_none_of_them(caddy: Caddy, outside: Outside) -> None:
    assert [alternatives(caddy.certificate(name)) for name in NAMES] == [{DOMAIN}, {f"*.{DOMAIN}"}, {f"*.{DOMAIN}"}]
    assert {record.sub_domain for record in outside.ovh.published} == {"_acme-challenge"}
    assert outside.refused == []
    until(lambda: not outside.ovh.records, 20, describe=lambda: f"left behind: {outside.ovh.records}")


@pytest.mark.parametrize("caddy", [""], indirect=True)
def test_without_a_wildcard_every_name_is_proved_by_itself(caddy: Caddy, outside: Outside) -> None:
    assert [alternatives(caddy.certificate(name)) for name in NAMES] == [{name} for name in NAMES]
    proved = {record.sub_domain for record in outside.ovh.published}
    assert proved == {"_acme-challenge", "_acme-challenge.llm", "_acme-challenge.mayi"}


def test_a_renewal_changes_the_certificate_and_fails_nobody(caddy: Caddy) -> None:
    before = caddy.certificate(NAMES[1])["serialNumber"]
    caddy.reload(HURRY)
    # A request without an answer fails the test.
    until(lambda: caddy.certificate(NAMES[1])["serialNumber"] != before, 40, every=0.02, describe=caddy.log.read_text)


@pytest.mark.parametrize(("status", "said"), [(400, "Invalid signature"), (500, "status code 500")])
def test_when_ovh_refuses_or_fails_the_old_certificate_goes_on_serving_and_the_log_says_why(
    caddy: Caddy, outside: Outside, tmp_path: Path, status: int, said: str
) -> None:
    if status == 400:
        (tmp_path / "ovh-application-secret").write_text("0" * 32)
    else:
        outside.trouble.append(status)
    before = caddy.certificate(NAMES[1])["serialNumber"]
    caddy.reload(HURRY)
    until(lambda: bool(outside.refused), 90, describe=caddy.log.read_text)
    time.sleep(2)  # enough for a renewal
    assert set(outside.refused) == {status}
    assert caddy.certificate(NAMES[1])["serialNumber"] == before
    assert said in caddy.log.read_text()
