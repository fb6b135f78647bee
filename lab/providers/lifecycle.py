"""In front of versitygw, the lab's S3: keeps the lifecycle rules of buckets, which versitygw answers with 501 NotImplemented.

All is passed on as it came, signatures included, and versitygw decides who may do what; only its 501 about lifecycle rules
is answered here. Known differences: it checks who somebody is before its 501 but not what a policy says, so every account may
change rules; rules are kept word for word and expire nothing. moto, whom tests/engine/test_buckets.py asks, reads them.
Which rules are taken, with sources: contracts/fsn1.your-objectstorage.com.json.
"""

import argparse
import http.client
import re
import shutil
import ssl
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab.providers.api import Api, Refused

_NOT_PASSED_ON = {"expect", "connection", "keep-alive"}
API = Api.of("fsn1.your-objectstorage.com")
_CHUNK = 1 << 20


class Gateway(ThreadingHTTPServer):
    """Listens at `listen`; versitygw is at `behind`, and speaks TLS exactly when this does."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, listen: tuple[str, int], behind: tuple[str, int], rules: Path, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(listen, _Handler)
        self.behind, self.rules, self.tls = behind, rules, tls
        rules.mkdir(parents=True, exist_ok=True)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the request's own thread: a slow handshake must not hold up the others.
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def connect(self) -> http.client.HTTPConnection:
        if self.tls is None:
            return http.client.HTTPConnection(*self.behind, timeout=120)
        trusted = ssl.create_default_context()
        trusted.check_hostname = False  # it is asked on loopback, under its public name's certificate
        return http.client.HTTPSConnection(*self.behind, timeout=120, context=trusted)

    def handle_error(self, request: Any, client_address: Any) -> None:
        print(f"{client_address[0]}: {sys.exc_info()[1]}", flush=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Gateway

    def handle_expect_100(self) -> bool:
        """At once: a client waits a second for it before each upload."""
        expected = super().handle_expect_100()
        self.wfile.flush()
        return expected

    def _serve(self) -> None:
        target = urlsplit(self.path)
        about_rules = re.search(r"(^|&)lifecycle(=|&|$)", target.query) is not None
        length = int(self.headers.get("content-length") or 0)
        # Rules are a page of XML; an object may be larger than memory.
        document = self.rfile.read(length) if about_rules else b""
        connection = self.server.connect()
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _NOT_PASSED_ON:
                    connection.putheader(name, value)
            connection.endheaders()
            if about_rules:
                connection.send(document)
            else:
                self._pass_on(connection, length)
            answer = connection.getresponse()
            if about_rules and answer.status == http.HTTPStatus.NOT_IMPLEMENTED:
                answer.read()
                self._answer(self.server.rules / target.path.strip("/").partition("/")[0], document)
                return
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in (*_NOT_PASSED_ON, "transfer-encoding"):
                    self.send_header(name, value)
            body = b"" if answer.length is not None or self.command == "HEAD" else answer.read()
            if answer.length is None and self.command != "HEAD":
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            if answer.length is not None and self.command != "HEAD":
                shutil.copyfileobj(answer, self.wfile, _CHUNK)
        finally:
            connection.close()

    def _pass_on(self, connection: http.client.HTTPConnection, length: int) -> None:
        while length and (data := self.rfile.read(min(length, _CHUNK))):
            connection.send(data)
            length -= len(data)

    def _answer(self, kept: Path, document: bytes) -> None:
        """What an S3 with lifecycle rules says; who asks is known."""
        if refused := refusal(self.command, document):
            self._refuse(refused)
        elif self.command == "PUT":
            kept.write_bytes(document)
            self._reply(200)
        elif self.command == "DELETE":
            kept.unlink(missing_ok=True)
            self._reply(204)
        elif kept.exists():
            self._reply(200, kept.read_bytes(), {"content-type": "application/xml"})
        else:
            self._refuse(API.refusal("absent"))

    def _refuse(self, refused: Refused) -> None:
        error = f"<Error><Code>{refused.words}</Code><Message>{refused.words}</Message></Error>"
        body = f'<?xml version="1.0" encoding="UTF-8"?>{error}'.encode()
        self._reply(refused.status, body, {"content-type": "application/xml"})

    def _reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *arguments: object) -> None:
        """versitygw logs what is asked."""


def refusal(method: str, document: bytes) -> Refused | None:
    """What S3 says of a request about lifecycle rules; None where it takes it."""
    if method != "PUT":
        return API.unless("lifecycle", method)
    try:
        root = ElementTree.fromstring(document)  # noqa: S314 - of the lab's own clients
    except ElementTree.ParseError:
        return API.refusal("elements")
    names = [element.tag.rpartition("}")[2] for element in root.iter()]
    return API.unless("elements", *names) or API.beyond("rules", names.count("Rule"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--behind", type=int, required=True, help="versitygw's port on this machine")
    parser.add_argument("--rules", type=Path, required=True, help="directory that keeps the rules")
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    arguments = parser.parse_args()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(arguments.certificate, arguments.key)
    Gateway(("0.0.0.0", arguments.port), ("127.0.0.1", arguments.behind), arguments.rules, tls).serve_forever()


if __name__ == "__main__":
    main()
