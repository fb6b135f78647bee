"""A request as a stand-in sees it, and its answer."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What a client asked, as far as an answer depends on it."""

    host: str
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Json
    data: bytes = b""
    """The body as it came."""
    url: str = ""
    """The whole one, as it was asked."""

    @property
    def model(self) -> str:
        in_path = re.search(r"/models/([^/:]+)", self.path)
        return str(self.body.get("model") or (in_path[1] if in_path else ""))

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ").strip()


@dataclass(frozen=True)
class Answer:
    """A JSON document, or with `events` a stream of server-sent events; neither with status 204."""

    status: int
    document: Any = None
    events: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


Shape = Callable[[Request], Answer | None]
"""Answers a request in one provider's form; None for a path that the provider does not have."""
