"""The stand-in of the model providers and Telegram: each provider's own form, key and refusal."""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from lab.layout import PROVIDERS
from lab.providers import script
from lab.providers.exchange import Answer, Request
from lab.providers.models import ANSWER, EMBEDDING_TOKENS, FILM_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS
from lab.providers.server import MESSAGES, SHAPES, answer, parsed
from lab.providers.telegram import Message, Telegram

SAID: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]
KEY = {"x-api-key": "any", "anthropic-version": "2023-06-01"}


def ask(
    host: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None = None, method: str = "POST", **query: str
) -> Answer:
    values = {name: [value] for name, value in query.items()}
    return answer(Request(host=host, method=method, path=path, query=values, headers=headers, body=dict(body or {})))


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
    reply = ask(host, path, BEARER, {"model": "m", "messages": SAID})
    assert data(reply)["choices"][0]["message"]["content"] == ANSWER
    assert data(reply)["usage"]["prompt_tokens"] == INPUT_TOKENS


def test_streamed_chat_adds_up_to_the_answer_and_tells_usage_when_asked() -> None:
    body = {"model": "m", "messages": SAID, "stream": True, "stream_options": {"include_usage": True}}
    reply = ask("api.openai.com", "/v1/chat/completions", BEARER, body)
    chunks = events(reply)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]) == ANSWER
    assert chunks[-1]["usage"]["completion_tokens"] == OUTPUT_TOKENS
    assert reply.events[-1] == "data: [DONE]\n\n"


def test_streamed_chat_keeps_usage_to_itself_unasked() -> None:
    reply = ask("api.openai.com", "/v1/chat/completions", BEARER, {"model": "m", "messages": SAID, "stream": True})
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
    reply = ask("api.anthropic.com", "/v1/messages", KEY, {"model": "claude", "max_tokens": 9, "messages": SAID})
    assert data(reply)["content"][0]["text"] == ANSWER
    assert data(reply)["usage"] == {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}


def test_streamed_messages() -> None:
    body = {"model": "claude", "max_tokens": 9, "messages": SAID, "stream": True}
    types = [event["type"] for event in events(ask("api.anthropic.com", "/v1/messages", KEY, body))]
    assert types[0] == "message_start"
    assert types[-2:] == ["message_delta", "message_stop"]


@pytest.mark.parametrize(("key", "query"), [({"x-goog-api-key": "any"}, {}), ({}, {"key": "any"})])
def test_gemini_takes_its_key_from_the_header_or_the_query(key: dict[str, str], query: dict[str, str]) -> None:
    reply = ask(
        "generativelanguage.googleapis.com", "/v1beta/models/gemini-2.0-flash:generateContent", key, {"contents": []}, **query
    )
    assert data(reply)["candidates"][0]["content"]["parts"][0]["text"] == ANSWER
    assert data(reply)["modelVersion"] == "gemini-2.0-flash"


def test_web_search() -> None:
    reply = ask("api.search.brave.com", "/res/v1/web/search", {"x-subscription-token": "any"}, method="GET", q="lab")
    assert data(reply)["web"]["results"]


@pytest.mark.parametrize("key", ["", "wrong"])
@pytest.mark.parametrize(
    ("host", "path", "header", "status"),
    [
        ("api.openai.com", "/v1/chat/completions", "authorization", 401),
        ("api.anthropic.com", "/v1/messages", "x-api-key", 401),
        ("generativelanguage.googleapis.com", "/v1beta/models/m:generateContent", "x-goog-api-key", 400),
        # 422, and not the 401 that everybody expects: nearai/ironclaw#2780.
        ("api.search.brave.com", "/res/v1/web/search", "x-subscription-token", 422),
    ],
)
def test_a_missing_or_wrong_key_is_refused(host: str, path: str, header: str, status: int, key: str) -> None:
    assert ask(host, path, {header: key}, method="GET" if "brave" in host else "POST").status == status


def test_another_providers_key_header_does_not_count() -> None:
    assert ask("api.anthropic.com", "/v1/messages", BEARER).status == 401


