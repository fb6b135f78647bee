"""What smoke asks from outside of the mesh, and its checks as JUnit XML."""

import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import cast
from xml.etree import ElementTree

import pytest

from components.docker.docker_host import LABEL_SERVICE
from components.ssh.host_script import SshHost
from model.check import AtSite, Inside
from model.placement import Placement
from model.route import Access
from model.secret import references
from operations.checks import smoke
from operations.checks.junit import junit
from operations.checks.outside_view import Question, left_out, questions
from operations.checks.smoke import Check
from operations.reference.catalogue import example_fleet
from operations.stack import Stack
from operations.web import fetch
from services.caddy.caddyfile import PAGES

FLEET = example_fleet()
MEMBERS_ONLY = PAGES[0].title.encode()
NOT_SERVED = PAGES[-1].text.encode()


def test_every_path_of_every_route_is_asked_from_outside() -> None:
    for placement in FLEET.placements:
        asked = [(question.host, question.path) for question in questions(placement)]
        assert asked == [
            (site.host, path.removesuffix("*")) for site in placement.sites() for led in site.routes for path in led.route.paths
        ]


def test_what_is_for_members_must_be_refused_by_caddy_itself() -> None:
    wanted = {site.host for placement in FLEET.placements for site in placement.sites() if not site.paths(Access.PUBLIC)}
    assert {"litellm.example.org", "n8n.example.org", "status.example.org"} <= wanted
    for placement in FLEET.placements:
        for question in questions(placement):
            if question.host in wanted - {"hook.example.org"}:
                assert question.right(403, MEMBERS_ONLY), question
                assert not question.right(403, b"the service's own")
                assert not question.right(200, b"")
                assert not question.right(404, NOT_SERVED)


def test_a_relayed_route_answers_at_the_hub_and_not_on_its_own_host() -> None:
    at_the_hub, at_home = _question("seko", "hook", "/health"), _question("sese", "hook", "/health")
    assert (at_the_hub.right(200, b"relay-ok"), at_home.right(200, b"relay-ok")) == (True, False)
    assert (at_the_hub.right(403, MEMBERS_ONLY), at_home.right(403, MEMBERS_ONLY)) == (False, True)
    assert not at_the_hub.right(200, b"another answer")


@pytest.mark.parametrize(
    ("status", "body", "right"),
    [
        (401, b"unauthorized", True),
        (403, b"the service's own", True),
        (403, MEMBERS_ONLY, False),
        (404, NOT_SERVED, False),
        (429, NOT_SERVED, False),
        (502, b"", False),
    ],
)
def test_a_public_route_must_be_answered_by_its_service(status: int, body: bytes, right: bool) -> None:
    assert _question("seko", "obsidian", "/").right(status, body) is right


def test_a_public_route_without_get_must_refuse_it() -> None:
    (github,) = (question for question in questions(_placement("seko")) if question.expected == "405")
    assert github.right(405, b"")
    assert not github.right(403, MEMBERS_ONLY)


def test_a_host_that_cannot_be_asked_from_outside_is_left_out_with_its_reason() -> None:
    sese = _placement("sese")
    assert [left_out(FLEET, _placement(name)) for name in ("sese", "seko", "waza")] == ["", "", "it has no site"]
    assert "mesh alone" in left_out(replace(FLEET, named_in_public=False), sese)
    assert "rented" in left_out(FLEET, replace(sese, host=replace(sese.host, address="")))


SECRETS = {secret.name: f"value-of-{secret.name}" for secret in FLEET.secrets()}
REFUSED = 'psql: error: FATAL:  password authentication failed for user "n8n"'


def _rows(monkeypatch: pytest.MonkeyPatch, answer: str, *, chat: bool = False) -> dict[str, tuple[str, bool]]:
    """By subject, what smoke asks of the stack's host, and whether it is right that every command prints `answer`."""
    sese = _placement("sese")
    running = [
        {"Config": {"Labels": {LABEL_SERVICE: service.name}}, "Id": service.name, "Image": "", "State": {}}
        for service in sese.services
    ]
    settings = SimpleNamespace(image_mirror="", certificate_authority="")
    stack = SimpleNamespace(
        inputs=SimpleNamespace(fleet=FLEET, settings=settings),
        secrets=SECRETS,
        secret=SECRETS.__getitem__,
        containers=lambda _: running,
    )
    asked: list[str] = []

    def on_host(_: object, command: Sequence[str], stdin: str = "") -> str:
        asked.append(f"{command[3]} {stdin}")
        return answer

    monkeypatch.setattr(smoke, "on_host", on_host)
    found = {}
    for subject, _, ask in smoke._asks(cast("Stack", stack), cast("SshHost", SimpleNamespace(alias="sese")), sese, chat):
        right = subject.startswith(("SQL", "Redis")) and ask()[1]
        found[subject] = (asked.pop() if asked else "", right)
    return found


