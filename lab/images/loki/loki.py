"""Loki's push and query addresses: lines kept in /loki, found by labels and by what they contain."""

import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from standin import Refused, Reply, Request

from lab.contract import Contract, keys

_CONTRACT = Contract.load(Path(__file__).with_name("contract.json"))
_KEPT = 50_000
_FILE = Path("/loki/lines.jsonl")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_FILTER = re.compile(r'(\|=|!=|\|~|!~)\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)')


@dataclass(frozen=True)
class Line:
    """One line of a log; `at` in nanoseconds."""

    at: int
    labels: Mapping[str, str]
    text: str


_LINES: deque[Line] = deque(maxlen=_KEPT)
_LOCK = threading.Lock()


def start(arguments: list[str]) -> None:
    """Refuse a wrong configuration; then what was kept before a restart."""
    [file] = [argument.partition("=")[2] for argument in arguments if "config.file" in argument]
    if refused := list(wrong(json.loads(Path(file).read_text()))):
        raise Refused("; ".join(refused))
    if _FILE.exists():
        _LINES.extend(Line(**json.loads(line)) for line in _FILE.read_text().splitlines())
        _FILE.write_text("".join(json.dumps(asdict(line)) + "\n" for line in _LINES))


def wrong(settings: object) -> Iterator[str]:
    """What is wrong in Loki's configuration."""
    return _CONTRACT.refused("keys", keys(settings))


def refused(lines: list["Line"], now: float) -> str:
    """Why Loki takes none of these lines; empty where it takes them."""
    for line in lines:
        for limit, number in (
            ("label names", len(line.labels)),
            ("bytes of a line", len(line.text.encode())),
            ("seconds of age", now - line.at / 1e9),
        ):
            for refusal in _CONTRACT.beyond(limit, number):
                return refusal
    return ""


def answer(request: Request) -> Reply | None:
    asked = request.query
    match request.path:
        case "/loki/api/v1/push" if request.method == "POST":
            if "json" not in request.headers.get("content-type", ""):
                return Reply.text("this stand-in takes application/json, no snappy-compressed protobuf", 415)
            for refusal in _CONTRACT.refused("encodings", [request.headers.get("content-encoding", "")]):
                return Reply.text(refusal, 400)
            lines = list(_streams(request.document))
            if refusal := refused(lines, time.time()):
                return Reply.text(refusal, 400)
            _push(lines)
            return Reply(204)
        case "/loki/api/v1/labels":
            return _success(sorted({name for line in _all() for name in line.labels}))
        case path if found := re.fullmatch(r"/loki/api/v1/label/(\w+)/values", path):
            return _success(sorted({line.labels[found[1]] for line in _all() if found[1] in line.labels}))
        case "/loki/api/v1/query_range" | "/loki/api/v1/query":
            begin, end = (_nanoseconds(asked.get(name, [""])[0]) for name in ("start", "end"))
            lines = [line for line in _all() if begin <= line.at <= (end or line.at) and _matches(asked["query"][0], line)]
            limit = int(asked.get("limit", ["100"])[0])
            return _success({"resultType": "streams", "result": _result(lines[-limit:])})
    return None


def samples() -> str:
    return f"# TYPE loki_distributor_lines_received_total counter\nloki_distributor_lines_received_total {len(_LINES)}\n"


def _streams(document: dict[str, list[dict[str, object]]]) -> Iterator[Line]:
    for stream in document["streams"]:
        labels, values = stream["stream"], stream["values"]
        assert isinstance(labels, dict) and isinstance(values, list)
        yield from (Line(int(value[0]), labels, value[1]) for value in values)


def _push(lines: list[Line]) -> None:
    with _LOCK, _FILE.open("a") as kept:
        _LINES.extend(lines)
        kept.writelines(json.dumps(asdict(line)) + "\n" for line in lines)


def _all() -> list[Line]:
    with _LOCK:
        return list(_LINES)


def _matches(query: str, line: Line) -> bool:
    """LogQL's stream selector and line filters; pipelines are not known here."""
    selector, _, pipeline = query.partition("}")
    for name, operator, wanted in _MATCHER.findall(selector):
        value = line.labels.get(name, "")
        same = bool(re.fullmatch(wanted, value)) if "~" in operator else value == wanted
        if same == operator.startswith("!"):
            return False
    for operator, quoted, raw in _FILTER.findall(pipeline):
        wanted = raw or quoted.replace('\\"', '"').replace("\\\\", "\\")
        same = bool(re.search(wanted, line.text)) if "~" in operator else wanted in line.text
        if same == operator.startswith("!"):
            return False
    return True


def _result(lines: list[Line]) -> list[dict[str, object]]:
    streams: dict[str, list[Line]] = {}
    for line in lines:
        streams.setdefault(json.dumps(line.labels, sort_keys=True), []).append(line)
    return [{"stream": found[0].labels, "values": [[str(line.at), line.text] for line in found]} for found in streams.values()]


def _nanoseconds(given: str) -> int:
    """Nanoseconds or seconds since the epoch; 0 when nothing was given."""
    if not given:
        return 0
    number = float(given)
    return int(number) if number > time.time() * 1000 else int(number * 1e9)


def _success(data: object) -> Reply:
    return Reply.of({"status": "success", "data": data})
