"""Stands in for model providers, Telegram, Hetzner, OVH and GitHub: paths, authentication, answers' shapes, fixed token counts.

What each accepts, and in which words it refuses the rest, is in contracts/<its host>.json, with the source of each entry.
Every answer says in a header that it is no real model's. `GET /__lab/requests` tells tests what was asked, and
`PUT /__lab/troubles` lets a provider answer late or with an error: `{"api.openai.com": {"status": 500, "seconds": 0.5}}`.
"""

import argparse
import json
import re
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from email.message import Message as Part
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lab.providers import github, hetzner, ovh, telegram
from lab.providers.exchange import Answer, Json, Request, Shape
from lab.providers.models import WRONG_KEY, anthropic, brave, byteplus, gemini, openai

BANNER = "stand-in of the VPAI lab, not a real provider"


@dataclass(frozen=True)
class Logged:
    """One line of the log; never a key."""

    time: float
    host: str
    method: str
    path: str
    model: str
    stream: bool
    status: int


TELEGRAM = telegram.Telegram(wrong=WRONG_KEY)


MESSAGES = TELEGRAM.messages


_BOT = re.compile(r"/bot(\d+):([A-Za-z0-9_-]{30,})/(\w+)")


def telegram_api(request: Request) -> Answer | None:
    """Telegram's Bot API; `GET /__lab/messages` tells what was sent."""
    given = {**{name: values[0] for name, values in request.query.items()}, **request.body}
    return Answer(*TELEGRAM.answer(request.path, given, request.headers))


def hetzner_cloud(cloud: hetzner.Cloud) -> Callable[[Request], Answer]:
    """Hetzner's Cloud API, which keeps a state."""

    def shape(request: Request) -> Answer:
        reply = cloud.answer(request.method, request.path, request.query, request.headers, request.data)
        return Answer(reply.status, reply.document, headers=reply.headers)

    return shape


GITHUB = github.GitHub()


def github_api(request: Request) -> Answer | None:
    """GitHub's REST API; `GET /__lab/pulls` and `/__lab/comments` tell what was proposed and said."""
    return Answer(*GITHUB.answer(request.method, request.path, request.query, request.headers, request.body, request.data))


OVH = ovh.Ovh()


def ovh_api(request: Request) -> Answer | None:
    """OVH's API; `GET /__lab/published` tells which records came to be served."""
    return Answer(*OVH.answer(request.method, request.url, request.headers, request.data))


SHAPES: Mapping[str, Shape] = {
    "api.openai.com": openai,
    "openrouter.ai": openai,
    "ark.ap-southeast.bytepluses.com": byteplus,
    "api.anthropic.com": anthropic,
    "generativelanguage.googleapis.com": gemini,
    "api.search.brave.com": brave,
    "api.telegram.org": telegram_api,
    github.HOST: github_api,
    ovh.HOST: ovh_api,
    hetzner.HOST: hetzner_cloud(hetzner.lab_cloud()),
}


