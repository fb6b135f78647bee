"""Stands in for the model providers: their paths, their authentication, their answers' shapes, with fixed token counts.

Every answer says in a header that it is no real model's. `GET /__lab/requests` tells tests what was asked.
"""

import argparse
import json
import re
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

INPUT_TOKENS, OUTPUT_TOKENS, EMBEDDING_TOKENS = 12, 8, 5
BANNER = "stand-in of the VPAI lab, not a real provider"
ANSWER = "This answer comes from the lab, not from a model."
WRONG_KEY = "wrong"
_EMBEDDING_SIZE = 1536

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

    @property
    def model(self) -> str:
        in_path = re.search(r"/models/([^/:]+)", self.path)
        return str(self.body.get("model") or (in_path[1] if in_path else ""))

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ").strip()


@dataclass(frozen=True)
class Answer:
    """A JSON document, or with `events` a stream of server-sent events."""

    status: int
    document: Json | list[Json] | None = None
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class Logged:
    """One line of the log; never a key."""

    time: float
    host: str
    method: str
    path: str
    model: str
    stream: bool
    status: int


Shape = Callable[[Request], Answer | None]
"""Answers a request in one provider's form; None for a path that the provider does not have."""


def openai(request: Request) -> Answer | None:
    """OpenAI's API, which OpenRouter and BytePlus speak too."""
    if not _authorized(request.bearer):
        return Answer(
            401, {"error": {"message": "Incorrect API key provided", "type": "invalid_request_error", "code": "invalid_api_key"}}
        )
    model, stream = request.model, bool(request.body.get("stream"))
    if request.path.endswith("/chat/completions"):
        return Answer(200, events=tuple(_chat_chunks(request))) if stream else Answer(200, _chat(model))
    if request.path.endswith("/responses"):
        return Answer(200, events=tuple(_response_events(model))) if stream else Answer(200, _response(model))
    if request.path.endswith("/embeddings"):
        asked = request.body.get("input", "")
        texts = asked if isinstance(asked, list) else [asked]
        data = [{"object": "embedding", "index": index, "embedding": _embedding()} for index, _ in enumerate(texts)]
        usage = {"prompt_tokens": EMBEDDING_TOKENS, "total_tokens": EMBEDDING_TOKENS}
        return Answer(200, {"object": "list", "model": model, "data": data, "usage": usage})
    if request.path.endswith("/models"):
        return Answer(200, {"object": "list", "data": [{"id": "lab", "object": "model", "created": 0, "owned_by": "lab"}]})
    return None


def anthropic(request: Request) -> Answer | None:
    """Anthropic's Messages API."""
    if not _authorized(request.headers.get("x-api-key", "")):
        return Answer(401, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}})
    if request.path == "/v1/messages":
        return (
            Answer(200, events=tuple(_message_events(request.model)))
            if request.body.get("stream")
            else Answer(200, _message(request.model))
        )
    if request.path == "/v1/messages/count_tokens":
        return Answer(200, {"input_tokens": INPUT_TOKENS})
    return None


def gemini(request: Request) -> Answer | None:
    """Google's Gemini API."""
    if not _authorized(request.headers.get("x-goog-api-key", "") or request.query.get("key", [""])[0]):
        return Answer(400, {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}})
    action = request.path.rpartition(":")[2]
    if action == "generateContent":
        return Answer(200, _content(request.model))
    if action == "streamGenerateContent":
        return Answer(200, events=(_event(_content(request.model)),))
    if action == "embedContent":
        return Answer(200, {"embedding": {"values": _embedding()}})
    if action == "batchEmbedContents":
        return Answer(200, {"embeddings": [{"values": _embedding()} for _ in request.body.get("requests", [])]})
    return None


def brave(request: Request) -> Answer | None:
    """Brave's web search."""
    if not _authorized(request.headers.get("x-subscription-token", "")):
        return Answer(401, {"type": "ErrorResponse", "error": {"status": 401, "code": "SUBSCRIPTION_TOKEN_INVALID"}})
    if request.path != "/res/v1/web/search":
        return None
    result = {"title": "Lab", "url": "https://example.test/", "description": ANSWER}
    return Answer(200, {"type": "search", "web": {"type": "search", "results": [result]}})


