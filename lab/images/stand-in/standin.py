"""Plays a system that the lab cannot have, as its specification (/lab/spec.json) says.

It starts only where the real image would: with the environment, files, owner and writable directories that the real one
needs. Then it answers on the real ports, checks credentials as the real one does, and logs what it is asked, one JSON
object a line. What a system does beyond fixed answers is in /lab/behaviour.py.
"""

import base64
import hashlib
import hmac
import importlib.util
import json
import os
import re
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lab.contract import Contract

_PORTS = {"pg": 5432, "postgres": 5432, "postgresql": 5432, "redis": 6379}
CONFIGURATION_ERROR = 78
"""EX_CONFIG of sysexits.h."""


class Refused(Exception):
    """What a behaviour raises at its start where the real system would not work; the message says why."""


@dataclass(frozen=True)
class Reply:
    """What a client gets; `close` ends the connection, whatever the client asked."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    close: bool = False

    @classmethod
    def of(cls, document: Any, status: int = 200) -> "Reply":
        return cls(status, json.dumps(document).encode())

    @classmethod
    def text(cls, text: str, status: int = 200) -> "Reply":
        return cls(status, text.encode(), "text/plain; charset=utf-8")


@dataclass(frozen=True)
class Request:
    """What a client asked; header names in lower case."""

    port: int
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON; raises `ValueError` when it is none."""
        return json.loads(self.body or b"{}")


@dataclass(frozen=True)
class Needs:
    """What the real image does not start without. `$NAME` in a path stands for an environment variable."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Name and the pattern that its value must match as a whole; the value may be in a file that NAME__FILE names."""
    files: tuple[str, ...] = ()
    """Readable by the process."""
    arguments: tuple[str, ...] = ()
    """Patterns, each matched by one argument; a group in it is a file or directory that must be readable."""
    writable: tuple[str, ...] = ()
    """Directories."""
    reaches: tuple[str, ...] = ()
    """Environment variables with the URL of a server that must take connections."""
    uid: int | None = None
    """The only user as which the image works."""

    def missing(self, arguments: list[str]) -> Iterator[str]:
        """A sentence for each that is not there."""
        if self.uid is not None and os.getuid() != self.uid:
            yield f"it runs as user {os.getuid()}, and the image works as {self.uid} only"
        for name, pattern in self.environment.items():
            value = _value(name)
            if not value:
                yield f"the environment variable {name} is not set"
            elif not re.fullmatch(pattern, value):
                yield f"the environment variable {name} does not match {pattern}"
        for pattern in self.arguments:
            found = next((match for argument in arguments if (match := re.fullmatch(pattern, argument))), None)
            if found is None:
                yield f"no argument matches {pattern}; they are {arguments}"
            elif found.groups() and not os.access(found[1], os.R_OK):
                yield f"{found[1]} cannot be read by user {os.getuid()}"
        for path in map(os.path.expandvars, self.files):
            if not os.access(path, os.R_OK):
                yield f"{path} cannot be read by user {os.getuid()}"
        for path in map(os.path.expandvars, self.writable):
            if reason := _not_writable(Path(path)):
                yield f"{path} cannot be written by user {os.getuid()}: {reason}"
        for name in self.reaches:
            if reason := _unreachable(_value(name)):
                yield f"the server that {name} names does not answer: {reason}"


@dataclass(frozen=True)
class Credential:
    """One way to prove who asks: in a header, the value of an environment variable."""

    header: str
    variable: str = ""
    sha256: str = ""
    """In place of a variable: the hash of one that somebody made in the program's own interface."""
    scheme: str = ""
    """What precedes it in the header, e.g. `Bearer`; with `Basic` the variable has `user` before it."""
    user: str = ""

    def given(self, request: Request) -> bool:
        presented = request.headers.get(self.header, "")
        if self.scheme:
            scheme, _, presented = presented.partition(" ")
            if scheme.lower() != self.scheme.lower():
                return False
        if self.sha256:
            return hmac.compare_digest(hashlib.sha256(presented.strip().encode()).hexdigest(), self.sha256)
        wanted = _value(self.variable)
        if self.scheme == "Basic":
            wanted = base64.b64encode(f"{os.environ.get(self.user) or self.user}:{wanted}".encode()).decode()
        return bool(wanted) and hmac.compare_digest(presented.strip().encode(), wanted.encode())


