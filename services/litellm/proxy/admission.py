"""Which of LiteLLM's paths are served: those whose price the hook counts, and those by which nothing is billed.

LiteLLM has some four hundred paths. Many call a provider in ways that no hook sees (files, batches, pictures, GET /health, which
asks every model), or change what is called (pass-through endpoints): they are closed, and so is what a new version adds.
"""

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]


class Verdict(StrEnum):
    """What becomes of a request."""

    COUNTED = "counted"
    """Its price is reserved before, and booked after."""
    FREE = "free"
    """No provider bills it."""
    CLOSED = "closed"


_COUNTED = (
    r"POST (/v1)?/(chat/completions|completions|embeddings|responses)",
    r"POST /v1/messages",
    r"POST (/v1)?/search/[^/]+",
    r"POST /byteplus/api/v3/contents/generations/tasks",
)
_FREE = (
    r"POST /v1/messages/count_tokens",  # Anthropic bills no counting
    r"GET /byteplus/api/v3/contents/generations/tasks/[^/]+",
    r"GET (/v1)?/models(/[^/]+)?",
    r"GET (/v1|/v2)?/model/info",
    r"GET /model_group/info",
    r"GET /health/(liveliness|liveness|readiness|license)",
    r"GET /(budget/metrics|provider/budgets|routes|active/callbacks|in_product_nudges|robots\.txt|favicon\.ico|settings)",
    # The interface, who may use it, and what they have spent.
    r"GET /(docs|redoc|openapi\.json|get_image|get_favicon)?",
    r"GET /(ui|swagger|public|get|litellm-asset-prefix)(/.*)?",
    r"GET (/litellm)?/\.well-known/litellm-ui-config",
    r"(GET|POST) (/v2)?/(login|logout)",
    r"(GET|POST) /(sso|onboarding|invitation)/.+",
    r"(GET|POST|PUT|PATCH|DELETE) /(key|user|team|organization|customer|budget|tag|access_group)/.+",
    r"GET /v2/team/list",
    r"GET /(spend|global|audit|activity)(/.*)?",
)
_OPEN = {Verdict.COUNTED: re.compile("|".join(_COUNTED)), Verdict.FREE: re.compile("|".join(_FREE))}
_CLOSED = ("/key/health",)
"""It asks LiteLLM's log receivers."""
_SAID = (
    "This path is closed: what it costs would not be counted against the budget, or it changes how LiteLLM runs. "
    "Use /v1/chat/completions, /v1/messages, /v1/responses, /v1/embeddings or /v1/search."
)


def verdict(method: str, path: str) -> Verdict:
    """What becomes of a request; a HEAD is a GET, and an OPTIONS asks whether it may be made."""
    if path in _CLOSED:
        return Verdict.CLOSED
    asked = f"{'GET' if method == 'HEAD' else method} {path}"
    for kind, pattern in _OPEN.items():
        if pattern.fullmatch(asked) or (method == "OPTIONS" and pattern.fullmatch(f"POST {path}")):
            return kind
    return Verdict.CLOSED


@dataclass
class Served:
    """A request while it is answered: what was reserved for it, by call id, and how many bytes its client was sent."""

    identities: list[str] = field(default_factory=list)
    sent: int = 0
    retry_after: int = 0
    """Of a refusal: seconds. LiteLLM 1.81.3 leaves the header out where it answers as Anthropic does."""


SERVED: ContextVar[Served | None] = ContextVar("served", default=None)
"""The request that whatever runs now belongs to."""


class IngressSettings:
    """In front of the whole application: a request on a closed path never reaches it, and `ended` hears of the end of others.

    However that comes: an answer, an error, or a client that has left.
    """

    def __init__(self, inside: Application, ended: Callable[[Served], None]) -> None:
        self._inside = inside
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Hand on, or refuse with 403."""
        if scope["type"] == "lifespan":
            await self._inside(scope, receive, send)
        elif scope["type"] == "http" and verdict(scope["method"], scope["path"]) is not Verdict.CLOSED:
            await self._serve(scope, receive, send)
        elif scope["type"] == "http":
            body = json.dumps({"error": {"message": _SAID, "type": "closed", "param": None, "code": "403"}}).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "closed"})

    async def _serve(self, scope: Scope, receive: Any, send: Any) -> None:
        request = Served()

        async def sending(message: MutableMapping[str, Any]) -> None:
            request.sent += len(message.get("body", b""))
            if message.get("status") == 429 and request.retry_after and b"retry-after" not in dict(message["headers"]):
                message = {**message, "headers": [*message["headers"], (b"retry-after", str(request.retry_after).encode())]}
            await send(message)

        before = SERVED.set(request)
        try:
            await self._inside(scope, receive, sending)
        finally:
            SERVED.reset(before)
            self._ended(request)


def close(app: Any, ended: Callable[[Served], None]) -> None:
    """Put the door in front of a Starlette application, be it running already."""
    app.middleware_stack = IngressSettings(app.middleware_stack or app.build_middleware_stack(), ended)