def test_what_the_provider_does_not_have_is_not_found() -> None:
    assert data(ask("api.openai.com", "/v1/nothing", BEARER))["error"]["message"] == "Invalid URL (POST /v1/nothing)"
    reply = ask("example.test", "/v1/models", BEARER)
    assert (reply.status, "stand-in" in data(reply)["error"]["message"]) == (404, True)


BOT = "/bot123456:" + "a" * 35


@pytest.fixture
def messages() -> Iterator[deque[Message]]:
    MESSAGES.clear()
    yield MESSAGES
    MESSAGES.clear()


def test_a_message_is_kept_with_its_bot_and_chat(messages: deque[Message]) -> None:
    reply = ask("api.telegram.org", f"{BOT}/sendMessage", {}, {"chat_id": -100123, "text": "70 % of the budget"})
    assert data(reply)["ok"] is True
    assert [(kept.bot, kept.chat, kept.text) for kept in messages] == [(123456, "-100123", "70 % of the budget")]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/botwrong/sendMessage", {"chat_id": 1, "text": "a"}, 401),
        (f"{BOT}/sendMessage", {"text": "a"}, 400),
        (f"{BOT}/sendMessage", {"chat_id": "nobody", "text": "a"}, 400),
        (f"{BOT}/sendMessage", {"chat_id": 1}, 400),
        (f"{BOT}/sendNothing", {}, 404),
    ],
)
def test_telegram_refuses_in_its_own_form(path: str, body: Mapping[str, Any], status: int, messages: deque[Message]) -> None:
    reply = ask("api.telegram.org", path, {}, body)
    assert (reply.status, data(reply)["ok"], data(reply)["error_code"]) == (status, False, status)
    assert not messages


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"chat_id": "1", "text": "a b"}'),
        ("application/x-www-form-urlencoded", b"chat_id=1&text=a+b"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="chat_id"\r\n\r\n1\r\n'
            b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\na b\r\n--x--\r\n',
        ),
    ],
)
def test_a_message_comes_as_json_or_as_a_form(content_type: str, body: bytes) -> None:
    assert parsed(content_type, body) == {"chat_id": "1", "text": "a b"}


def test_texts_that_share_their_words_are_near_each_other() -> None:
    def vector(text: str) -> list[float]:
        reply = ask("api.openai.com", "/v1/embeddings", BEARER, {"model": "m", "input": [text]})
        found: list[float] = data(reply)["data"][0]["embedding"]
        return found

    def near(one: str, other: str) -> float:
        return sum(a * b for a, b in zip(vector(one), vector(other), strict=True))

    assert near("where is the town of Paris", "the town of Paris is where?") > 0.85
    assert near("where is the town of Paris", "how old is a cat") < 0.5


def test_a_film_is_a_task_that_tells_its_tokens_once_it_is_done() -> None:
    host, path = "ark.ap-southeast.bytepluses.com", "/api/v3/contents/generations/tasks"
    task = data(ask(host, path, BEARER, {"model": "seedance", "content": []}))
    film = data(answer(Request(host, "GET", f"{path}/{task['id']}", {}, BEARER, {})))
    assert film["status"] == "succeeded"
    assert film["usage"]["completion_tokens"] == FILM_TOKENS
    assert ask(host, path, {}, {"model": "seedance", "content": []}).status == 401