@dataclass(frozen=True)
class Port:
    """What is served where. Paths ending in `*` are prefixes."""

    number: int
    replies: Mapping[str, Any] = field(default_factory=dict)
    """By path: a JSON document, or a text."""
    credentials: tuple[Credential, ...] = ()
    """Any one of them is enough for a guarded path; without any, every path is open."""
    guarded: tuple[str, ...] = ("*",)
    open: tuple[str, ...] = ("/",)
    """Exceptions to what is guarded."""
    metrics: str = ""
    """The path with Prometheus's text format; empty where the real one has none."""


@dataclass(frozen=True)
class Spec:
    """One system."""

    name: str
    sources: tuple[str, ...]
    """Where the facts are from."""
    ports: tuple[Port, ...] = ()
    needs: Needs = Needs()
    probes: Mapping[str, str] = field(default_factory=dict)
    """Programs or first arguments that ask an address and end, e.g. `-health`."""
    commands: tuple[str, ...] = ()
    """First words of commands that the behaviour runs to their end, beside the one that serves."""
    without_ports: tuple[str, ...] = ()
    """First words of commands that serve nothing, e.g. `bundle` of a worker."""

    @property
    def banner(self) -> str:
        return f"stand-in of the VPAI lab for {self.name}, not the real one"

    @classmethod
    def load(cls, path: Path) -> "Spec":
        document = json.loads(path.read_text())
        ports = tuple(
            Port(
                number=port["number"],
                replies=port.get("replies", {}),
                guarded=tuple(port.get("guarded", ("*",))),
                open=tuple(port.get("open", ("/",))),
                credentials=tuple(Credential(**credential) for credential in port.get("credentials", ())),
                metrics=port.get("metrics", ""),
            )
            for port in document.get("ports", ())
        )
        needs = dict(document.get("needs", {}))
        for name in ("files", "arguments", "writable", "reaches"):
            needs[name] = tuple(needs.get(name, ()))
        return cls(
            name=document["name"],
            sources=tuple(document["sources"]),
            ports=ports,
            needs=Needs(**needs),
            probes=document.get("probes", {}),
            commands=tuple(document.get("commands", ())),
            without_ports=tuple(document.get("without_ports", ())),
        )


Answer = Callable[[Request], Reply | None]


@dataclass
class StandIn:
    """A specification with its behaviour, and how often each port was asked."""

    spec: Spec
    answer: Answer = lambda request: None
    """Answers beyond the fixed ones; None for what it does not know."""
    samples: Callable[[], str] = lambda: ""
    """More lines of metrics."""
    contract: Contract | None = None
    started: float = field(default_factory=time.time)
    asked: dict[tuple[int, int], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, port: Port, request: Request) -> Reply:
        reply = self._reply(port, request)
        with self._lock:
            key = (port.number, reply.status)
            self.asked[key] = self.asked.get(key, 0) + 1
        return reply

    def _reply(self, port: Port, request: Request) -> Reply:
        guarded = port.credentials and _listed(port.guarded, request.path) and not _listed(port.open, request.path)
        if guarded and not any(credential.given(request) for credential in port.credentials):
            names = " or ".join(credential.header for credential in port.credentials)
            return Reply.of({"error": "unauthorized", "message": f"no or a wrong {names}", "lab": self.spec.banner}, 401)
        asked = f"{request.method} {request.path}"
        if self.contract and "paths" in self.contract.accepted and not self.contract.accepts("paths", asked):
            return Reply.text(self.contract.refusal("paths", request.path), 404)
        if request.path == port.metrics:
            return Reply(body=self.metrics().encode(), content_type="text/plain; version=0.0.4; charset=utf-8")
        try:
            if reply := self.answer(request):
                return reply
        except (ValueError, KeyError, TypeError) as error:
            return Reply.of({"error": "bad request", "message": f"{type(error).__name__}: {error}"}, 400)
        for path, document in port.replies.items():
            if _listed((path,), request.path):
                return Reply.text(document) if isinstance(document, str) else Reply.of(document)
        if request.path == "/":
            return Reply.text(f"{self.spec.banner}\n")
        return Reply.of({"error": f"{self.spec.banner}, knows no {request.method} {request.path}"}, 404)

    def metrics(self) -> str:
        name = json.dumps(self.spec.name)
        lines = [
            "# TYPE vpai_standin_info gauge",
            f"vpai_standin_info{{name={name}}} 1",
            "# TYPE process_start_time_seconds gauge",
            f"process_start_time_seconds {self.started:.3f}",
            "# TYPE vpai_standin_requests_total counter",
        ]
        with self._lock:
            asked = sorted(self.asked.items())
        lines += [f'vpai_standin_requests_total{{port="{port}",status="{status}"}} {count}' for (port, status), count in asked]
        return "\n".join(lines) + "\n" + self.samples()


