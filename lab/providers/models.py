"""Model providers and Brave's search: paths, authentication, answers' shapes, fixed token counts."""

import hashlib
import json
import math
import re
import time
from collections.abc import Iterator
from typing import Any

from lab.providers import script
from lab.providers.api import Api, Refused
from lab.providers.exchange import Answer, Json, Request

INPUT_TOKENS, OUTPUT_TOKENS, EMBEDDING_TOKENS, FILM_TOKENS = 12, 8, 5, 108_900
ANSWER = "This answer comes from the lab, not from a model."
WRONG_KEY = "wrong"
_EMBEDDING_SIZE = 1536

APIS = {
    host: Api.of(host)
    for host in (
        "api.openai.com",
        "openrouter.ai",
        "ark.ap-southeast.bytepluses.com",
        "api.anthropic.com",
        "generativelanguage.googleapis.com",
        "api.search.brave.com",
    )
}
"""The contracts of the model providers; the others' are with their programs."""


def openai(request: Request) -> Answer | None:
    """OpenAI's API, which OpenRouter speaks too."""
    api = APIS[request.host]
    refused = (
        api.path(request.method, request.path)
        or (None if _authorized(request.bearer) else api.refusal("credentials"))
        or (api.body(request.method, request.path, request.body, request.headers) if request.method == "POST" else None)
        or _too_many_texts(api, request)
    )
    if refused:
        error = {"message": refused.words, "type": "invalid_request_error", "param": None, "code": refused.code or None}
        return Answer(refused.status, {"error": error})
    model, stream = request.model, bool(request.body.get("stream"))
    if request.path.endswith("/chat/completions"):
        return Answer(200, events=tuple(_chat_chunks(request))) if stream else Answer(200, _chat(request))
    if request.path.endswith("/responses"):
        return Answer(200, events=tuple(_response_events(model))) if stream else Answer(200, _response(model))
    if request.path.endswith("/embeddings"):
        data = [{"object": "embedding", "index": at, "embedding": _embedding(text)} for at, text in enumerate(_texts(request))]
        usage = {"prompt_tokens": EMBEDDING_TOKENS, "total_tokens": EMBEDDING_TOKENS}
        return Answer(200, {"object": "list", "model": model, "data": data, "usage": usage})
    if request.path.endswith("/models"):
        return Answer(200, {"object": "list", "data": [{"id": "lab", "object": "model", "created": 0, "owned_by": "lab"}]})
    return None


def _texts(request: Request) -> list[str]:
    """Those to be embedded."""
    asked = request.body.get("input", "")
    return [str(text) for text in (asked if isinstance(asked, list) else [asked])]


def _too_many_texts(api: Api, request: Request) -> Refused | None:
    return api.beyond("texts of an embedding", len(_texts(request))) if request.path.endswith("/embeddings") else None


def byteplus(request: Request) -> Answer | None:
    """BytePlus: OpenAI's API, and films as tasks, done when they are first asked for."""
    tasks = re.fullmatch(r"/api/v3/contents/generations/tasks(?:/([\w-]+))?", request.path)
    api = APIS[request.host]
    refused = api.path(request.method, request.path) or (
        api.body(request.method, request.path, request.body, request.headers) if request.method == "POST" else None
    )
    if not tasks or refused or not _authorized(request.bearer):
        return openai(request)
    if request.method == "POST":
        task = f"cgt-lab-{len(FILMS)}"
        FILMS[task] = request.model
        return Answer(200, {"id": task})
    if (task := tasks[1] or "") not in FILMS:
        unknown = api.refusal("unknown task", task)
        return Answer(unknown.status, {"error": {"code": "ResourceNotFound", "message": unknown.words}})
    film = {"id": task, "model": FILMS[task], "status": "succeeded", "content": {"video_url": "https://example.test/film.mp4"}}
    return Answer(200, {**film, "usage": {"completion_tokens": FILM_TOKENS, "total_tokens": FILM_TOKENS}})


