"""Which of LiteLLM's paths are served. Against the real one's table of routes: tests/lab/test_litellm_budget.py."""

import asyncio
from typing import Any

import pytest

from services.litellm.proxy.admission import SERVED, IngressSettings, Verdict, close, verdict


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/chat/completions", Verdict.COUNTED),
        ("POST", "/chat/completions", Verdict.COUNTED),
        ("POST", "/v1/messages", Verdict.COUNTED),
        ("POST", "/v1/responses", Verdict.COUNTED),
        ("POST", "/v1/search/brave-search", Verdict.COUNTED),
        ("GET", "/v1/models", Verdict.FREE),
        ("HEAD", "/v1/models", Verdict.FREE),
        ("GET", "/budget/metrics", Verdict.FREE),
        ("POST", "/login", Verdict.FREE),
        ("GET", "/health/readiness", Verdict.FREE),
        ("GET", "/health", Verdict.CLOSED),
        ("GET", "/health/", Verdict.CLOSED),
        ("GET", "/key/health", Verdict.CLOSED),
        ("POST", "/v1/images/generations", Verdict.CLOSED),
        ("POST", "/v1/batches", Verdict.CLOSED),
        ("POST", "/openai/deployments/gpt-4o/chat/completions", Verdict.CLOSED),
        ("POST", "/engines/gpt-4o/chat/completions", Verdict.CLOSED),
        ("POST", "/anthropic/v1/messages", Verdict.CLOSED),
        ("POST", "//v1/chat/completions", Verdict.CLOSED),
        ("POST", "/v1/chat/completions/", Verdict.CLOSED),
        ("POST", "/v1/chat/completions\n", Verdict.CLOSED),
        ("POST", "/v1/models", Verdict.CLOSED),
        ("POST", "/model/new", Verdict.CLOSED),
        ("POST", "/config/pass_through_endpoint", Verdict.CLOSED),
        ("GET", "/cache/ping", Verdict.CLOSED),
        ("POST", "/utils/transform_request", Verdict.CLOSED),
        ("DELETE", "/v1/chat/completions", Verdict.CLOSED),
    ],
)
def test_a_path_is_counted_free_or_closed(method: str, path: str, expected: Verdict) -> None:
    assert verdict(method, path) is expected


class _Application:
    """As Starlette's, as far as the door is concerned."""

    def __init__(self) -> None:
        self.middleware_stack: Any = None
        self.reached: list[str] = []

    def build_middleware_stack(self) -> Any:
        async def inside(scope: Any, receive: Any, send: Any) -> None:
            self.reached.append(scope["path"])
            await send({"type": "http.response.start", "status": 200, "headers": []})

        return inside


def asked(kind: str, method: str, path: str) -> tuple[list[str], list[dict[str, Any]]]:
    """What got inside, and what was answered."""
    app, sent = _Application(), []
    close(app, lambda _: None)

    async def receive() -> dict[str, str]:
        return {"type": f"{kind}.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app.middleware_stack({"type": kind, "method": method, "path": path}, receive, send))
    return app.reached, sent


def test_a_closed_path_never_reaches_the_application() -> None:
    assert isinstance(_closed(_Application()).middleware_stack, IngressSettings)
    assert asked("http", "POST", "/v1/messages")[0] == ["/v1/messages"]
    reached, sent = asked("http", "GET", "/health")
    assert (reached, sent[0]["status"]) == ([], 403)
    assert b"/v1/chat/completions" in sent[1]["body"]


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/chat/completions", "/vertex_ai/live"])
def test_no_websocket_is_served(path: str) -> None:
    reached, sent = asked("websocket", "", path)
    assert reached == []
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "closed"}]


def _closed(app: _Application) -> _Application:
    close(app, lambda _: None)
    return app


@pytest.mark.parametrize(
    ("status", "given", "expected"), [(429, [], [b"7"]), (429, [(b"retry-after", b"9")], [b"9"]), (200, [], [])]
)
def test_a_refusal_says_when_to_come_again_whatever_form_it_is_given(
    status: int, given: list[tuple[bytes, bytes]], expected: list[bytes]
) -> None:
    sent: list[Any] = []

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        request = SERVED.get()
        assert request
        request.retry_after = 7
        await send({"type": "http.response.start", "status": status, "headers": given})

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(IngressSettings(inside, lambda _: None)({"type": "http", "method": "POST", "path": "/v1/messages"}, None, send))
    assert [value for name, value in sent[0]["headers"] if name == b"retry-after"] == expected
    assert SERVED.get() is None