def main(program: str, arguments: list[str]) -> int:
    spec = Spec.load(Path("/lab/spec.json"))
    for word in (Path(program).name, *arguments[:1]):
        if word in spec.probes:
            return _ask(spec.probes[word])
    if arguments and arguments[0] in spec.commands:
        return int(_behaviour().command(arguments))
    log(banner=spec.banner, arguments=arguments, uid=os.getuid(), sources=spec.sources)
    missing = list(spec.needs.missing(arguments))
    standin = StandIn(spec)
    if (path := Path("/lab/contract.json")).exists():
        standin.contract = Contract.load(path)
        missing += standin.contract.at_start(arguments, os.environ)
    try:
        if not missing and (behaviour := _behaviour()):
            standin.answer = getattr(behaviour, "answer", standin.answer)
            standin.samples = getattr(behaviour, "samples", standin.samples)
            if start := getattr(behaviour, "start", None):
                start(arguments)
    except Refused as refused:
        missing.append(str(refused))
    for sentence in missing:
        log(refused=f"the real {spec.name.partition(' (')[0]} would not work: {sentence}")
    if missing:
        return CONFIGURATION_ERROR
    ports = () if arguments and arguments[0] in spec.without_ports else spec.ports
    for port in ports:
        threading.Thread(target=_Server(standin, port).serve_forever, daemon=True).start()
    log(listening=[port.number for port in ports])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: os._exit(0))
    while True:
        signal.pause()


def log(**entry: Any) -> None:
    """One line of the log."""
    print(json.dumps({"time": round(time.time(), 3), **entry}), flush=True)


def _behaviour() -> Any:
    path = Path("/lab/behaviour.py")
    if not path.exists():
        return None
    found = importlib.util.spec_from_file_location("behaviour", path)
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _ask(address: str) -> int:
    """0 when the running stand-in answers on `address`."""
    try:
        urllib.request.urlopen(address, timeout=5).close()  # noqa: S310 - the specification's own address
    except OSError as error:
        print(f"{address}: {error}", file=sys.stderr)
        return 1
    return 0


def _listed(paths: tuple[str, ...], path: str) -> bool:
    return any(path.startswith(listed[:-1]) if listed.endswith("*") else path == listed for listed in paths)


def _value(name: str) -> str:
    """An environment variable's value, or that of the file which its __FILE sibling names."""
    file = os.environ.get(f"{name}__FILE")
    try:
        return Path(file).read_text().strip() if file else os.environ.get(name, "")
    except OSError:
        return ""


def _unreachable(url: str) -> str:
    """Why nobody takes connections at `url`; empty when somebody does."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80)), timeout=5).close()
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _not_writable(directory: Path) -> str:
    """Why no file can be made in `directory`, which is made when it is missing; empty when one can."""
    trial = directory / ".lab-trial"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        return os.strerror(error.errno or 0)
    return ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, standin: StandIn, port: Port) -> None:
        super().__init__(("0.0.0.0", port.number), _Handler)
        self.standin, self.port = standin, port

    def handle_error(self, request: Any, client_address: Any) -> None:
        log(client=client_address[0], error=str(sys.exc_info()[1]))


class _Handler(BaseHTTPRequestHandler):
    """HTTP around `StandIn.serve`."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        target = urlsplit(self.path)
        request = Request(
            port=self.server.port.number,
            method=self.command,
            path=target.path,
            query=parse_qs(target.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("content-length") or 0)),
        )
        reply = self.server.standin.serve(self.server.port, request)
        # Neither the query nor a header: keys travel in both.
        log(
            client=self.client_address[0],
            port=request.port,
            method=request.method,
            path=request.path,
            bytes=len(request.body),
            status=reply.status,
        )
        self.send_response(reply.status)
        self.send_header("x-vpai-lab", self.server.standin.spec.banner)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 101:
            self.send_header("content-type", reply.content_type)
            self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        if reply.close:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - names that http.server calls

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are logged as JSON above."""
