"""Every site's answer to every kind of client, HTTP version and spelling of a request, on the running hosts.

The scanner gets addresses, names and paths. The expected answers are computed from docs/reference/reachability.md alone, the page
that pull requests change; a route that the page lacks is found, whatever made it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import pytest

from lab import Lab, Machine
from lab.layout import DOMAIN
from model.names import FRONT_PAGE, Names
from model.reachability import ANYONE, MEMBER
from model.route import covers
from operations.reference.reachability import PAGE, read
from services.caddy.caddyfile import PAGES
from services.networks import EGRESS, FRONTEND
from tests.lab.deployment import Deployment
from tests.lab.reach import Target, listener, reached
from tests.lab.test_isolation import _container
from tests.support.fleets import inputs

ROWS = read(PAGE.read_text())
DOORS = ("sese", "seko")
VERSIONS = ("1.1", "2", "3")
UNDECLARED = (
    *("/", "/admin", "/api", "/api/v1/node", "/metrics", "/health", "/healthz", "/.env", "/.git/config", "/webhook"),
    *("/webhook-test/github", "/rest/login", "/_utils/", "/swagger", "/index.html"),
)
"""Paths that attackers try everywhere; a site may declare some of them."""
TRICKS = (
    *("/{}", "/./{}", "/x/../{}", "/%2e/{}", "/x/%2e%2e/{}", "/%2f{}", "/x%2f..%2f{}", "/{}/..", "/{}/%2e%2e/", "/{}\\..\\"),
    *("//{}", "/{}%00", "/{}//", "/{};x=y", "/{}?/health"),
)
"""Spellings of a declared path, which replaces `{}`."""
PORTS = (22, 80, 443, 804, 2019, 2375, 3000, 4000, 5432, 5678, 5984, 6379, 8080, 9090, 9100, 50443)
OPENED = 8098
"""A port that one of the holes opens."""

REFUSED, UNKNOWN, SILENT, SERVED = "members only", "not served", "no answer", "let in"


@dataclass(frozen=True)
class Question:
    """One request of one client: its destination and its spelling."""

    site: str
    address: str
    path: str
    version: str
    method: str = "GET"
    host: str = ""
    """Host header instead of the site's name, under which the connection is made."""
    forged: bool = False
    """With the headers by which proxies report a client's address, all with a member's address."""


_ASK = r"""
import json, pathlib, subprocess, sys, tempfile

VERSIONS = {"1.1": "http1.1", "2": "http2", "3": "http3-only"}
asked = json.load(sys.stdin)
found = {}
with tempfile.TemporaryDirectory() as place:
    # One curl a version: it would ask over a connection that is there already, of whatever version.
    for version, option in VERSIONS.items():
        blocks = []
        for number, each in enumerate(asked):
            if each["version"] != version:
                continue
            quoted = each["path"].replace("\\", "\\\\").replace('"', '\\"')
            lines = [
                f'url = "https://{each["site"]}{quoted}"', option, "path-as-is", "globoff", "insecure", "silent",
                "max-time = SECONDS",
                f'resolve = "{each["site"]}:443:{each["address"]}"', f'output = "{place}/{number}"',
                f'request = "{each["method"]}"', f'write-out = "{number} %{{http_code}} %{{http_version}}\\n"',
            ]
            headers = [f'Host: {each["host"]}'] if each["host"] else []
            if each["forged"]:
                told = ("X-Forwarded-For: ", "X-Real-IP: ", "True-Client-IP: ", "Forwarded: for=")
                headers += [f"{header}100.64.0.1" for header in told]
            blocks.append("\n".join([*lines, *(f'header = "{header}"' for header in headers)]))
        config = "parallel\nparallel-max = 24\n" + "\nnext\n".join(blocks) + "\n"
        done = subprocess.run(["curl", "--config", "-"], input=config, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            number, status, spoken = line.split()
            body = pathlib.Path(place, number)
            found[number] = [int(status), spoken, body.read_bytes()[:300].decode(errors="replace") if body.exists() else ""]
print(json.dumps([found.get(str(number), [0, "", ""]) for number in range(len(asked))]))
"""


def ask(machine: Machine, questions: list[Question], within: tuple[str, ...] = (), *, seconds: int = 20) -> list[str]:
    """The answer to each question within so many seconds, as one word."""
    sent = json.dumps([asdict(question) for question in questions])
    done = machine.run([*within, "python3", "-c", _ASK.replace("SECONDS", str(seconds))], input=sent, timeout=300)
    answers = json.loads(done.stdout)
    for question, (status, version, _) in zip(questions, answers, strict=True):
        assert not status or version == question.version, f"{question}: answered in HTTP/{version}"
    return [_word(status, body) for status, _, body in answers]


def _word(status: int, body: str) -> str:
    if not status:
        return SILENT
    if status == 403 and PAGES[0].title in body:
        return REFUSED
    # Services answer 404 too: Caddy's is recognised by its page.
    return UNKNOWN if status in (404, 405) and PAGES[-1].text in body else SERVED


