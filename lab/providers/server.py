"""Stands in for model providers, Telegram, Hetzner, OVH and GitHub: paths, authentication, answers' shapes, fixed token counts.

What each accepts, and in which words it refuses the rest, is in contracts/<its host>.json, with the source of each entry.
Every answer says in a header that it is no real model's. `GET /__lab/requests` tells tests what was asked, and
`PUT /__lab/troubles` lets a provider answer late or with an error: `{"api.openai.com": {"status": 500, "seconds": 0.5}}`.
"""

import argparse
import hashlib
import json
import math
import re
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from email.message import Message as Part
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lab.providers import github, hetzner, ovh, script, telegram
from lab.providers.api import Api, Refused

INPUT_TOKENS, OUTPUT_TOKENS, EMBEDDING_TOKENS, FILM_TOKENS = 12, 8, 5, 108_900
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
TELEGRAM = telegram.Telegram(wrong=WRONG_KEY)
MESSAGES = TELEGRAM.messages
_BOT = re.compile(r"/bot(\d+):([A-Za-z0-9_-]{30,})/(\w+)")


def telegram_api(request: Request) -> Answer | None:
    """Telegram's Bot API; `GET /__lab/messages` tells what was sent."""
    given = {**{name: values[0] for name, values in request.query.items()}, **request.body}
    return Answer(*TELEGRAM.answer(request.path, given, request.headers))


def hetzner_cloud(cloud: hetzner.Cloud) -> Callable[[Request], Answer]:
    """Hetzner's Cloud API, which keeps a state."""

    def shape(request: Request) -> Answer:
        reply = cloud.answer(request.method, request.path, request.query, request.headers, request.data)
        return Answer(reply.status, reply.document, headers=reply.headers)

    return shape


GITHUB = github.GitHub()


def github_api(request: Request) -> Answer | None:
    """GitHub's REST API; `GET /__lab/pulls` and `/__lab/comments` tell what was proposed and said."""
    return Answer(*GITHUB.answer(request.method, request.path, request.query, request.headers, request.body, request.data))


OVH = ovh.Ovh()


def ovh_api(request: Request) -> Answer | None:
    """OVH's API; `GET /__lab/published` tells which records came to be served."""
    return Answer(*OVH.answer(request.method, request.url, request.headers, request.data))


SHAPES: Mapping[str, Shape] = {
    "api.openai.com": openai,
    "openrouter.ai": openai,
    "ark.ap-southeast.bytepluses.com": byteplus,
    "api.anthropic.com": anthropic,
    "generativelanguage.googleapis.com": gemini,
    "api.search.brave.com": brave,
    "api.telegram.org": telegram_api,
    github.HOST: github_api,
    ovh.HOST: ovh_api,
    hetzner.HOST: hetzner_cloud(hetzner.lab_cloud()),
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


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a provider: it answers with `status` (0: as it should), `seconds` late."""

    status: int = 0
    seconds: float = 0.0


def parsed(content_type: str, data: bytes) -> Json:
    """A request's body, JSON or a form; empty when it is neither."""
    if content_type.startswith("application/x-www-form-urlencoded"):
        return {name: values[0] for name, values in parse_qs(data.decode()).items()}
    if content_type.startswith("multipart/form-data"):  # Grafana's
        message = BytesParser().parsebytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + data)
        parts = message.get_payload() if message.is_multipart() else []
        assert isinstance(parts, list)
        fields = [part for part in parts if isinstance(part, Part)]
        return {
            str(part.get_param("name", header="content-disposition")): bytes(part.get_payload(decode=True)).decode()
            for part in fields
        }
    try:
        body = json.loads(data or b"{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


LOG: deque[Logged] = deque(maxlen=10_000)
TROUBLES: dict[str, Trouble] = {}
_LOG_LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """HTTP around `answer`, and the log."""

    protocol_version = "HTTP/1.1"
    # Headers and body in one packet: in two, the client's delayed acknowledgement costs 40 ms an answer.
    wbufsize = -1
    server: "Server"

    def _serve(self) -> None:
        target = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = parsed(self.headers.get("content-type", ""), data)
        if target.path.startswith("/__lab/"):
            self._reply(self._about(target.path, body))
            return
        request = Request(
            host=self.headers.get("host", "").partition(":")[0].lower(),
            method=self.command,
            path=target.path,
            query=parse_qs(target.query),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            data=data,
            url=f"{self.server.scheme}://{self.headers.get('host', '')}{self.path}",
        )
        trouble = TROUBLES.get(request.host, Trouble())
        time.sleep(trouble.seconds)
        result = (
            Answer(trouble.status, {"error": {"message": "trouble, as asked for"}})
            if trouble.status
            else self.server.answer(request)
        )
        logged = Logged(
            time.time(),
            request.host,
            request.method,
            _BOT.sub(r"/bot\1/\3", request.path),
            request.model,
            bool(result.events),
            result.status,
        )
        with _LOG_LOCK:
            LOG.append(logged)
        print(json.dumps(asdict(logged)), flush=True)
        self._reply(result)

    def _about(self, path: str, body: Json) -> Answer:
        if path == "/__lab/health":
            return Answer(200, {"banner": BANNER})
        if path == "/__lab/troubles":
            if self.command == "PUT":
                troubles = {host: Trouble(**trouble) for host, trouble in body.items()}
                TROUBLES.clear()
                TROUBLES.update(troubles)
            return Answer(200, {host: asdict(trouble) for host, trouble in TROUBLES.items()})
        logs: Mapping[str, deque[Any]] = {
            "/__lab/requests": LOG,
            "/__lab/messages": MESSAGES,
            "/__lab/pulls": GITHUB.pulls,
            "/__lab/comments": GITHUB.comments,
            "/__lab/published": OVH.published,
        }
        kept = logs.get(path)
        if kept is None:
            there = f"/__lab/health, {', '.join(logs)} (GET, DELETE), /__lab/troubles (GET, PUT)"
            return Answer(404, {"error": f"no {path}; there are {there}"})
        with _LOG_LOCK:
            found = [asdict(entry) for entry in kept]
            if self.command == "DELETE":
                kept.clear()
        return Answer(200, found)

    def _reply(self, result: Answer) -> None:
        self.send_response(result.status)
        self.send_header("x-vpai-lab", BANNER)
        for name, value in result.headers.items():
            self.send_header(name, value)
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
        if result.status == 204:
            self.end_headers()
            return
        data = json.dumps(result.document).encode()
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are logged as JSON above."""


class Server(ThreadingHTTPServer):
    """A client that gives up is no error here, nor is a failed TLS handshake: it is the client's to report."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, tls: ssl.SSLContext | None, answer: Callable[[Request], Answer] = answer) -> None:
        """Without `tls` only this machine may ask."""
        super().__init__(("0.0.0.0" if tls else "127.0.0.1", port), Handler)
        self._tls, self.answer, self.scheme = tls, answer, "https" if tls else "http"

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the request's own thread: a slow handshake must not hold up the others.
        request.settimeout(120)
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        with self._tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        print(json.dumps({"client": client_address[0], "error": str(sys.exc_info()[1])}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--names-port", type=int, required=True, help="where OVH's name servers answer, on this machine")
    arguments = parser.parse_args()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(arguments.certificate, arguments.key)
    ovh.serve_names(OVH, arguments.names_port)
    print(json.dumps({"banner": BANNER, "port": arguments.port, "hosts": sorted(SHAPES)}), flush=True)
    Server(arguments.port, tls).serve_forever()


if __name__ == "__main__":
    main()
