"""The model providers' stand-in: each provider's own form, key and refusal."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from lab.layout import PROVIDERS
from lab.providers.server import ANSWER, EMBEDDING_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, SHAPES, Answer, Request, answer


def ask(host: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None = None, **query: str) -> Answer:
    values = {name: [value] for name, value in query.items()}
    return answer(Request(host=host, method="POST", path=path, query=values, headers=headers, body=dict(body or {})))


def data(reply: Answer) -> dict[str, Any]:
    assert isinstance(reply.document, dict)
    return reply.document


def events(reply: Answer) -> list[dict[str, Any]]:
    """The JSON documents of a stream."""
    lines = [line.removeprefix("data: ") for event in reply.events for line in event.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


BEARER = {"authorization": "Bearer sk-any"}


def test_every_name_of_the_lab_has_a_provider() -> None:
    assert set(SHAPES) == set(PROVIDERS)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("api.openai.com", "/v1/chat/completions"),
        ("openrouter.ai", "/api/v1/chat/completions"),
        ("ark.ap-southeast.bytepluses.com", "/api/v3/chat/completions"),
    ],
)
def test_chat(host: str, path: str) -> None:
    reply = ask(host, path, BEARER, {"model": "m"})
    assert data(reply)["choices"][0]["message"]["content"] == ANSWER
    assert data(reply)["usage"]["prompt_tokens"] == INPUT_TOKENS


def test_streamed_chat_adds_up_to_the_answer_and_tells_usage_when_asked() -> None:
    body = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
    reply = ask("api.openai.com", "/v1/chat/completions", BEARER, body)
    chunks = events(reply)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]) == ANSWER
    assert chunks[-1]["usage"]["completion_tokens"] == OUTPUT_TOKENS
    assert reply.events[-1] == "data: [DONE]\n\n"


def test_streamed_chat_keeps_usage_to_itself_unasked() -> None:
    reply = ask("api.openai.com", "/v1/chat/completions", BEARER, {"model": "m", "stream": True})
    assert all("usage" not in chunk for chunk in events(reply))


def test_embeddings_one_for_each_text() -> None:
    reply = ask("api.openai.com", "/v1/embeddings", BEARER, {"model": "m", "input": ["a", "b"]})
    assert len(data(reply)["data"]) == 2
    assert data(reply)["usage"]["total_tokens"] == EMBEDDING_TOKENS


def test_responses() -> None:
    body = {"model": "codex-mini-latest", "stream": True}
    completed = events(ask("api.openai.com", "/v1/responses", BEARER, body))[-1]
    assert completed["type"] == "response.completed"
    assert completed["response"]["output"][0]["content"][0]["text"] == ANSWER


def test_messages() -> None:
    reply = ask("api.anthropic.com", "/v1/messages", {"x-api-key": "any"}, {"model": "claude"})
    assert data(reply)["content"][0]["text"] == ANSWER
    assert data(reply)["usage"] == {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}


def test_streamed_messages() -> None:
    body = {"model": "claude", "stream": True}
    types = [event["type"] for event in events(ask("api.anthropic.com", "/v1/messages", {"x-api-key": "any"}, body))]
    assert types[0] == "message_start"
    assert types[-2:] == ["message_delta", "message_stop"]


@pytest.mark.parametrize(("key", "query"), [({"x-goog-api-key": "any"}, {}), ({}, {"key": "any"})])
def test_gemini_takes_its_key_from_the_header_or_the_query(key: dict[str, str], query: dict[str, str]) -> None:
    reply = ask("generativelanguage.googleapis.com", "/v1beta/models/gemini-2.0-flash:generateContent", key, None, **query)
    assert data(reply)["candidates"][0]["content"]["parts"][0]["text"] == ANSWER
    assert data(reply)["modelVersion"] == "gemini-2.0-flash"


def test_web_search() -> None:
    reply = ask("api.search.brave.com", "/res/v1/web/search", {"x-subscription-token": "any"})
    assert data(reply)["web"]["results"]


@pytest.mark.parametrize("key", ["", "wrong"])
@pytest.mark.parametrize(
    ("host", "path", "header", "status"),
    [
        ("api.openai.com", "/v1/chat/completions", "authorization", 401),
        ("api.anthropic.com", "/v1/messages", "x-api-key", 401),
        ("generativelanguage.googleapis.com", "/v1beta/models/m:generateContent", "x-goog-api-key", 400),
        ("api.search.brave.com", "/res/v1/web/search", "x-subscription-token", 401),
    ],
)
def test_a_missing_or_wrong_key_is_refused(host: str, path: str, header: str, status: int, key: str) -> None:
    assert ask(host, path, {header: key}).status == status


def test_another_providers_key_header_does_not_count() -> None:
    assert ask("api.anthropic.com", "/v1/messages", BEARER).status == 401


@pytest.mark.parametrize(("host", "path"), [("api.openai.com", "/v1/nothing"), ("example.test", "/v1/models")])
def test_what_the_provider_does_not_have_is_not_found(host: str, path: str) -> None:
    reply = ask(host, path, BEARER)
    assert reply.status == 404
    assert "stand-in" in data(reply)["error"]["message"]
