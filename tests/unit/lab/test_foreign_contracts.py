"""The foreign APIs' contracts, each broken once: another path, key, header or value, a number over its limit, a missing key."""

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from lab.contract import Contract
from lab.providers import github, hetzner, lifecycle, models, ovh, server
from lab.providers.api import CONTRACTS, Api
from lab.providers.exchange import Answer, Request
from lab.providers.telegram import Telegram

BEARER = {"authorization": "Bearer any"}
SAID = [{"role": "user", "content": "hello"}]
CALLED = {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "read", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "b", "content": "x"}]}
TOOL = {"name": "read", "input_schema": {"type": "object"}}
RULE = {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["0.0.0.0/0"]}
BOT = "/bot123456:" + "a" * 35
GROUP = "-100123"
OF_REPOSITORY = f"/repos/{github.REPOSITORY}"
RECORDS = f"/1.0/domain/zone/{ovh.ZONE}/record"

GOOD: Mapping[str, Request] = {
    request.host: request
    for request in (
        Request("api.openai.com", "POST", "/v1/chat/completions", {}, BEARER, {"model": "m", "messages": SAID}),
        Request("openrouter.ai", "POST", "/api/v1/chat/completions", {}, BEARER, {"model": "m", "messages": SAID}),
        Request(
            *("ark.ap-southeast.bytepluses.com", "POST", "/api/v3/contents/generations/tasks", {}, BEARER),
            {"model": "seedance", "content": []},
        ),
        Request(
            *("api.anthropic.com", "POST", "/v1/messages", {}, {"x-api-key": "any", "anthropic-version": "2023-06-01"}),
            {"model": "claude", "max_tokens": 9, "messages": SAID},
        ),
        Request(
            *("generativelanguage.googleapis.com", "POST", "/v1beta/models/m:generateContent", {}, {"x-goog-api-key": "any"}),
            {"contents": []},
        ),
        Request("api.search.brave.com", "GET", "/res/v1/web/search", {"q": ["lab"]}, {"x-subscription-token": "any"}, {}),
        Request("api.telegram.org", "POST", f"{BOT}/sendMessage", {}, {}, {"chat_id": "1", "text": "x"}),
        Request(
            *("api.github.com", "POST", f"{OF_REPOSITORY}/issues/7/comments", {}),
            {"authorization": "Bearer any", "user-agent": "lab"},
            {"body": "done"},
        ),
        Request(ovh.HOST, "POST", RECORDS, {}, {}, {"fieldType": "TXT", "subDomain": "a", "target": "proof"}),
        Request("api.hetzner.cloud", "POST", "/v1/firewalls", {}, {"authorization": "Bearer " + "a" * 64}, {"name": "f"}),
    )
}


@dataclass(frozen=True)
class Broken:
    """What is changed of a good request, and which part of the contract that breaks."""

    host: str
    kind: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    times: int = 1


def path(host: str, method: str = "POST", of: str = "/v9/wish") -> Broken:
    return Broken(host, "paths", {"method": method, "path": of})


def without(host: str, key: str, kind: str = "missing") -> Broken:
    return Broken(host, kind, {"body": {name: value for name, value in GOOD[host].body.items() if name != key}})


def headers(host: str, kind: str, **given: str) -> Broken:
    named = {name.replace("_", "-"): value for name, value in given.items()}
    return Broken(host, kind, {"headers": {**GOOD[host].headers, **named}})


def lacks(host: str, header: str, kind: str = "credentials") -> Broken:
    return Broken(host, kind, {"headers": {name: value for name, value in GOOD[host].headers.items() if name != header}})