def answer(request: Request) -> Answer:
    """The answer of the provider that the request names as its host."""
    shape = SHAPES.get(request.host)
    found = shape(request) if shape else None
    return found or Answer(
        404, {"error": {"message": f"the lab's {BANNER} has no {request.method} {request.host}{request.path}"}}
    )


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a provider: it answers with `status` (0: as it should), `seconds` late."""

    status: int = 0
    seconds: float = 0.0


def parsed(content_type: str, data: bytes) -> Json:
    """A request's body, JSON or a form; empty when it is neither."""
    if content_type.startswith("application/x-www-form-urlencoded"):
        return {name: values[0] for name, values in parse_qs(data.decode()).items()}
    if content_type.startswith("multipart/form-data"):  # Grafana's
        message = BytesParser().parsebytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + data)
        parts = message.get_payload() if message.is_multipart() else []
        assert isinstance(parts, list)
        fields = [part for part in parts if isinstance(part, Part)]
        return {
            str(part.get_param("name", header="content-disposition")): bytes(part.get_payload(decode=True)).decode()
            for part in fields
        }
    try:
        body = json.loads(data or b"{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


LOG: deque[Logged] = deque(maxlen=10_000)


TROUBLES: dict[str, Trouble] = {}


_LOG_LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """HTTP around `answer`, and the log."""

    protocol_version = "HTTP/1.1"
    # Headers and body in one packet: in two, the client's delayed acknowledgement costs 40 ms an answer.
    wbufsize = -1
    server: "Server"

    def _serve(self) -> None:
        target = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = parsed(self.headers.get("content-type", ""), data)
        if target.path.startswith("/__lab/"):
            self._reply(self._about(target.path, body))
            return
        request = Request(
            host=self.headers.get("host", "").partition(":")[0].lower(),
            method=self.command,
            path=target.path,
            query=parse_qs(target.query),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            data=data,
            url=f"{self.server.scheme}://{self.headers.get('host', '')}{self.path}",
        )
        trouble = TROUBLES.get(request.host, Trouble())
        time.sleep(trouble.seconds)
        result = (
            Answer(trouble.status, {"error": {"message": "trouble, as asked for"}})
            if trouble.status
            else self.server.answer(request)
        )
        logged = Logged(
            time.time(),
            request.host,
            request.method,
            _BOT.sub(r"/bot\1/\3", request.path),
            request.model,
            bool(result.events),
            result.status,
        )
        with _LOG_LOCK:
            LOG.append(logged)
        print(json.dumps(asdict(logged)), flush=True)
        self._reply(result)

    def _about(self, path: str, body: Json) -> Answer:
        if path == "/__lab/health":
            return Answer(200, {"banner": BANNER})
        if path == "/__lab/troubles":
            if self.command == "PUT":
                troubles = {host: Trouble(**trouble) for host, trouble in body.items()}
                TROUBLES.clear()
                TROUBLES.update(troubles)
            return Answer(200, {host: asdict(trouble) for host, trouble in TROUBLES.items()})
        logs: Mapping[str, deque[Any]] = {
            "/__lab/requests": LOG,
            "/__lab/messages": MESSAGES,
            "/__lab/pulls": GITHUB.pulls,
            "/__lab/comments": GITHUB.comments,
            "/__lab/published": OVH.published,
        }
        kept = logs.get(path)
        if kept is None:
            there = f"/__lab/health, {', '.join(logs)} (GET, DELETE), /__lab/troubles (GET, PUT)"
            return Answer(404, {"error": f"no {path}; there are {there}"})
        with _LOG_LOCK:
            found = [asdict(entry) for entry in kept]
            if self.command == "DELETE":
                kept.clear()
        return Answer(200, found)

    def _reply(self, result: Answer) -> None:
        self.send_response(result.status)
        self.send_header("x-vpai-lab", BANNER)
        for name, value in result.headers.items():
            self.send_header(name, value)
        if result.events:
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for event in result.events:
                data = event.encode()
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            return
        if result.status == 204:
            self.end_headers()
            return
        data = json.dumps(result.document).encode()
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are logged as JSON above."""


class Server(ThreadingHTTPServer):
    """A client that gives up is no error here, nor is a failed TLS handshake: it is the client's to report."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, tls: ssl.SSLContext | None, answer: Callable[[Request], Answer] = answer) -> None:
        """Without `tls` only this machine may ask."""
        super().__init__(("0.0.0.0" if tls else "127.0.0.1", port), Handler)
        self._tls, self.answer, self.scheme = tls, answer, "https" if tls else "http"

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the request's own thread: a slow handshake must not hold up the others.
        request.settimeout(120)
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        with self._tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        print(json.dumps({"client": client_address[0], "error": str(sys.exc_info()[1])}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--names-port", type=int, required=True, help="where OVH's name servers answer, on this machine")
    arguments = parser.parse_args()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(arguments.certificate, arguments.key)
    ovh.serve_names(OVH, arguments.names_port)
    print(json.dumps({"banner": BANNER, "port": arguments.port, "hosts": sorted(SHAPES)}), flush=True)
    Server(arguments.port, tls).serve_forever()


if __name__ == "__main__":
    main()
