"""The answers of the real Caddy with the rendered Caddyfile. Members connect from 127.0.0.2, outsiders from 127.0.0.1."""

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from model.network import MESH
from model.route import Access, Cors, RateLimit, Route, RouteTarget, Site, Upstream, sites
from model.settings import Settings
from services.caddy.caddyfile import AcmeOverOvh, OwnAuthority, render
from tests.support.ports import free_port
from tests.support.waiting import until

DOMAIN = "vpai.test"
MEMBER, STRANGER = "127.0.0.2", "127.0.0.1"
LIMIT = RateLimit(requests=1000, seconds=60)
CORS = Cors(origins=("app://obsidian.md", "http://localhost"), methods=("GET", "PUT"), headers=("authorization", "content-type"))
FACTS = Path(__file__).parent / "facts"
OPEN = Route(subdomain="open", port=80, access=Access.PUBLIC, reason="shown to the world", rate_limit=LIMIT)
ROUTES = (
    Route(subdomain="llm", port=4000, access=Access.VPN),
    replace(OPEN, refused_paths=("/_admin*",), body_mib=1, headers={"Cache-Control": "no-store"}),
    Route(subdomain="mixed", port=5678, access=Access.VPN),
    replace(OPEN, subdomain="mixed", paths=("/webhook/*",), methods=("POST",)),
    replace(OPEN, subdomain="mixed", port=0, paths=("/health",), answer="OK"),
    replace(OPEN, subdomain="few", paths=("/hook",), rate_limit=RateLimit(requests=3, seconds=60)),
    Route(subdomain="down", port=1, access=Access.VPN),
    replace(OPEN, subdomain="shared", refused_paths=("/_admin*",), body_mib=1, cors=CORS),
    replace(OPEN, subdomain="shared", paths=("/few",), rate_limit=RateLimit(requests=1, seconds=60)),
    replace(OPEN, subdomain="shared", paths=("/down",), methods=("GET", "PUT")),
    Route(subdomain="shut", port=1, access=Access.VPN, cors=CORS),
    Route(subdomain="", port=80, access=Access.VPN, paths=("/only",)),
    Route(
        subdomain="front",
        port=8428,
        access=Access.VPN,
        paths=("/live",),
        methods=("GET",),
        asks=f"/api/v1/query?query={{file.{FACTS}/question.promql}}&nocache=1",
    ),
    Route(subdomain="front", access=Access.VPN, paths=("/",), methods=("GET", "HEAD"), file=f"{FACTS}/front/index.html"),
    Route(subdomain="front", access=Access.VPN, paths=("/page.css",), methods=("GET", "HEAD"), file=f"{FACTS}/front/page.css"),
)
ISSUERS: list[AcmeOverOvh | OwnAuthority] = [
    AcmeOverOvh(email="ops@example.org", credentials="/etc/caddy/current"),
    OwnAuthority(certificate="/a.crt", key="/a.key"),
]


def led(route: Route) -> RouteTarget:
    name = "down" if route.paths == ("/down",) else route.subdomain or "root"
    return RouteTarget(route=route, upstream=None if route.answer or route.file else Upstream(name=name, port=route.port))


RELAYED = tuple(
    RouteTarget(route=replace(OPEN, subdomain=peer, paths=("/hook",)), upstream=Upstream(name=peer, port=443, over_mesh=True))
    for peer in ("peer", "impostor", "sought")
)
"""Sites that another Caddy serves: `impostor` has a self-made certificate, the name of `sought` does not resolve."""
SITES = sites((*map(led, ROUTES), *RELAYED), DOMAIN)


def _pattern(setting: str) -> str:
    """The Python pattern of a setting's values."""
    [pattern] = [rule.pattern for rule in Settings.model_fields[setting].metadata if getattr(rule, "pattern", "")]
    return str(pattern)