@pytest.mark.parametrize(
    ("subject", "answer", "right"),
    [
        ("SQL as n8n, own password", "n8n", True),
        ("SQL as n8n, own password", REFUSED, False),
        ("SQL as n8n, litellm's password", REFUSED, True),
        ("SQL as n8n, litellm's password", "n8n", False),
        ("Redis as sure", "PONG", True),
        ("Redis as sure", "WRONGPASS invalid username-password pair", False),
        ("Redis as litellm: CONFIG", "NOPERM this user has no permissions", True),
        ("Redis as litellm: CONFIG", "maxmemory", False),
        ("Redis as default", "PONG", False),
    ],
)
def test_an_answer_is_told_from_a_refusal(monkeypatch: pytest.MonkeyPatch, subject: str, answer: str, right: bool) -> None:
    assert _rows(monkeypatch, answer)[subject][1] is right


def test_each_check_is_asked_of_the_service_that_says_it_with_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows(monkeypatch, "", chat=True)
    assert rows["SQL as n8n, litellm's password"][0] == "postgresql value-of-postgresql_litellm_password"
    assert rows["Redis as sure"][0] == "redis value-of-redis_sure_password"
    sites = {subject for subject in rows if subject.startswith("https://litellm")}
    models, chat = "https://litellm.example.org/v1/models", "https://litellm.example.org/v1/chat/completions: gpt-4o-mini"
    assert sites == {f"{models} with its key", f"{models} without", chat}
    assert chat not in _rows(monkeypatch, "")


def test_the_secret_of_every_check_is_one_of_the_fleets() -> None:
    checks = [check for _, service in FLEET.services() for check in service.checks]
    named = {name for check in checks if isinstance(check, Inside) for name in references(check.stdin)}
    named |= {check.bearer.name for check in checks if isinstance(check, AtSite) and check.bearer}
    assert named and named <= SECRETS.keys()


def test_checks_become_junit_xml() -> None:
    checks = (
        Check("sese: redis healthcheck", "healthy", "healthy", ok=True, milliseconds=1250),
        Check("SQL as <n8n>", "n8n", "\x1b[31mno & never", ok=False, milliseconds=20),
        Check("waza: its sites from outside", "not asked", "it has no site", ok=True, milliseconds=0, asked=False),
    )
    suite = ElementTree.fromstring(junit("smoke lab", checks))  # noqa: S314
    assert suite.attrib == {
        "name": "smoke lab", "tests": "3", "failures": "1", "errors": "0", "skipped": "1", "time": "1.270",
    }  # fmt: skip
    passed, failed, skipped = suite.findall("testcase")
    assert (passed.get("name"), passed.get("time"), list(passed)) == ("sese: redis healthcheck", "1.250", [])
    (failure,) = failed
    assert (failed.get("name"), failure.tag) == ("SQL as <n8n>", "failure")
    assert failure.text == "expected: n8n\nfound: \ufffd[31mno & never"
    assert [(part.tag, part.get("message")) for part in skipped] == [("skipped", "it has no site")]


def test_a_site_is_asked_at_the_address_given_and_its_certificate_verified_for_its_name(tmp_path: Path) -> None:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out", "root.crt")
    names = ("-subj", "/CN=site", "-addext", "subjectAltName=DNS:site.invalid")
    subprocess.run(["openssl", "req", "-x509", *key, *names], cwd=tmp_path, check=True, capture_output=True)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(tmp_path / "root.crt", tmp_path / "key.pem")
    stack = cast("Stack", SimpleNamespace(inputs=SimpleNamespace(settings=SimpleNamespace(certificate_authority=str(tmp_path)))))
    with HTTPServer(("127.0.0.1", 0), _Host) as server:
        server.socket = served.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        assert fetch(stack, f"https://site.invalid:{port}/health", at="127.0.0.1") == (
            403,
            f"site.invalid:{port}/health".encode(),
        )
        with pytest.raises(OSError, match="certificate"):
            fetch(stack, f"https://other.invalid:{port}/", at="127.0.0.1")
        server.shutdown()


class _Host(BaseHTTPRequestHandler):
    """Answers 403 and what it was asked for."""

    def do_GET(self) -> None:
        body = f"{self.headers['Host']}{self.path}".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _placement(name: str) -> Placement:
    return next(placement for placement in FLEET.placements if placement.host.name == name)


def _question(host: str, site: str, path: str) -> Question:
    return next(
        question for question in questions(_placement(host)) if (question.host, question.path) == (f"{site}.example.org", path)
    )
