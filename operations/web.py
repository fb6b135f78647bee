"""HTTP requests to a stack's sites and public APIs. The stack's certificate authority is trusted too; no redirect is followed."""

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import partial

from operations.stack import PROJECT, Stack

_SECONDS = 15
_NONE: Mapping[str, str] = {}


def fetch(
    stack: Stack,
    url: str,
    *,
    method: str = "",
    headers: Mapping[str, str] = _NONE,
    body: bytes | None = None,
    at: str = "",
) -> tuple[int, bytes]:
    """Status and body of the answer of `url`; raises `OSError` when there is none.

    `at` is the address to connect to, instead of the one that the name resolves to.
    """
    authority = stack.inputs.settings.certificate_authority
    context = ssl.create_default_context()
    if authority:
        # In addition to the public authorities: Telegram is called too.
        context.load_verify_locations(PROJECT / authority / "root.crt")
    opener = urllib.request.build_opener(_NoRedirect, _At(at, context) if at else urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, body, dict(headers), method=method or None)  # noqa: S310
    try:
        with opener.open(request, timeout=_SECONDS) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class _At(urllib.request.HTTPSHandler):
    """Like `curl --resolve`: connects to `at`, with the site's own name and certificate."""

    def __init__(self, at: str, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._at, self._trusted = at, context

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Connection, self._at), request, context=self._trusted)


class _Connection(http.client.HTTPSConnection):
    def __init__(self, at: str, host: str, *, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(host, timeout=timeout, context=context)
        self._at, self._trusted = at, context

    def connect(self) -> None:
        plain = socket.create_connection((self._at, self.port), self.timeout)
        self.sock = self._trusted.wrap_socket(plain, server_hostname=self.host)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None
