"""Requests to a stack's sites, its own certificate authority trusted and redirects left to the reader."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping

from operations.stack import PROJECT, Stack

_SECONDS = 15
_NONE: Mapping[str, str] = {}


def fetch(
    stack: Stack, url: str, *, method: str = "", headers: Mapping[str, str] = _NONE, body: bytes | None = None
) -> tuple[int, bytes]:
    """Status and body of what `url` answers; raises `OSError` when nobody does."""
    authority = stack.inputs.settings.certificate_authority
    context = ssl.create_default_context(cafile=str(PROJECT / authority / "root.crt") if authority else None)
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, body, dict(headers), method=method or None)  # noqa: S310
    try:
        with opener.open(request, timeout=_SECONDS) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None