class TestTelegram:
    PATH = f"/bot7:{'a' * 35}/sendMessage"

    def telegram(self) -> Telegram:
        return Telegram(wrong="wrong", now=lambda: 1000.0, sleep=lambda _: None)

    @pytest.mark.parametrize(
        ("given", "status", "words"),
        [
            ({"chat_id": "1", "text": "x" * 4096}, 200, None),
            ({"chat_id": "1", "text": "x" * 4097}, 400, "Bad Request: message is too long"),
            ({"chat_id": "1", "text": "\N{PARTY POPPER}" * 2049}, 400, "Bad Request: message is too long"),
            ({"chat_id": "1", "text": " "}, 400, "Bad Request: message text is empty"),
            ({"text": "x"}, 400, "Bad Request: chat_id is empty"),
            ({"chat_id": "1", "text": "x", "parse_mode": "Text"}, 400, "Bad Request: unsupported parse_mode"),
            # Taken, and read as no mode: telegram-bot-api/Client.cpp, get_formatted_text.
            ({"chat_id": "1", "text": "x", "parse_mode": "None"}, 200, None),
        ],
    )
    def test_a_message_is_taken_or_refused_with_its_words(self, given: dict[str, Any], status: int, words: str | None) -> None:
        found, document = self.telegram().answer(self.PATH, given)
        assert (found, document.get("description")) == (status, words)

    @pytest.mark.parametrize(("chat", "most", "seconds"), [("1", 30, 1), ("-1", 20, 60)])
    def test_what_is_sent_too_often_is_to_come_again_later(self, chat: str, most: int, seconds: int) -> None:
        telegram = self.telegram()
        for _ in range(most):
            assert telegram.answer(self.PATH, {"chat_id": chat, "text": "x"})[0] == 200
        status, document = telegram.answer(self.PATH, {"chat_id": chat, "text": "x"})
        assert (status, document["parameters"]) == (429, {"retry_after": seconds})

    def test_updates_are_waited_for_as_long_as_the_bot_asks(self) -> None:
        waited: list[float] = []
        telegram = Telegram(wrong="wrong", sleep=waited.append)
        telegram.answer(f"/bot7:{'a' * 35}/getUpdates", {"timeout": 30})
        assert waited == [30.0]


class TestScript:
    ASKED: ClassVar = {"role": "user", "content": 'lab:call write {"path": "a"}\nlab:call read {"path": "a"}'}
    TOOLS: ClassVar = [{"type": "function", "function": {"name": name}} for name in ("read", "write")]

    def test_tools_are_called_in_turn_and_their_results_told(self) -> None:
        messages: list[dict[str, Any]] = [self.ASKED]
        called = []
        for result in ("written", "text"):
            said = script.reply({"messages": messages, "tools": self.TOOLS}, "none")
            called.append(said["tool_calls"][0]["function"]["name"])
            messages += [said, {"role": "tool", "content": result}]
        assert called == ["write", "read"]
        assert (
            script.reply({"messages": messages, "tools": self.TOOLS}, "none")["content"] == 'the tools said: ["written", "text"]'
        )

    def test_a_tool_that_is_not_offered_is_not_called(self) -> None:
        said = script.reply({"messages": [self.ASKED], "tools": self.TOOLS[:1]}, "none")
        assert said["content"] == "there is no tool write, but read"

    def test_anthropics_form_calls_in_turn_too_and_streams_the_input_in_parts(self) -> None:
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("read", "write")]
        messages: list[dict[str, Any]] = [self.ASKED]
        called = []
        for result in ("written", "text"):
            body = {"model": "claude", "max_tokens": 9, "messages": messages, "tools": tools}
            block = data(ask("api.anthropic.com", "/v1/messages", KEY, body))["content"][0]
            streamed = events(ask("api.anthropic.com", "/v1/messages", KEY, {**body, "stream": True}))
            parts = [event["delta"]["partial_json"] for event in streamed if event["type"] == "content_block_delta"]
            assert len(parts) > 1 and json.loads("".join(parts)) == block["input"] == {"path": "a"}
            assert streamed[-2]["delta"]["stop_reason"] == "tool_use"
            called.append(block["name"])
            given = {"type": "tool_result", "tool_use_id": block["id"], "content": [{"type": "text", "text": result}]}
            messages += [{"role": "assistant", "content": [block]}, {"role": "user", "content": [given]}]
        assert called == ["write", "read"]
        body = {"model": "claude", "max_tokens": 9, "messages": messages, "tools": tools}
        assert data(ask("api.anthropic.com", "/v1/messages", KEY, body))["content"][0]["text"] == (
            'the tools said: ["written", "text"]'
        )

    def test_where_no_call_is_asked_for_the_answer_is_the_fixed_one(self) -> None:
        assert script.reply({"messages": [{"role": "user", "content": "hello"}]}, "fixed")["content"] == "fixed"