def adapted(caddy: Path, text: str, directory: Path) -> Any:
    file = directory / "Caddyfile"
    file.write_text(text)
    done = subprocess.run([caddy, "adapt", "--config", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("issuer", ISSUERS, ids=lambda issuer: type(issuer).__name__)
def test_with_either_kind_of_certificate_the_access_list_is_the_first_directive_of_every_site(
    toolchain: Path, tmp_path: Path, issuer: AcmeOverOvh | OwnAuthority
) -> None:
    config = adapted(toolchain / "bin/caddy", render(SITES, issuer, [MESH]), tmp_path)
    assert "trusted_proxies" not in json.dumps(config)
    assert config["apps"]["http"]["servers"]["srv0"]["protocols"] == ["h1", "h2", "h3"]
    for site in SITES:
        steps = handlers(config, site.host)
        kinds = [handler["handler"] for _, handler in steps]
        first = next(number for number, kind in enumerate(kinds) if kind != "headers")
        matched, refusal = steps[first]
        assert (refusal["handler"], refusal["status_code"]) == ("error", 403)
        public = site.paths(Access.PUBLIC)
        outside = [{"remote_ip": {"ranges": [str(MESH)]}}, *([{"path": list(public)}] if public else [])]
        assert [condition for group in matched for condition in group["not"]] == outside
        assert (kinds[-1], steps[-1][1]["status_code"]) == ("error", 404)


@given(
    email=st.from_regex(_pattern("acme_email"), fullmatch=True),
    directory=st.from_regex(_pattern("acme_directory"), fullmatch=True),
    domain=st.from_regex(_pattern("domain"), fullmatch=True),
)
@settings(max_examples=10, deadline=None, phases=(Phase.generate,))  # Shrinking an example would start Caddy for minutes.
def test_caddy_reads_each_setting_as_it_is(toolchain: Path, email: str, directory: str, domain: str) -> None:
    tls = AcmeOverOvh(email=email, credentials="/etc/caddy/current", directory=directory, wildcard=domain)
    with TemporaryDirectory() as place:
        config = adapted(toolchain / "bin/caddy", render(sites((led(ROUTES[0]),), domain), tls, [MESH]), Path(place))
    issuers = [issuer for found in _found(config, "issuers") for issuer in found]
    assert {issuer.get("email", "") for issuer in issuers} == {email}
    # Without a directory setting Caddy adds a second authority of its own when it has an e-mail address.
    assert {issuer.get("ca", "") for issuer in issuers} - {"https://acme.zerossl.com/v2/DV90"} == {directory}
    hosts = {host for found in _found(config, "host") if isinstance(found, list) for host in found}
    assert hosts == {f"llm.{domain}", f"*.{domain}", "127.0.0.1"}
    assert config["admin"] == {"listen": "localhost:2019"}


def handlers(config: Any, host: str) -> list[tuple[Any, Any]]:
    """The handlers of a request to `host`, in the order in which Caddy runs them."""
    routes = [route for server in config["apps"]["http"]["servers"].values() for route in server["routes"]]
    [route] = [route for route in routes if {"host": [host]} in route.get("match", [])]

    def flatten(routes: list[Any]) -> list[tuple[Any, Any]]:
        found: list[tuple[Any, Any]] = []
        for route in routes:
            for handler in route["handle"]:
                found += flatten(handler["routes"]) if handler["handler"] == "subroute" else [(route.get("match"), handler)]
        return found

    return flatten([route])


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]
    lines: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        """All values of a header, which may occur several times."""
        return [value for found, value in self.lines if found == name]


class Caddy:
    """The real Caddy with the rendered sites. All upstreams but `down` are one server that reports the requests it gets."""

    def __init__(self, binary: Path, directory: Path, vpn: IPv4Network) -> None:
        self._upstream = ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
        threading.Thread(target=self._upstream.serve_forever, daemon=True).start()
        certificate = directory / "root.crt"
        _authority(directory)
        self._peers = {"peer": _peer(directory, directory), "impostor": _peer(directory / "impostor", directory)}
        self.name_server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        """Receives queries and never answers, like a member's name server before its login."""
        self.name_server.bind(("127.0.0.1", 0))
        self.name_server.settimeout(10)
        issuer = OwnAuthority(certificate=str(certificate), key=str(directory / "root.key"))
        config = adapted(binary, render(SITES, issuer, [vpn]), directory)
        self.port = free_port()
        (directory / "caddy.json").write_text(json.dumps(self._at_home(config)))
        self._context = ssl.create_default_context(cafile=str(certificate))
        self._log = (directory / "log").open("w")
        self._process = subprocess.Popen(
            [binary, "run", "--config", directory / "caddy.json"],
            env={"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)},
            stdout=self._log,
            stderr=self._log,
        )
        until(self._answers, seconds=30)

    def _at_home(self, config: Any) -> Any:
        """The same configuration with ports of this machine and with that one server as upstream."""
        config["admin"] = {"disabled": True}
        servers = config["apps"]["http"]["servers"]
        config["apps"]["http"]["servers"] = {
            name: {**server, "listen": [f":{self.port}"], "automatic_https": {"disable_redirects": True}}
            for name, server in servers.items()
            if server["listen"] == [":443"]
        }
        return json.loads(json.dumps(config), object_hook=self._led_here)

    def _led_here(self, part: Any) -> Any:
        if part.get("handler") == "reverse_proxy":
            part["load_balancing"]["try_duration"] = "100ms"
            [upstream] = part["upstreams"]
            name = upstream["dial"].partition(":")[0]
            if name == "sought":
                part["transport"]["resolver"]["addresses"] = [f"127.0.0.1:{self.name_server.getsockname()[1]}"]
                return part
            port = 1 if name == "down" else self._peers.get(name, self._upstream).server_address[1]
            part["upstreams"] = [{"dial": f"127.0.0.1:{port}"}]
        return part

    def _answers(self) -> bool:
        assert self._process.poll() is None, Path(self._log.name).read_text()
        try:
            return self.ask("llm", "/", MEMBER).status == 200
        except OSError:
            return False

    def ask(
        self,
        subdomain: str,
        path: str,
        source: str,
        method: str = "GET",
        *,
        host: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """`path` is sent unchanged. `host` replaces the Host header; the connection uses the site's name."""
        name = f"{subdomain}.{DOMAIN}" if subdomain else DOMAIN
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(source, 0))
        with self._context.wrap_socket(plain, server_hostname=name) as connection:
            http = HTTPConnection(name)
            http.sock = connection
            http.putrequest(method, path, skip_host=True)
            for key, value in {"Host": host or name, "Content-Length": str(len(body or b"")), **(headers or {})}.items():
                http.putheader(key, value)
            http.endheaders(body)
            answer: HTTPResponse = http.getresponse()
            lines = tuple(answer.getheaders())
            return Answer(answer.status, answer.read().decode(), dict(lines), lines)

    def failures(self) -> list[Any]:
        """Failed requests in Caddy's log."""
        lines = map(json.loads, Path(self._log.name).read_text().splitlines())
        return [line for line in lines if line.get("logger", "").startswith("http.log.access")]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()
        self.name_server.close()
        for server in (self._upstream, *self._peers.values()):
            server.shutdown()
            server.server_close()


class _Upstream(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        shown = json.dumps({"path": self.path, "headers": dict(self.headers), "body": len(body)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(shown)))
        self.send_header("X-Powered-By", "a test")
        self.end_headers()
        self.wfile.write(shown)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def _peer(directory: Path, authority: Path) -> ThreadingHTTPServer:
    """Another host's server, with a certificate from the authority in `directory`, which is created if missing."""
    if directory != authority:
        directory.mkdir()
        _authority(directory)
    key, request, certificate = (directory / f"peer.{kind}" for kind in ("key", "csr", "crt"))
    names = f"subjectAltName=DNS:peer.{DOMAIN},DNS:impostor.{DOMAIN}"
    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
    for words in (
        ("req", *ec, "-subj", "/CN=peer", "-addext", names, "-keyout", key, "-out", request),
        (
            *("x509", "-req", "-in", request, "-copy_extensions", "copy", "-days", "2", "-out", certificate),
            *("-CA", directory / "root.crt", "-CAkey", directory / "root.key"),
        ),
    ):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _authority(directory: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "30"),
            *("-subj", "/CN=test", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", directory / "root.key", "-out", directory / "root.crt"),
        ],
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def caddy(toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caddy]:
    running = Caddy(toolchain / "bin/caddy", tmp_path_factory.mktemp("caddy"), IPv4Network(f"{MEMBER}/32"))
    yield running
    running.stop()


TRICKS = (
    *("/", "/x", "/X", "//x", "/./x", "/%2e%2e/x", "/webhook/../x", "/health/..", "/webhook%2f..%2fx"),
    *("/a\\b", "/%00", "/?/health"),
)


@pytest.mark.parametrize("path", TRICKS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE", "PROPFIND"])
def test_a_stranger_is_refused_whatever_he_writes(caddy: Caddy, path: str, method: str) -> None:
    forged = {"X-Forwarded-For": MEMBER, "X-Real-Ip": MEMBER, "Forwarded": f"for={MEMBER}"}
    assert caddy.ask("llm", path, STRANGER, method, headers=forged).status == 403
    assert caddy.ask("mixed", path, STRANGER, method, headers=forged).status == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [("llm.vpai.test", 403), ("LLM.vpai.test", 403), ("llm.vpai.test:443", 403), ("nobody.vpai.test", 404), ("127.0.0.1", 404)],
)
def test_the_host_decides_and_not_the_name_of_the_connection(caddy: Caddy, host: str, status: int) -> None:
    assert caddy.ask("open", "/", STRANGER, host=host).status == status


def test_a_member_is_let_in(caddy: Caddy) -> None:
    assert json.loads(caddy.ask("llm", "/kept/%2e/as+it?is", MEMBER).text)["path"] == "/kept/%2e/as+it?is"


def test_a_public_path_of_a_closed_site_is_open_and_nothing_beside_it(caddy: Caddy) -> None:
    assert caddy.ask("mixed", "/webhook/a", STRANGER, "POST").status == 200
    assert caddy.ask("mixed", "/webhook/a", STRANGER, "GET").status == 405
    assert caddy.ask("mixed", "/webhook", STRANGER, "POST").status == 403
    assert caddy.ask("mixed", "/health", STRANGER).text == "OK"
    assert caddy.ask("mixed", "/healthy", STRANGER).status == 403
    assert caddy.ask("mixed", "/anything", MEMBER).status == 200


@pytest.mark.parametrize(
    "path",
    ["/x/../webhook/a", "//webhook/a", "/%2fwebhook/a", "/webhook//a", "/webhook/%2e/a", "/webhook/a/..", "/webhook/a%5Cb"],
)
def test_a_path_with_two_readings_is_read_by_nobody(caddy: Caddy, path: str) -> None:
    for source in (STRANGER, MEMBER):
        assert caddy.ask("mixed", path, source, "POST").status in (403, 404)


@pytest.mark.parametrize("path", ["/_admin", "/_admin/x", "/_ADMIN", "/%5Fadmin", "/%2f_admin", "/x/../_admin", "/%2e/_admin"])
def test_what_a_public_route_refuses_is_refused_in_every_spelling(caddy: Caddy, path: str) -> None:
    for source in (STRANGER, MEMBER):
        assert caddy.ask("open", path, source).status == 404
    assert caddy.ask("open", "/a%2Fb", source).status == 200


def test_what_no_route_declares_is_not_there(caddy: Caddy) -> None:
    assert caddy.ask("", "/only", MEMBER).status == 200
    assert caddy.ask("", "/other", MEMBER).status == 404
    assert caddy.ask("", "/only", STRANGER).status == 403
    assert caddy.ask("few", "/hook/x", MEMBER).status == 404
    assert caddy.ask("few", "/hook/x", STRANGER).status == 403


def test_after_so_many_requests_an_address_is_told_to_wait_and_another_is_not(caddy: Caddy) -> None:
    answers = [caddy.ask("few", "/hook", STRANGER, headers={"X-Forwarded-For": f"198.51.100.{n}"}) for n in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert caddy.ask("few", "/hook", MEMBER).status == 200


def test_a_body_that_is_too_large_is_refused(caddy: Caddy) -> None:
    assert json.loads(caddy.ask("open", "/", STRANGER, "POST", body=b"x" * 2**20).text)["body"] == 2**20
    assert caddy.ask("open", "/", STRANGER, "POST", body=b"x" * (2**20 + 1)).status == 413


@pytest.mark.parametrize("origin", [*CORS.origins, "https://evil.example", "app://obsidian.md.evil.example", ""])
def test_every_answer_that_caddy_makes_at_a_site_with_cors_says_who_may_read_it(caddy: Caddy, origin: str) -> None:
    allowed = origin in CORS.origins
    headers = {"Origin": origin} if origin else {}
    asked = {**headers, "Access-Control-Request-Method": "PUT"}
    refusals = {
        413: [caddy.ask("shared", "/x", STRANGER, "PUT", body=b"x" * (2**20 + 1), headers=headers)],
        404: [caddy.ask("shared", path, STRANGER, headers=headers) for path in ("/_admin", "//x", "/x/../_admin")],
        405: [caddy.ask("shared", "/down", STRANGER, "DELETE", headers=headers)],
        502: [caddy.ask("shared", "/down", STRANGER, method, headers=headers) for method in ("GET", "PUT")],
        403: [caddy.ask("shut", "/", STRANGER, headers=headers)],
        429: [caddy.ask("shared", "/few", STRANGER, headers=headers) for _ in range(2)][1:],
    }
    for status, answers in refusals.items():
        for answer in answers:
            assert answer.status == status
            assert answer.all("Access-Control-Allow-Origin") == [origin] * allowed
            assert answer.all("Access-Control-Allow-Credentials") == ["true"] * allowed
            assert answer.all("Vary") == ["Origin"] * allowed
    # The service sends these headers itself: clients refuse them twice.
    served = caddy.ask("shared", "/x", STRANGER, headers=headers)
    assert served.status == 200 and "Access-Control-Allow-Origin" not in served.headers
    for site, path in (("shared", "/down"), ("shut", "/"), ("shared", "/_admin")):
        beforehand = caddy.ask(site, path, STRANGER, "OPTIONS", headers=asked)
        assert ((beforehand.status, beforehand.text) == (204, "")) == allowed
        assert beforehand.all("Access-Control-Allow-Methods") == ["GET, PUT"] * allowed
        assert beforehand.all("Access-Control-Allow-Headers") == ["authorization, content-type"] * allowed
        assert beforehand.all("Access-Control-Allow-Origin") == [origin] * allowed
    closed = caddy.ask("llm", "/", STRANGER, headers=headers)
    assert closed.status == 403 and "Access-Control-Allow-Origin" not in closed.headers


def test_members_only_and_a_dead_service_are_told_apart(caddy: Caddy) -> None:
    closed, dead = caddy.ask("down", "/", STRANGER), caddy.ask("down", "/?token=hidden", MEMBER, headers={"X-Token": "hidden"})
    assert (closed.status, dead.status) == (403, 502)
    assert "answers members of the VPN" in closed.text
    assert STRANGER in closed.text
    assert "is down or starting" in dead.text
    [reported] = [line for line in caddy.failures() if line["request"]["host"] == f"down.{DOMAIN}"]
    assert (reported["level"], reported["status"], reported["request"]["uri"]) == ("error", 502, "/")
    assert "connection refused" in reported["error"], "the operator reads why"
    assert "hidden" not in json.dumps(reported)
    assert all(line["status"] >= 500 for line in caddy.failures())


@pytest.mark.parametrize(("path", "source", "status"), [("/", MEMBER, 200), ("/", STRANGER, 403)])
def test_every_answer_carries_the_same_security_headers_once(caddy: Caddy, path: str, source: str, status: int) -> None:
    answer = caddy.ask("llm", path, source)
    assert answer.status == status
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert not {"Server", "Via", "X-Powered-By"} & answer.headers.keys()


def test_what_is_relayed_keeps_its_host_and_goes_to_nobody_with_another_certificate(caddy: Caddy) -> None:
    body = b'{"signed":  true}'
    answer = caddy.ask("peer", "/hook?a=b", STRANGER, "POST", body=body)
    reported = json.loads(answer.text)
    assert (answer.status, reported["path"], reported["body"]) == (200, "/hook?a=b", len(body))
    # For a TLS upstream Caddy 2.11 would by default send the upstream's name.
    assert reported["headers"]["Host"] == f"peer.{DOMAIN}"
    assert caddy.ask("impostor", "/hook", STRANGER, "POST", body=body).status == 502


def test_a_name_that_is_looked_up_for_long_holds_up_no_other_site(caddy: Caddy) -> None:
    with ThreadPoolExecutor(1) as pool:
        sought = pool.submit(caddy.ask, "sought", "/hook", STRANGER, "POST")
        caddy.name_server.recv(512)
        for _ in range(20):
            assert caddy.ask("open", "/", STRANGER).status == 200
        assert not sought.done()
        assert sought.result().status == 502


@pytest.mark.parametrize("more", ["", "?query=up", "?query=up&time=0", "?{env.HOME}", "?%7Benv.HOME%7D", "?a=b#c"])
def test_a_service_that_is_asked_one_thing_hears_nothing_of_the_clients(caddy: Caddy, more: str) -> None:
    reported = json.loads(caddy.ask("front", f"/live{more}", MEMBER).text)
    path, _, query = reported["path"].partition("?")
    question = (FACTS / "question.promql").read_text().removesuffix("\n")
    assert path == "/api/v1/query"
    assert parse_qs(query, strict_parsing=True) == {"query": [question], "nocache": ["1"]}, "no placeholder in a file is one"


def test_a_service_that_is_asked_one_thing_is_asked_it_by_members_in_one_way(caddy: Caddy) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert caddy.ask("front", "/live", MEMBER, method, body=b"query=up").status == 405
    for path in ("/live/", "/live/x", "/live/../api/v1/query", "/api/v1/query?query=up"):
        assert caddy.ask("front", path, MEMBER).status == 404, path
    assert caddy.ask("front", "/live", STRANGER).status == 403


def test_of_a_directory_the_named_files_are_served_to_members_and_no_other(caddy: Caddy) -> None:
    index, style = caddy.ask("front", "/", MEMBER), caddy.ask("front", "/page.css", MEMBER)
    assert (index.status, index.headers["Content-Type"], index.text) == (200, "text/html; charset=utf-8", "<p>one</p>\n")
    assert (style.status, style.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert caddy.ask("front", "/PAGE.CSS?x=/secret.txt", MEMBER).text == style.text, "paths are compared in any case"
    for path in ("/index.html", "/secret.txt", "/page.css/", "/../question.promql", "/page.css%00"):
        assert caddy.ask("front", path, MEMBER).status == 404, path
    assert caddy.ask("front", "/", MEMBER, "POST").status == 405
    assert caddy.ask("front", "/", STRANGER).status == caddy.ask("front", "/page.css", STRANGER).status == 403


def test_a_route_may_add_headers_of_its_own(caddy: Caddy) -> None:
    assert caddy.ask("open", "/", STRANGER).headers["Cache-Control"] == "no-store"
    assert "Cache-Control" not in caddy.ask("llm", "/", MEMBER).headers


def test_the_service_is_told_the_address_that_the_connection_comes_from(caddy: Caddy) -> None:
    seen = json.loads(caddy.ask("open", "/", STRANGER, headers={"X-Forwarded-For": "198.51.100.7"}).text)["headers"]
    assert seen["X-Forwarded-For"] == STRANGER
    assert seen["Host"] == "open.vpai.test"


class TestSecondRange:
    """vpai:vpnCidrs with the range of Docker's frontend network, for hosts where members' requests come from a bridge address."""

    def test_every_site_lets_both_in_and_nobody_else(self, toolchain: Path, tmp_path: Path) -> None:
        networks = [MESH, IPv4Network("172.20.1.0/24")]
        config = adapted(toolchain / "bin/caddy", render(SITES, ISSUERS[1], networks), tmp_path)
        ranges = {tuple(found["ranges"]) for found in _found(config, "remote_ip")}
        assert ranges == {("100.64.0.0/10", "172.20.1.0/24")}
        assert len(list(_found(config, "remote_ip"))) == len(SITES)


def _found(part: Any, key: str) -> Iterator[Any]:
    """Every value of `key`, at any depth."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == key:
                yield value
            yield from _found(value, key)
    elif isinstance(part, list):
        for value in part:
            yield from _found(value, key)


def test_a_site_can_only_be_made_of_routes_that_say_who() -> None:
    with pytest.raises(TypeError, match="access"):
        Route(subdomain="new", port=1)  # type: ignore[call-arg]
    assert all(isinstance(site, Site) for site in SITES)