def anthropic(request: Request) -> Answer | None:
    """Anthropic's Messages API."""
    api = APIS[request.host]
    version = request.headers.get("anthropic-version", "")
    refused = (
        api.path(request.method, request.path)
        or (None if _authorized(request.headers.get("x-api-key", "")) else api.refusal("credentials"))
        or (api.unless("versions", version) if version else api.refusal("no version"))
        or api.body(request.method, request.path, request.body, request.headers)
        or _wrong_conversation(api, request.body)
    )
    if refused:
        error = {"type": refused.code or "invalid_request_error", "message": refused.words}
        return Answer(refused.status, {"type": "error", "error": error})
    if request.path == "/v1/messages":
        stream = bool(request.body.get("stream"))
        return Answer(200, events=tuple(_message_events(request))) if stream else Answer(200, _message(request))
    return Answer(200, {"input_tokens": INPUT_TOKENS})


def _wrong_conversation(api: Api, body: Json) -> Refused | None:
    """What Anthropic refuses of messages and tools: an unknown block, a call without its result, a result without its call."""
    messages = [message for message in body.get("messages") or () if isinstance(message, dict)]
    limits: Json = {"messages": len(messages)} | {name: body[name] for name in ("max_tokens", "temperature") if name in body}
    for name, number in limits.items():
        if refused := api.beyond(name, number):
            return refused
    names = [str(tool.get("name")) for tool in body.get("tools") or ()]
    if len(set(names)) < len(names):
        return api.refusal("twice")
    called: set[str] = set()
    for at, message in enumerate(messages):
        content = message.get("content")
        given = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        kinds = [str(block.get("type")) for block in given]
        results = {str(block.get("tool_use_id")) for block in script.blocks(message, "tool_result")}
        if refused := api.unless("roles", str(message.get("role"))) or api.unless("blocks", *kinds):
            return refused
        if called - results:
            return api.refusal("without a result", str(at - 1))
        if results - called:
            return api.refusal("without a use", f"{at}.content.0")
        called = {str(block.get("id")) for block in script.blocks(message, "tool_use")}
    return api.refusal("without a result", str(len(messages) - 1)) if called else None


def gemini(request: Request) -> Answer | None:
    """Google's Gemini API."""
    api = APIS[request.host]
    known = _authorized(request.headers.get("x-goog-api-key", "") or request.query.get("key", [""])[0])
    action = request.path.rpartition(":")[2]
    asked = request.body.get("requests") or []
    refused = (
        api.path(request.method, request.path)
        or (None if known else api.refusal("credentials"))
        or api.query(request.method, request.path, request.query)
        or api.body(request.method, request.path, request.body, request.headers)
        or (api.beyond("requests of a batch", len(asked)) if action == "batchEmbedContents" else None)
    )
    if refused:
        status = "NOT_FOUND" if refused.status == 404 else "INVALID_ARGUMENT"
        return Answer(refused.status, {"error": {"code": refused.status, "message": refused.words, "status": status}})
    if action == "generateContent":
        return Answer(200, _content(request.model))
    if action == "streamGenerateContent":
        return Answer(200, events=(_event(_content(request.model)),))
    if action == "embedContent":
        return Answer(200, {"embedding": {"values": _embedding(json.dumps(request.body.get("content")))}})
    texts = [json.dumps(part.get("content")) for part in asked]
    return Answer(200, {"embeddings": [{"values": _embedding(text)} for text in texts]})


def brave(request: Request) -> Answer | None:
    """Brave's web search."""
    api = APIS[request.host]
    asked = {name: values[0] for name, values in request.query.items()}
    words = asked.get("q", "")
    refused = (
        api.path(request.method, request.path)
        or (None if _authorized(request.headers.get("x-subscription-token", "")) else api.refusal("credentials"))
        or api.query(request.method, request.path, asked)
        or (None if words else api.refusal("missing", "q"))
        or api.beyond("characters of a query", len(words))
        or api.beyond("words of a query", len(words.split()))
        or next((found for name in ("count", "offset") if (found := api.beyond(name, _whole(asked.get(name, "1"))))), None)
    )
    if refused:
        code = refused.words if refused.kind == "credentials" else "NOT_FOUND" if refused.status == 404 else "VALIDATION"
        error = {"status": refused.status, "code": code, "detail": refused.words}
        return Answer(refused.status, {"type": "ErrorResponse", "error": error})
    result = {"title": "Lab", "url": "https://example.test/", "description": ANSWER}
    return Answer(200, {"type": "search", "web": {"type": "search", "results": [result]}})


def _whole(text: str) -> int:
    """A number of a query; what is none is below every limit."""
    return int(text) if text.isdigit() else -1


FILMS: dict[str, str] = {}
"""The model of each task."""


def _authorized(key: str) -> bool:
    return bool(key) and key != WRONG_KEY