@dataclass(frozen=True)
class Way:
    """One row of the page about a site."""

    source: str
    methods: tuple[str, ...]
    paths: tuple[str, ...]
    refused: tuple[str, ...]

    def takes(self, path: str, method: str) -> bool:
        return self.declares(path) and (not self.methods or method in self.methods)

    def declares(self, path: str) -> bool:
        return self.covers(path) and not any(covers(pattern, path) for pattern in self.refused)

    def covers(self, path: str) -> bool:
        """Whether `path` belongs to the row, as allowed or as refused."""
        return any(covers(pattern, path) for pattern in self.paths)


def _in_the_lab(site: str) -> str:
    """The lab's name of a site: the page has default subdomains, the lab has its operator's."""
    names = Names(DOMAIN, inputs("lab").settings.subdomains)
    return names.host(FRONT_PAGE if site == "example.org" else site.removesuffix(".example.org"))


def ways(rows: frozenset[tuple[str, str, str]] = ROWS) -> Mapping[tuple[str, str], list[Way]]:
    """The page's rows by host and site."""
    found: dict[tuple[str, str], list[Way]] = {}
    for source, target, by in rows:
        if target.startswith("https://"):
            site, _, host = target.removeprefix("https://").partition(" on ")
            what = by.partition(" -> ")[0]
            declared, _, refused = what.partition(" but ")
            words = declared.split()
            way = Way(
                source,
                tuple(word for word in words if word.isupper()),
                tuple(word for word in words if word.startswith("/")),
                tuple(refused.split()),
            )
            found.setdefault((host, _in_the_lab(site)), []).append(way)
    return found


WAYS = ways()


def expected(source: str, host: str, question: Question) -> set[str]:
    """The page's answer for a plain path; for a path with several readings, any answer but access that the page does not give."""
    site = (question.host or question.site).split(":")[0].lower()
    if site.endswith("."):
        return {UNKNOWN} | expected(source, host, replace(question, host=site.rstrip(".")))
    lines = WAYS.get((host, site))
    if lines is None:
        return {UNKNOWN}
    path = question.path.partition("?")[0]
    open_to_all = [way for way in lines if way.source == ANYONE]
    if source == ANYONE and not any(way.covers(path) for way in open_to_all):
        return {REFUSED} if _plain(path) else {REFUSED, UNKNOWN}
    if not _plain(path):
        apart = any(way.paths != ("/*",) or way.refused for way in lines)
        return {UNKNOWN} if apart else {SERVED, UNKNOWN}
    mine = open_to_all if source == ANYONE else [way for way in lines if way.source == MEMBER]
    return {SERVED} if any(way.takes(path, question.method) for way in mine) else {UNKNOWN}


def _plain(path: str) -> bool:
    return not re.search(r"(?i)//|\\|%|(/|^)\.{1,2}(/|$)", path)


def questions(host: str, address: str) -> Iterator[Question]:
    """All questions to a host's Caddy at one of its addresses."""
    for (door, site), lines in sorted(WAYS.items()):
        if door != host:
            continue
        declared = {
            (path.replace("*", "x"), (way.methods or ("GET",))[0]) for way in lines for path in (*way.paths, *way.refused)
        }
        for version in VERSIONS:
            for path, method in sorted(declared):
                yield Question(site, address, path, version, method)
                yield Question(site, address, path, version, method, forged=True)
                yield Question(site, address, path.upper(), version, method)
            for path in UNDECLARED:
                yield Question(site, address, path, version)
            yield Question(site, address, "/", version, "DELETE")
            yield Question(site, address, "/", version, host=f"{site}.", forged=True)
            yield Question(site, address, "/", version, host=f"{site.upper()}:443")
            yield Question(site, address, "/", version, host=f"nobody.{DOMAIN}")
            # The connection names an open site, the request names this one.
            yield Question(OPEN[host], address, "/", version, host=site)
        for path, method in sorted(declared):
            for trick in TRICKS:
                yield Question(site, address, trick.format(path.lstrip("/")), "1.1", method)


OPEN = {"sese": f"nobody.{DOMAIN}", "seko": f"singa.{DOMAIN}"}


@dataclass(frozen=True)
class Client:
    """A client's place, and its name on the page."""

    name: str
    machine: Machine
    source: str
    host: str
    address: str
    within: tuple[str, ...] = ()

    def wrong(self, counted: Counter[str]) -> list[str]:
        """Every answer that differs from the page; `counted` gets the number of questions."""
        asked = list(questions(self.host, self.address))
        answers = ask(self.machine, asked, self.within)
        counted[self.name] += len(asked)
        counted.update(f"... {answer}" for answer in answers)
        return [
            f"{self.name} -> {question}: {answer}"
            for question, answer in zip(asked, answers, strict=True)
            if answer not in expected(self.source, self.host, question)
        ]


