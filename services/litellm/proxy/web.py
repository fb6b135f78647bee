"""JSON over HTTP with what Python brings: the image has more, but nothing that both of its versions promise to keep."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any


async def ask(method: str, url: str, body: object, headers: Mapping[str, str], seconds: float) -> Any:
    """The JSON document that `url` answers; an exception for anything else, after at most `seconds`."""
    status, document = await exchange(method, url, body, headers, seconds)
    if status >= 400:
        raise ConnectionError(f"status {status}")
    return document


async def exchange(method: str, url: str, body: object, headers: Mapping[str, str], seconds: float) -> tuple[int, Any]:
    """The status and the JSON document that `url` answers, an error's too; no `body` is sent when it is None."""

    def run() -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            try:
                return error.code, json.loads(text)
            except ValueError:
                return error.code, {"error": {"message": text}}

    # Looking up a name obeys no timeout of a socket.
    return await asyncio.wait_for(asyncio.to_thread(run), seconds)