SHAPES: Mapping[str, Shape] = {
    "api.openai.com": openai,
    "openrouter.ai": openai,
    "ark.ap-southeast.bytepluses.com": openai,
    "api.anthropic.com": anthropic,
    "generativelanguage.googleapis.com": gemini,
    "api.search.brave.com": brave,
}


def answer(request: Request) -> Answer:
    """The answer of the provider that the request names as its host."""
    shape = SHAPES.get(request.host)
    found = shape(request) if shape else None
    return found or Answer(
        404, {"error": {"message": f"the lab's {BANNER} has no {request.method} {request.host}{request.path}"}}
    )


def _authorized(key: str) -> bool:
    return bool(key) and key != WRONG_KEY


def _usage() -> Json:
    total = INPUT_TOKENS + OUTPUT_TOKENS
    return {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": total}


def _chat(model: str) -> Json:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}
    return {
        "id": "chatcmpl-lab",
        "object": "chat.completion",
        "created": _now(),
        "model": model,
        "choices": [choice],
        "usage": _usage(),
    }


def _chat_chunks(request: Request) -> Iterator[str]:
    def chunk(choices: list[Json], **more: Any) -> str:
        document = {"id": "chatcmpl-lab", "object": "chat.completion.chunk", "created": _now(), "model": request.model}
        return _event({**document, "choices": choices, **more})

    for number, word in enumerate(_words()):
        delta = {"content": word} if number else {"role": "assistant", "content": word}
        yield chunk([{"index": 0, "delta": delta, "finish_reason": None}])
    yield chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
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


def _message(model: str) -> Json:
    return {
        "id": "msg_lab",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": ANSWER}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
    }


def _message_events(model: str) -> Iterator[str]:
    start = {**_message(model), "content": [], "stop_reason": None, "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 0}}
    events: list[Json] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in _words()),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
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


def _embedding() -> list[float]:
    return [1.0] + [0.0] * (_EMBEDDING_SIZE - 1)


def _words() -> list[str]:
    return re.findall(r"\S+\s*", ANSWER)


def _event(document: Json, name: str = "") -> str:
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(document)}\n\n"


def _now() -> int:
    return int(time.time())


LOG: deque[Logged] = deque(maxlen=10_000)
_LOG_LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """HTTP around `answer`, and the log."""

    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        target = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        try:
            body = json.loads(self.rfile.read(length) or b"{}")
        except ValueError:
            body = {}
        if target.path.startswith("/__lab/"):
            self._reply(self._about(target.path))
            return
        request = Request(
            host=self.headers.get("host", "").partition(":")[0].lower(),
            method=self.command,
            path=target.path,
            query=parse_qs(target.query),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body if isinstance(body, dict) else {},
        )
        result = answer(request)
        logged = Logged(
            time.time(), request.host, request.method, request.path, request.model, bool(result.events), result.status
        )
        with _LOG_LOCK:
            LOG.append(logged)
        print(json.dumps(asdict(logged)), flush=True)
        self._reply(result)

    def _about(self, path: str) -> Answer:
        if path == "/__lab/health":
            return Answer(200, {"banner": BANNER})
        if path != "/__lab/requests":
            return Answer(404, {"error": f"no {path}; there are /__lab/health and /__lab/requests (GET, DELETE)"})
        with _LOG_LOCK:
            found = [asdict(entry) for entry in LOG]
            if self.command == "DELETE":
                LOG.clear()
        return Answer(200, found)

    def _reply(self, result: Answer) -> None:
        self.send_response(result.status)
        self.send_header("x-vpai-lab", BANNER)
        if result.events:
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for event in result.events:
                data = event.encode()
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            return
        data = json.dumps(result.document).encode()
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are logged as JSON above."""


class Server(ThreadingHTTPServer):
    """A client that gives up is no error here, nor is a failed TLS handshake: it is the client's to report."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(("0.0.0.0", port), Handler)
        self._tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the request's own thread: a slow handshake must not hold up the others.
        request.settimeout(120)
        with self._tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        print(json.dumps({"client": client_address[0], "error": str(sys.exc_info()[1])}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    arguments = parser.parse_args()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(arguments.certificate, arguments.key)
    print(json.dumps({"banner": BANNER, "port": arguments.port, "hosts": sorted(SHAPES)}), flush=True)
    Server(arguments.port, tls).serve_forever()


if __name__ == "__main__":
    main()