def _usage() -> Json:
    total = INPUT_TOKENS + OUTPUT_TOKENS
    return {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": total}


def _chat(request: Request) -> Json:
    said = script.reply(request.body, ANSWER)
    choice = {"index": 0, "finish_reason": "tool_calls" if said.get("tool_calls") else "stop", "message": said}
    return {
        "id": "chatcmpl-lab",
        "object": "chat.completion",
        "created": _now(),
        "model": request.model,
        "choices": [choice],
        "usage": _usage(),
    }


def _chat_chunks(request: Request) -> Iterator[str]:
    def chunk(choices: list[Json], **more: Any) -> str:
        document = {"id": "chatcmpl-lab", "object": "chat.completion.chunk", "created": _now(), "model": request.model}
        return _event({**document, "choices": choices, **more})

    said = script.reply(request.body, ANSWER)
    if calls := said.get("tool_calls"):
        delta = {"role": "assistant", "content": None, "tool_calls": [{"index": at, **call} for at, call in enumerate(calls)]}
        yield chunk([{"index": 0, "delta": delta, "finish_reason": None}])
    for number, word in enumerate(_words(said["content"] or "")):
        delta = {"content": word} if number else {"role": "assistant", "content": word}
        yield chunk([{"index": 0, "delta": delta, "finish_reason": None}])
    yield chunk([{"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}])
    if (request.body.get("stream_options") or {}).get("include_usage") or request.body.get("usage"):
        yield chunk([], usage=_usage())
    yield "data: [DONE]\n\n"


def _response(model: str) -> Json:
    content = [{"type": "output_text", "text": ANSWER, "annotations": []}]
    message = {"type": "message", "id": "msg_lab", "status": "completed", "role": "assistant", "content": content}
    usage = {
        "input_tokens": INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    return {
        "id": "resp_lab",
        "object": "response",
        "created_at": _now(),
        "status": "completed",
        "model": model,
        "output": [message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "usage": usage,
    }


def _response_events(model: str) -> Iterator[str]:
    place = {"item_id": "msg_lab", "output_index": 0, "content_index": 0}
    started = {**_response(model), "status": "in_progress", "output": [], "usage": None}
    events: list[Json] = [
        {"type": "response.created", "response": started},
        *({"type": "response.output_text.delta", **place, "delta": word} for word in _words()),
        {"type": "response.output_text.done", **place, "text": ANSWER},
        {"type": "response.completed", "response": _response(model)},
    ]
    for number, event in enumerate(events):
        yield _event({**event, "sequence_number": number}, name=str(event["type"]))


def _message(request: Request) -> Json:
    block = script.content(request.body, ANSWER)
    return {
        "id": "msg_lab",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [block],
        "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
    }


def _message_events(request: Request) -> Iterator[str]:
    message = _message(request)
    [block] = message["content"]
    start = {**message, "content": [], "stop_reason": None, "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 0}}
    if block["type"] == "tool_use":
        # The input comes as parts of its JSON: here two, so that who reads only the first is found out.
        whole = json.dumps(block["input"])
        parts = (whole[: len(whole) // 2], whole[len(whole) // 2 :])
        empty = {**block, "input": {}}
        deltas: list[Json] = [{"type": "input_json_delta", "partial_json": part} for part in parts]
    else:
        empty = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": word} for word in _words(block["text"])]
    events: list[Json] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": OUTPUT_TOKENS},
        },
        {"type": "message_stop"},
    ]
    for event in events:
        yield _event(event, name=str(event["type"]))


def _content(model: str) -> Json:
    return {
        "candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": ANSWER}]}, "finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": INPUT_TOKENS,
            "candidatesTokenCount": OUTPUT_TOKENS,
            "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
        },
        "modelVersion": model,
    }


def _embedding(text: str) -> list[float]:
    """Its words counted: texts that share most of their words are near each other."""
    vector = [0.0] * _EMBEDDING_SIZE
    for word in re.findall(r"\w+", text.lower()) or [""]:
        vector[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4]) % _EMBEDDING_SIZE] += 1.0
    length = math.hypot(*vector)
    return [number / length for number in vector]


def _words(text: str = ANSWER) -> list[str]:
    return re.findall(r"\S+\s*", text)


def _event(document: Json, name: str = "") -> str:
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(document)}\n\n"


def _now() -> int:
    return int(time.time())