@pytest.fixture(scope="module")
def clients(lab: Lab, _deployment: Deployment) -> list[Client]:
    """An outsider, a member by mesh and by Internet, and the workstation by Internet, each at every Caddy."""
    mesh = {host.name: host.run(["tailscale", "ip", "-4"]).stdout.strip() for host in lab.hosts}
    found = []
    for door in DOORS:
        public = lab.addresses.on_internet(door)
        found += [
            Client("stranger", lab.outsider, ANYONE, door, public),
            Client("member, by the mesh", lab.operator, MEMBER, door, mesh[door]),
            Client("member, by the Internet", lab.operator, ANYONE, door, public),
            Client("workstation, by the Internet", lab.waza, ANYONE, door, public),
        ]
    return found


def test_every_site_answers_every_client_as_the_page_says(clients: list[Client]) -> None:
    counted: Counter[str] = Counter()
    wrong = [cell for client in clients for cell in client.wrong(counted)]
    asked = sum(number for name, number in counted.items() if not name.startswith("... "))
    print(f"\n{asked} cells: {dict(counted)}")
    assert not wrong, f"{len(wrong)} of {asked} cells:\n" + "\n".join(wrong[:40])
    assert asked > 3000


def test_from_inside_of_a_network_a_container_is_a_stranger_to_every_site(lab: Lab, clients: list[Client]) -> None:
    """Tried at Caddy's own address on the network, where no firewall is between."""
    counted: Counter[str] = Counter()
    for network in (FRONTEND.name, "backend", "monitoring"):
        with _container(lab, "sese", network) as inside:
            client = Client(network, lab.sese, ANYONE, "sese", _caddy(lab, network), inside.namespace)
            assert client.wrong(counted) == []
    print(f"\n{dict(counted)}")


def _caddy(lab: Lab, network: str) -> str:
    shown = f'{{{{(index .NetworkSettings.Networks "javisi_{network}").IPAddress}}}}'
    return lab.sese.run(["docker", "inspect", "-f", shown, "javisi_caddy"]).stdout.strip()


class TestHoles:
    """Holes made behind the model's back, where no law and no plan sees them; each must make the matrix fail."""

    def test_a_port_that_ufw_lets_in(self, lab: Lab) -> None:
        def opened() -> set[Target]:
            return reached(lab.outsider, [(lab.addresses.on_internet("waza"), port) for port in (*PORTS, OPENED)])

        assert opened() == set(), "the page has no row of anyone's for waza but WireGuard's"
        with (
            listener(lab.waza, OPENED),
            _undone(lab.waza, ["ufw", "allow", f"{OPENED}/tcp"], ["ufw", "delete", "allow", f"{OPENED}/tcp"]),
        ):
            assert opened() == {(lab.addresses.on_internet("waza"), OPENED)}

    def test_a_way_into_the_mesh_through_docker(self, lab: Lab, _deployment: Deployment) -> None:
        mesh = lab.seko.run(["tailscale", "ip", "-4"]).stdout.strip()
        with _container(lab, "sese", EGRESS.name) as inside:
            asked = [Question(site, mesh, "/", "1.1") for host, site in WAYS if host == "seko"]

            def answers() -> set[str]:
                return set(ask(lab.sese, asked, inside.namespace, seconds=5))

            assert answers() == {SILENT}
            rule = ["-d", "100.64.0.0/10", "-i", "br-+", "-j", "DROP"]
            with _undone(lab.sese, ["iptables", "-D", "DOCKER-USER", *rule], ["vpai-forward"]):
                assert SERVED in answers(), "masqueraded as its host, it is a member"
            lab.sese.run(["vpai-forward", "check"])

    def test_a_site_written_the_predecessors_way(self, deployed: Deployment, clients: list[Client]) -> None:
        """`error` outside a `route`: Caddy runs `handle` first, and the whole site is open."""
        [stranger] = [client for client in clients if (client.name, client.host) == ("stranger", "sese")]
        site = f"llm.{DOMAIN}"
        block = re.compile(rf"^{re.escape(site)} {{\n.*?^}}$", re.MULTILINE | re.DOTALL)
        container = deployed.container("caddy")
        text = deployed.on_host("docker", "exec", container, "cat", "/etc/caddy/current/Caddyfile")
        found = block.search(text)
        assert found
        theirs = re.sub(r"^\troute {\n(.*)^\t}$", r"\1", found[0], flags=re.MULTILINE | re.DOTALL)
        load = "cat >/tmp/Caddyfile && caddy reload --force --adapter caddyfile --config /tmp/Caddyfile"
        own = ["docker", "exec", container, "caddy", "reload", "--force", "--config", "/etc/caddy/current/Caddyfile"]
        try:
            deployed.on_host("docker", "exec", "-i", container, "sh", "-c", load, input=text.replace(found[0], theirs))
            wrong = stranger.wrong(Counter())
        finally:
            deployed.on_host(*own)
        assert wrong
        assert all(site in cell for cell in wrong)


@contextmanager
def _undone(machine: Machine, done: list[str], undo: list[str]) -> Iterator[None]:
    machine.run(done)
    try:
        yield
    finally:
        machine.run(undo)