OPENAI, ROUTER, ARK, CLAUDE, GEMINI, BRAVE, TELEGRAM, GITHUB, OVH, HETZNER = GOOD
EMBEDDINGS = {"path": "/v1/embeddings", "body": {"model": "m", "input": ["x"] * 2049}}
BATCH = {"path": "/v1beta/models/m:batchEmbedContents", "body": {"requests": [{}] * 101}}
CASES = (
    path(OPENAI),
    Broken(OPENAI, "keys", body={"wish": 1}),
    lacks(OPENAI, "authorization"),
    without(OPENAI, "messages"),
    without(OPENAI, "model", "missing model"),
    headers(OPENAI, "content types", content_type="text/plain"),
    Broken(OPENAI, "texts of an embedding", EMBEDDINGS),
    path(ROUTER),
    Broken(ROUTER, "keys", body={"wish": 1}),
    lacks(ROUTER, "authorization"),
    without(ROUTER, "messages"),
    headers(ROUTER, "content types", content_type="text/plain"),
    path(ARK),
    Broken(ARK, "keys", body={"wish": 1}),
    lacks(ARK, "authorization"),
    without(ARK, "content"),
    headers(ARK, "content types", content_type="text/plain"),
    Broken(ARK, "unknown task", {"method": "GET", "path": "/api/v3/contents/generations/tasks/cgt-lab-9999", "body": {}}),
    path(CLAUDE),
    lacks(CLAUDE, "x-api-key"),
    lacks(CLAUDE, "anthropic-version", "no version"),
    headers(CLAUDE, "versions", anthropic_version="2022-12-31"),
    headers(CLAUDE, "content types", content_type="text/plain"),
    Broken(CLAUDE, "keys", body={"wish": 1}),
    without(CLAUDE, "max_tokens"),
    Broken(CLAUDE, "blocks", body={"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}),
    Broken(CLAUDE, "roles", body={"messages": [{"role": "tool", "content": "x"}]}),
    Broken(CLAUDE, "without a result", body={"messages": [*SAID, CALLED, *SAID]}),
    Broken(CLAUDE, "without a use", body={"messages": [RESULT]}),
    Broken(CLAUDE, "twice", body={"tools": [TOOL, TOOL]}),
    Broken(CLAUDE, "temperature", body={"temperature": 1.5}),
    Broken(CLAUDE, "max_tokens", body={"max_tokens": 10**10}),
    Broken(CLAUDE, "messages", body={"messages": SAID * 100_001}),
    path(GEMINI),
    lacks(GEMINI, "x-goog-api-key"),
    Broken(GEMINI, "keys", body={"wish": 1}),
    Broken(GEMINI, "queries", {"query": {"wish": ["1"]}}),
    without(GEMINI, "contents"),
    headers(GEMINI, "content types", content_type="text/plain"),
    Broken(GEMINI, "requests of a batch", BATCH),
    path(BRAVE, "GET"),
    lacks(BRAVE, "x-subscription-token"),
    Broken(BRAVE, "queries", {"query": {"q": ["lab"], "wish": ["1"]}}),
    Broken(BRAVE, "missing", {"query": {}}),
    Broken(BRAVE, "characters of a query", {"query": {"q": ["x" * 401]}}),
    Broken(BRAVE, "words of a query", {"query": {"q": ["x " * 51]}}),
    Broken(BRAVE, "count", {"query": {"q": ["x"], "count": ["21"]}}),
    Broken(BRAVE, "offset", {"query": {"q": ["x"], "offset": ["10"]}}),
    path(TELEGRAM),
    Broken(TELEGRAM, "tokens", {"path": "/bot12:short/sendMessage"}),
    Broken(TELEGRAM, "credentials", {"path": "/bot123456:wrong" + "a" * 30 + "/sendMessage"}),
    Broken(TELEGRAM, "methods", {"path": f"{BOT}/sendWish"}),
    Broken(TELEGRAM, "keys", body={"wish": 1}),
    Broken(TELEGRAM, "parse modes", body={"parse_mode": "Text"}),
    without(TELEGRAM, "chat_id", "no chat"),
    Broken(TELEGRAM, "chats", body={"chat_id": "me"}),
    headers(TELEGRAM, "content types", content_type="text/plain"),
    Broken(TELEGRAM, "units of a text", body={"text": "x" * 4097}),
    Broken(TELEGRAM, "bytes of a text", body={"text": " " * 32_769 + "x"}),
    Broken(TELEGRAM, "commands", {"path": f"{BOT}/setMyCommands", "body": {"commands": [{}] * 101}}),
    Broken(TELEGRAM, "often", times=31),
    path(GITHUB),
    lacks(GITHUB, "user-agent", "no user-agent"),
    lacks(GITHUB, "authorization"),
    Broken(GITHUB, "keys", body={"wish": 1}),
    Broken(GITHUB, "queries", {"method": "GET", "path": f"{OF_REPOSITORY}/pulls", "query": {"wish": ["1"]}, "body": {}}),
    Broken(GITHUB, "states", {"method": "GET", "path": f"{OF_REPOSITORY}/pulls", "query": {"state": ["wished"]}, "body": {}}),
    without(GITHUB, "body"),
    Broken(GITHUB, "json", {"data": b"{"}),
    headers(GITHUB, "content types", content_type="text/plain"),
    Broken(
        GITHUB,
        "content",
        {"method": "PUT", "path": f"{OF_REPOSITORY}/contents/a", "body": {"message": "m", "content": "\N{BULLET}"}},
    ),
    Broken(GITHUB, "characters of a comment", body={"body": "x" * 65_537}),
    Broken(
        GITHUB,
        "characters of a title",
        {"path": f"{OF_REPOSITORY}/pulls", "body": {"title": "x" * 257, "head": "a", "base": "main"}},
    ),
    path(OVH, of=f"/1.0/domain/zone/{ovh.ZONE}/wish"),
    headers(OVH, "application", x_ovh_application="another"),
    headers(OVH, "consumer", x_ovh_consumer="another"),
    headers(OVH, "signature", x_ovh_signature="$1$another"),
    headers(OVH, "timestamp", x_ovh_timestamp="1"),
    headers(OVH, "seconds apart", x_ovh_timestamp=str(int(time.time()) - 3600)),
    headers(OVH, "content types", content_type="text/plain"),
    Broken(OVH, "zone", {"path": "/1.0/domain/zone/example.org/record"}),
    Broken(OVH, "record", {"method": "GET", "path": f"{RECORDS}/7", "body": {}}),
    Broken(OVH, "queries", {"method": "GET", "query": {"wish": ["1"]}, "body": {}}),
    Broken(OVH, "keys", body={"wish": 1}),
    without(OVH, "target"),
    Broken(OVH, "types", body={"fieldType": "SPF"}),
    Broken(OVH, "seconds of ttl", body={"ttl": 2**31}),
    path(HETZNER, of="/v1/wish"),
    headers(HETZNER, "tokens", authorization="Bearer short"),
    Broken(HETZNER, "keys", body={"wish": 1}),
    Broken(HETZNER, "json", {"data": b"{"}),
    Broken(HETZNER, "object", {"data": b"[]"}),
    Broken(HETZNER, "entries of a page", {"method": "GET", "query": {"per_page": ["51"]}}),
    Broken(HETZNER, "rules of a firewall", body={"rules": [RULE] * 51}),
    Broken(
        HETZNER,
        "characters of user data",
        {"path": "/v1/servers", "body": {"name": "s", "server_type": "cx23", "image": "debian-13", "user_data": "x" * 32_769}},
    ),
    Broken(HETZNER, "requests an hour", {"method": "GET"}, times=3650),
)
ELSEWHERE = {
    (TELEGRAM, "seconds of a poll"): "a longer poll is answered as early as the longest, and refused with nothing",
    (TELEGRAM, "messages a second"): "the refusal is `often`",
    (TELEGRAM, "messages a minute in a group"): "test_a_group_takes_twenty_messages_a_minute",
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has clouds and messages of its own."""
    monkeypatch.setattr(server, "OVH", ovh.Ovh())
    monkeypatch.setattr(server, "GITHUB", github.GitHub())
    monkeypatch.setattr(server, "TELEGRAM", Telegram(wrong=models.WRONG_KEY))
    monkeypatch.setattr(server, "SHAPES", {**server.SHAPES, HETZNER: server.hetzner_cloud(hetzner.Cloud())})


def ask(request: Request) -> Answer:
    """As that host's client does: signed, and with the body as it is sent."""
    data = request.data or (json.dumps(request.body).encode() if request.body else b"")
    question = "&".join(f"{name}={values[0]}" for name, values in request.query.items())
    url = f"https://{request.host}{request.path}" + (f"?{question}" if question else "")
    given = dict(request.headers)
    if request.host == OVH:
        stamp = given.get("x-ovh-timestamp", str(int(time.time())))
        signed = f"{ovh.APPLICATION_SECRET}+{ovh.CONSUMER_KEY}+{request.method}+{url}+{data.decode()}+{stamp}"
        given = {
            "x-ovh-application": ovh.APPLICATION_KEY,
            "x-ovh-consumer": ovh.CONSUMER_KEY,
            "x-ovh-timestamp": stamp,
            "x-ovh-signature": "$1$" + hashlib.sha1(signed.encode(), usedforsecurity=False).hexdigest(),
            **given,
        }
    return server.answer(replace(request, data=data, url=url, headers=given))


def texts(document: Any) -> Iterator[str]:
    if isinstance(document, dict | list):
        for inner in document.values() if isinstance(document, dict) else document:
            yield from texts(inner)
    else:
        yield str(document)


@pytest.mark.parametrize("host", GOOD)
def test_what_is_broken_below_is_good_before(host: str) -> None:
    assert ask(GOOD[host]).status in (200, 201), ask(GOOD[host]).document


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.host}: {case.kind}")
def test_another_request_is_refused_in_the_real_programs_words(case: Broken) -> None:
    of = Contract.load(CONTRACTS / f"{case.host}.json")
    good = GOOD[case.host]
    changed = replace(good, **case.changes)
    asked = replace(changed, body={**changed.body, **case.body})
    for _ in range(case.times):
        reply = ask(asked)
    limit = of.limits.get(case.kind)
    words = str(limit["above"]) if limit else of.refusals[case.kind]
    assert reply.status == (limit["status"] if limit else of.statuses[case.kind])
    pattern = ".+".join(map(re.escape, words.split("{}")))
    assert any(re.fullmatch(pattern, text, re.DOTALL) for text in texts(reply.document)), reply.document


def test_each_refusal_and_limit_of_each_contract_is_seen() -> None:
    seen = {(case.host, case.kind) for case in CASES} | ELSEWHERE.keys()
    loaded = {host: Contract.load(CONTRACTS / f"{host}.json") for host in GOOD}
    assert {(host, kind) for host, of in loaded.items() for kind in (*of.refusals, *of.limits)} == seen


def test_a_group_takes_twenty_messages_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    at = iter(range(1000))
    monkeypatch.setattr(server, "TELEGRAM", Telegram(wrong=models.WRONG_KEY, now=lambda: float(next(at))))
    good = GOOD[TELEGRAM]
    asked = replace(good, body={**good.body, "chat_id": GROUP})
    statuses = [ask(asked).status for _ in range(21)]
    assert statuses == [200] * 20 + [429]


RULES = b"<LifecycleConfiguration>%s</LifecycleConfiguration>"


@pytest.mark.parametrize(
    ("method", "document", "kind"),
    [
        ("PUT", RULES % b"<Rule><ID>a</ID><Status>Enabled</Status></Rule>", ""),
        ("POST", b"", "lifecycle"),
        ("PUT", b"<LifecycleConfiguration>", "elements"),
        ("PUT", RULES % b"<Rule><Wish>1</Wish></Rule>", "elements"),
        ("PUT", RULES % (b"<Rule/>" * 1001), "rules"),
        ("PUT", RULES % b"", "rules"),
    ],
)
def test_lifecycle_rules_are_those_of_s3(method: str, document: bytes, kind: str) -> None:
    refused = lifecycle.refusal(method, document)
    assert (refused.kind if refused else "") == kind
    of = Api.of("fsn1.your-objectstorage.com").contract
    if refused:
        words = of.refusals.get(kind) or str(of.limits[kind]["above"])
        assert (refused.words, refused.status) == (words, of.statuses.get(kind) or of.limits[kind]["status"])
