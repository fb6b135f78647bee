"""The budget's hook without LiteLLM and Redis: who is admitted, mapped, refused; what happens while Redis is away."""

import asyncio
import importlib
import json
import sys
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, strategies

from services.litellm import configuration
from services.litellm.models import ECO, FILMS, MODELS, SEARCHES
from services.litellm.proxy import budget, ledger, telegram
from services.litellm.proxy.admission import IngressSettings
from services.litellm.proxy.budget import (
    CHARACTERS_PER_TOKEN,
    MOST_ANSWERS,
    MOST_PAGES,
    OUTPUT_LIMITS,
    BadNumberError,
    Totals,
    ceiling,
    estimate,
    limit,
    refusal,
)
from services.litellm.proxy.ledger import Ledger
from services.litellm.proxy.settings import ModelTerms, ProxySettings

NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
CODE = configuration.hook(
    redis_url="redis://redis", qdrant_key="key", films_key="key", telegram_token="1:token", telegram_chat="-1"
)
SETTINGS = ProxySettings.load(next(file.content for file in CODE if file.path.endswith(".json")))
TERMS = ModelTerms(provider="p", input_price=0.01, output_price=0.1, maximum_tokens=100, eco="e")


class Redis:
    """Keeps the account as the scripts do (tests/lab/test_litellm_budget.py runs those); `away` breaks the connection."""

    def __init__(self) -> None:
        self.away = False
        self.spent = 0.0
        self.month: dict[str, float] = {}
        self.held: dict[str, tuple[float, float, bool]] = {}
        self.reported: set[str] = set()

    def eval(self, script: str, numkeys: int, *arguments: str) -> Any:
        if self.away:
            raise ConnectionError
        if script == "return 1":
            return 1
        limit, identity, provider, *rest = (float(arguments[numkeys + 4]), *arguments[numkeys + 6 :])
        if script is ledger._RESERVE:
            amount, top, monthly = map(float, rest[:3])
            others = [entry for name, entry in self.held.items() if name != identity]
            committed = self.spent + sum(held for held, other, apart in others if not apart and (top < limit or other >= limit))
            monthly_held = sum(held for held, _, apart in others if apart)
            free = committed < top if monthly < 0 else self.month.get(provider, 0.0) + monthly_held < monthly
            if free:
                self.held[identity] = (amount, top, monthly >= 0)
            return [int(free), str(self.spent), str(committed)]
        if script is ledger._READ:
            return [str(self.spent), "normal", [word for name, amount in self.month.items() for word in (name, str(amount))]]
        cost, account, times, *shares = rest
        if (self.held.pop(identity, None) or times == "always") and float(cost) > 0:
            self.spent += float(cost) if account == "day" else 0.0
            self.month[provider] = self.month.get(provider, 0.0) + float(cost)
        crossed = [share for share in shares if self.spent >= float(share) * limit and share not in self.reported]
        self.reported.update(crossed)
        return [str(self.spent), crossed]

    def hdel(self, name: str, *keys: str) -> int:
        self.reported -= {key.removeprefix("told:") for key in keys}
        return 1


class Refused(Exception):
    """FastAPI's HTTPException."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, headers or {}


class Cache:
    """LiteLLM's cache: `answer` is what it holds for every request."""

    def __init__(self) -> None:
        self.cache: Any = None
        self.answer: object = None

    async def async_get_cache(self, **_: object) -> object:
        return self.answer


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, between stand-ins of what its image brings."""
    names: dict[str, dict[str, object]] = {
        "litellm": {"cache": Cache()},
        "litellm.caching": {},
        "litellm.caching.base_cache": {"BaseCache": object},
        "litellm.integrations": {},
        "litellm.integrations.custom_logger": {"CustomLogger": object},
        "fastapi": {"HTTPException": Refused, "Depends": object},
        "fastapi.responses": {"JSONResponse": object, "PlainTextResponse": object},
        "redis": {"Redis": object},
        "redis.backoff": {"NoBackoff": object},
        "redis.retry": {"Retry": object},
    }
    for name, attributes in names.items():
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    importing = ("services.litellm.proxy.hook", "services.litellm.proxy.routes")
    for name in importing:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(importing[0])
    for name in importing:
        sys.modules.pop(name, None)


def run(action: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(action)


def request(model: str, identity: str = "1", **more: object) -> dict[str, Any]:
    return {"model": model, "litellm_call_id": identity, "messages": [{"role": "user", "content": "hello"}], **more}


def attempt(data: dict[str, Any], model: str) -> dict[str, Any]:
    """What LiteLLM hands to the hook before it calls `model`."""
    return {**data, "metadata": {**data.get("metadata", {}), "model_group": model}}


def test_the_settings_survive_their_file_and_name_every_model() -> None:
    assert ProxySettings.load(json.dumps(asdict(SETTINGS))) == SETTINGS
    assert set(SETTINGS.models) == {entry.name for entry in (*MODELS, *SEARCHES, *FILMS)}
    assert SETTINGS.date_file == ""


def test_the_hooks_code_is_delivered_where_its_imports_look() -> None:
    assert {file.path for file in CODE} >= {f"services/litellm/proxy/{name}.py" for name in ("callback", "hook", "ledger", "web")}


def test_each_model_has_a_price_or_is_free_by_name() -> None:
    for model in MODELS:
        assert model.price.source
        assert (model.price.input == 0.0) == model.target.endswith(":free"), model.name


def test_eco_models_answer_for_all_others_and_never_lead_out_of_eco() -> None:
    models = {model.name: model for model in MODELS}
    for model in MODELS:
        assert model.goes_on_in_eco or model.eco in ECO, model.name
    for name in ECO:
        assert models[name].goes_on_in_eco
        assert all(models[other].goes_on_in_eco for other in models[name].fallbacks), name


@pytest.mark.parametrize(
    ("asked", "price"),
    [
        ({"messages": []}, 10.0),
        ({"max_tokens": 10}, 1.0),
        ({"max_completion_tokens": 10, "n": 3}, 3.0),
        ({"max_tokens": 1000}, 10.0),
        ({"max_tokens": 10, "input": "x" * 96}, 1.0 + 0.01 * 50),
    ],
)
def test_what_a_request_may_cost(asked: dict[str, Any], price: float) -> None:
    assert estimate(TERMS, asked).worst == pytest.approx(price, abs=0.011)


def test_an_attachment_is_billed_by_the_piece_not_by_its_bytes() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    price = estimate(replace(TERMS, output_price=0.0), {"messages": [{"role": "user", "content": [image]}]}).worst
    assert price < 0.01 * 2 * budget.TOKENS_PER_ATTACHMENT


def test_a_refusal_says_why_and_until_when() -> None:
    spent = refusal(Totals(5.0, 5.0), "openai", SETTINGS, NOW)
    assert spent.retry_after == 3600
    assert "UTC day turns" in spent.reason
    assert refusal(Totals(4.0, 5.1), "openai", SETTINGS, NOW).retry_after == budget.SECONDS_TO_ASK_AGAIN
    assert refusal(Totals(1.0, 1.0), "byteplus", SETTINGS, NOW).retry_after == 8 * 86400 + 3600


def test_dear_models_stop_at_ninety_percent_eco_models_at_hundred() -> None:
    assert ceiling("claude-opus", SETTINGS) == pytest.approx(4.5)
    assert ceiling("glm-5", SETTINGS) == 5.0


def test_what_telegram_says() -> None:
    assert "70%" in telegram.message(0.7, 3.51, SETTINGS)
    assert "Eco mode" not in telegram.message(0.7, 3.51, SETTINGS)
    assert "deepseek-v3, glm-5, qwen3-coder" in telegram.message(0.9, 4.5, SETTINGS)


def test_twenty_requests_at_once_overshoot_by_less_than_one() -> None:
    async def all_at_once(store: Redis) -> list[bool]:
        book = Ledger(store, SETTINGS, lambda: NOW)
        verdicts = await asyncio.gather(*(book.reserve(str(number), "glm-5", 0.01) for number in range(20)))
        for number, verdict in enumerate(verdicts):
            if verdict.admitted:
                await book.settle(str(number), "openrouter", 0.01)
        return [verdict.admitted for verdict in verdicts]

    store = Redis()
    store.spent = 4.975
    assert sum(run(all_at_once(store))) == 3
    assert store.spent < SETTINGS.daily_limit + 0.01


def test_each_share_is_told_once_and_again_only_when_the_message_was_lost() -> None:
    async def spend() -> list[tuple[str, ...]]:
        book = Ledger(Redis(), SETTINGS, lambda: NOW)
        reported = [(await book.settle("1", "openai", amount)).shares for amount in (3.4, 0.2, 0.1, 0.9)]
        await book.tell_again("0.9")
        return [*reported, (await book.settle("1", "openai", 0.01)).shares]

    assert run(spend()) == [(), ("0.7",), (), ("0.9",), ("0.9",)]


def test_without_redis_only_eco_models_are_paid_for_and_nothing_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "PROBE_SECONDS", 0.01)

    async def outage(store: Redis) -> None:
        book = Ledger(store, SETTINGS, lambda: NOW)
        assert (await book.reserve("1", "claude-opus", 1.0)).admitted
        store.away = True
        assert not (await book.reserve("2", "claude-opus", 1.0)).admitted
        assert (await book.reserve("3", "glm-5", 0.01)).admitted
        await book.settle("1", "anthropic", 0.25)
        await book.settle("3", "openrouter", 0.01)
        store.away = False
        while book._search:
            await asyncio.sleep(0.01)
        assert (await book.reserve("4", "claude-opus", 1.0)).admitted

    store = Redis()
    run(outage(store))
    assert store.spent == pytest.approx(0.26)


def test_without_redis_blocked_stays_blocked() -> None:
    async def outage(store: Redis) -> bool:
        book = Ledger(store, SETTINGS, lambda: NOW)
        await book.settle("1", "openai", 5.0)
        store.away = True
        return (await book.reserve("2", "glm-5", 0.01)).admitted

    assert run(outage(Redis())) is False


def test_a_month_of_one_provider_ends_before_the_others() -> None:
    async def films(store: Redis) -> list[bool]:
        book = Ledger(store, SETTINGS, lambda: NOW)
        await book.settle("1", "byteplus", 5.0)
        return [(await book.reserve("2", name, 0.1)).admitted for name in (FILMS[0].name, "glm-5")]

    store = Redis()
    assert run(films(store)) == [False, True]
    assert store.spent == 0.0, "the month's limit is apart from the day's"


def test_a_spent_day_leaves_the_month_alone() -> None:
    store = Redis()
    store.spent = 5.0
    assert run(Ledger(store, SETTINGS, lambda: NOW).reserve("1", FILMS[0].name, 1.0)).admitted


@pytest.mark.parametrize(("spent", "model"), [(0.0, "claude-opus"), (4.6, "glm-5")])
def test_eco_mode_maps_models(hook: Any, spent: float, model: str) -> None:
    store = Redis()
    store.spent = spent
    data = run(
        hook.Budget(SETTINGS, store).async_pre_call_hook(None, None, request("claude-opus", fallbacks=["gpt-4o"]), "acompletion")
    )
    assert data["model"] == model
    assert ("fallbacks" in data) == (model == "claude-opus")
    assert run(hook.Budget(SETTINGS, store).async_pre_call_deployment_hook(attempt(data, model), None)) is None


@pytest.mark.parametrize(
    ("spent", "fallback", "refused"), [(0.0, "gpt-4o", False), (4.6, "gpt-4o", True), (4.6, "deepseek-v3", False)]
)
def test_fallbacks_do_not_leave_eco(hook: Any, spent: float, fallback: str, refused: bool) -> None:
    store = Redis()
    store.spent = spent
    guard = hook.Budget(SETTINGS, store)
    data = run(guard.async_pre_call_hook(None, None, request("claude-sonnet"), "acompletion"))
    if refused:
        with pytest.raises(Refused) as caught:
            run(guard.async_pre_call_deployment_hook(attempt(data, fallback), None))
        assert caught.value.status == 429
    else:
        assert run(guard.async_pre_call_deployment_hook(attempt(data, fallback), None)) is None


def test_blocked_refuses_with_the_time_to_wait_but_serves_what_is_cached(hook: Any) -> None:
    store = Redis()
    store.spent = 5.0
    guard = hook.Budget(SETTINGS, store)
    data = run(guard.async_pre_call_hook(None, None, request("claude-opus"), "acompletion"))
    assert data["model"] == "claude-opus"
    assert (data["num_retries"], data["disable_fallbacks"]) == (0, True)
    with pytest.raises(Refused) as caught:
        run(guard.async_pre_call_deployment_hook(attempt(data, "claude-opus"), None))
    assert caught.value.status == 429
    assert int(caught.value.headers["Retry-After"]) > 0
    hook.litellm.cache.answer = {"cached": True}
    assert run(guard.async_pre_call_deployment_hook(attempt(data, "claude-opus"), None)) is None


def test_a_client_cannot_admit_itself(hook: Any) -> None:
    store = Redis()
    store.spent = 5.0
    forged = request("claude-opus", metadata={hook.ADMISSION: {"model": "claude-opus"}})
    data = run(hook.Budget(SETTINGS, store).async_pre_call_hook(None, None, forged, "acompletion"))
    assert "refusal" in data["metadata"][hook.ADMISSION]


def test_routes_that_nobody_counts_are_closed(hook: Any) -> None:
    with pytest.raises(Refused) as caught:
        run(hook.Budget(SETTINGS, Redis()).async_pre_call_hook(None, None, {}, "pass_through_endpoint"))
    assert caught.value.status == 403


@pytest.mark.parametrize(("hit", "cost"), [(False, 0.25), (True, 0.0)])
def test_the_price_is_booked_and_a_cached_answer_has_none(hook: Any, hit: bool, cost: float) -> None:
    store = Redis()
    guard = hook.Budget(SETTINGS, store)
    run(guard.async_pre_call_hook(None, None, request("claude-opus"), "acompletion"))
    assert store.held
    done = {
        "litellm_call_id": "1",
        "response_cost": 0.25,
        "cache_hit": hit,
        "litellm_params": {"metadata": {"model_group": "claude-opus"}},
    }
    run(guard.async_log_success_event(done, None, None, None))
    assert (store.spent, store.held) == (cost, {})
    assert store.month == ({"anthropic": cost} if cost else {})


def test_a_failed_request_gives_its_reservation_back(hook: Any) -> None:
    store = Redis()
    guard = hook.Budget(SETTINGS, store)
    run(guard.async_pre_call_hook(None, None, request("claude-opus"), "acompletion"))
    run(guard.async_post_call_failure_hook({"litellm_call_id": "1"}, RuntimeError(), None))
    assert (store.spent, store.held) == (0.0, {})


def test_a_client_that_sends_metadata_of_its_own_is_counted_all_the_same(hook: Any) -> None:
    """Claude Code sends `metadata: {"user_id": ...}` with each request to /v1/messages, where LiteLLM keeps its own apart."""
    store = Redis()
    store.spent = 5.1
    guard = hook.Budget(SETTINGS, store)
    own = {"metadata": {"user_id": "somebody"}, "litellm_metadata": {"user_api_key": "x"}}
    with pytest.raises(Refused) as caught:
        run(guard.async_pre_call_hook(None, None, {**request("claude-opus"), **own}, "anthropic_messages"))
    assert caught.value.status == 429
    # Where LiteLLM asks again, its own place counts, and not the client's.
    data = run(guard.async_pre_call_hook(None, None, {**request("claude-opus"), **own}, "acompletion"))
    routed = {**data, "model": "claude-opus-4-20250514"}
    routed["litellm_metadata"] = {**data["litellm_metadata"], "model_group": "claude-opus"}
    with pytest.raises(Refused) as caught:
        run(guard.async_pre_call_deployment_hook(routed, None))
    assert caught.value.status == 429


@pytest.mark.parametrize("call_type", ["anthropic_messages", "aresponses", "asearch"])
def test_what_is_not_asked_again_is_refused_at_once(hook: Any, call_type: str) -> None:
    store = Redis()
    store.spent = 5.0
    with pytest.raises(Refused) as caught:
        run(hook.Budget(SETTINGS, store).async_pre_call_hook(None, None, request("claude-opus"), call_type))
    assert (caught.value.status, int(caught.value.headers["Retry-After"]) > 0) == (429, True)


def test_a_search_is_booked_although_litellm_does_not_say_which_it_was(hook: Any) -> None:
    store = Redis()
    guard = hook.Budget(SETTINGS, store)
    search = {"search_tool_name": SEARCHES[0].name, "query": "x", "litellm_call_id": "1"}
    run(guard.async_pre_call_hook(None, None, search, "asearch"))
    run(guard.async_log_success_event({"litellm_call_id": "1", "litellm_params": {}}, None, None, None))
    assert store.spent == pytest.approx(SEARCHES[0].price)


FORGED = {"model": "claude-opus", "by": ""}


@pytest.mark.parametrize("place", ["metadata", "litellm_metadata"])
@pytest.mark.parametrize("said", [{"model_group": "embedding"}, {"vpai_admission": FORGED}, {"deployment": "x"}])
def test_what_a_client_says_of_itself_is_forgotten(hook: Any, place: str, said: dict[str, Any]) -> None:
    store = Redis()
    store.spent = 5.0
    guard = hook.Budget(SETTINGS, store)
    data = run(guard.async_pre_call_hook(None, None, {**request("claude-opus"), place: {**said, "tag": "kept"}}, "acompletion"))
    assert data[place]["tag"] == "kept"
    assert set(said) & set(data[place]) <= {hook.ADMISSION}
    with pytest.raises(Refused) as caught:
        run(guard.async_pre_call_deployment_hook(attempt(data, "claude-opus"), None))
    assert caught.value.status == 429


def test_a_word_of_another_process_admits_nothing(hook: Any) -> None:
    store = Redis()
    store.spent = 5.0
    data = attempt(request("claude-opus", metadata={hook.ADMISSION: {"by": "another", "model": "claude-opus"}}), "claude-opus")
    with pytest.raises(Refused) as caught:
        run(hook.Budget(SETTINGS, store).async_pre_call_deployment_hook(data, None))
    assert caught.value.status == 429


def test_a_call_that_no_model_of_ours_is_asked_by_reaches_no_provider(hook: Any) -> None:
    """As LiteLLM's GET /health makes them: one to every model."""
    call = {"model": "anthropic/claude-opus-4-20250514", "messages": [], "metadata": {"tags": ["litellm-internal-health-check"]}}
    with pytest.raises(Refused) as caught:
        run(hook.Budget(SETTINGS, Redis()).async_pre_call_deployment_hook(call, None))
    assert caught.value.status == 403


def test_a_call_id_that_is_under_way_is_refused(hook: Any) -> None:
    guard = hook.Budget(SETTINGS, Redis())
    run(guard.async_pre_call_hook(None, None, request("claude-opus"), "acompletion"))
    with pytest.raises(Refused) as caught:
        run(guard.async_pre_call_hook(None, None, request("claude-opus"), "acompletion"))
    assert caught.value.status == 400


ANY_JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats(allow_nan=False) | strategies.text(),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
PRICED = ("max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of", "tools", "system", "prompt")


@given(strategies.dictionaries(strategies.sampled_from(PRICED), ANY_JSON | strategies.just(-1), max_size=4))
def test_any_json_in_a_request_is_refused_or_reserved_within_the_models_own_bounds(more: dict[str, Any]) -> None:
    terms = SETTINGS.models["claude-opus"]
    asked = {**request("claude-opus"), **more}
    try:
        limit(terms, asked)
    except BadNumberError as error:
        assert any(name in str(error) for name in more)
        return
    most = terms.output_price * terms.maximum_tokens * MOST_ANSWERS
    written = estimate(terms, {key: value for key, value in asked.items() if key not in (*OUTPUT_LIMITS, "n", "best_of")}).worst
    assert 0 < estimate(terms, asked).worst <= written + most
    assert all(1 <= asked[name] <= terms.maximum_tokens for name in OUTPUT_LIMITS if asked.get(name) is not None)


def test_no_limit_reserves_the_models_own_maximum_and_is_not_handed_on() -> None:
    terms = SETTINGS.models["claude-opus"]
    unlimited = request("claude-opus", max_tokens=-1)
    limit(terms, unlimited)
    assert "max_tokens" not in unlimited
    assert estimate(terms, unlimited).worst == estimate(terms, request("claude-opus")).worst


@pytest.mark.parametrize("value", ["auto", "10", 0, -2, 1.5, True, [1], {"a": 1}])
@pytest.mark.parametrize("name", ["max_tokens", "n"])
def test_a_number_that_is_none_is_a_bad_request(hook: Any, name: str, value: object) -> None:
    with pytest.raises(Refused) as caught:
        run(
            hook.Budget(SETTINGS, Redis()).async_pre_call_hook(None, None, {**request("claude-opus"), name: value}, "acompletion")
        )
    assert caught.value.status == 400


@pytest.mark.parametrize("value", ["similar", True, 1, ["similar"], None])
def test_a_wish_for_the_cache_that_is_no_object_is_a_bad_request(hook: Any, value: object) -> None:
    """LiteLLM 1.81.3 itself ends in an AttributeError, after the reservation."""
    store = Redis()
    with pytest.raises(Refused) as caught:
        run(hook.Budget(SETTINGS, store).async_pre_call_hook(None, None, request("claude-opus", cache=value), "acompletion"))
    assert (caught.value.status, store.held) == (400, {})


def test_a_picture_is_billed_as_one_in_whichever_form_it_comes() -> None:
    terms, data = SETTINGS.models["claude-opus"], "A" * 1_400_000
    anthropic = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}]
    openai = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}]
    for content in (anthropic, openai):
        asked = {"model": "claude-opus", "max_tokens": 10, "messages": [{"role": "user", "content": content}]}
        assert estimate(terms, asked).worst < 0.1
    document = [{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}]
    asked = {"model": "claude-opus", "max_tokens": 10, "messages": [{"role": "user", "content": document}]}
    assert estimate(terms, asked).worst > 70 * 1500 * terms.input_price, "seventy pages"


BYTES = "A" * 400_000
ATTACHED: dict[str, tuple[dict[str, Any], int]] = {
    "Anthropic, picture": ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BYTES}}, 1),
    "Anthropic, picture by address": ({"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}}, 1),
    "Anthropic, picture by id": ({"type": "image", "source": {"type": "file", "file_id": "file_1"}}, 1),
    "Anthropic, document": (
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": BYTES}},
        21,
    ),
    "Anthropic, document by address": (
        {"type": "document", "source": {"type": "url", "url": "https://a.test/b.pdf"}},
        100,
    ),
    "Anthropic, document by id": ({"type": "document", "source": {"type": "file", "file_id": "file_1"}}, MOST_PAGES),
    "OpenAI, picture": ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BYTES}"}}, 1),
    "OpenAI, picture as a text": ({"type": "image_url", "image_url": f"data:image/png;base64,{BYTES}"}, 1),
    "OpenAI, picture by address": ({"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}, 1),
    "OpenAI, document": ({"type": "file", "file": {"filename": "b", "file_data": f"data:application/pdf;base64,{BYTES}"}}, 21),
    "OpenAI, document by id": ({"type": "file", "file": {"file_id": "file_1"}}, MOST_PAGES),
    "OpenAI, sound": ({"type": "input_audio", "input_audio": {"data": BYTES, "format": "mp3"}}, 21),
    "Responses, picture": ({"type": "input_image", "image_url": f"data:image/png;base64,{BYTES}"}, 1),
    "Responses, document": ({"type": "input_file", "filename": "b", "file_data": f"data:application/pdf;base64,{BYTES}"}, 21),
    "Responses, document by address": ({"type": "input_file", "file_url": "https://a.test/b.pdf"}, MOST_PAGES),
}
"""Every form of an attachment in the three APIs, and how many pictures or pages it is billed as at most."""


@pytest.mark.parametrize("inside", ["a message", "what a tool gave"])
@pytest.mark.parametrize("form", ATTACHED)
def test_an_attachment_is_estimated_as_it_is_billed_in_every_form(form: str, inside: str) -> None:
    part, pieces = ATTACHED[form]
    content = [part] if inside == "a message" else [{"type": "tool_result", "tool_use_id": "1", "content": [part]}]
    terms = replace(TERMS, input_price=1.0, output_price=0.0)
    given = estimate(terms, {"messages": [{"role": "user", "content": content}]}).given
    assert pieces * budget.TOKENS_PER_ATTACHMENT < given < pieces * budget.TOKENS_PER_ATTACHMENT + 150


@pytest.mark.parametrize(
    "said",
    [
        f"data:image/png;base64,{BYTES}",
        [{"type": "text", "text": f"data:image/png;base64,{BYTES}"}],
        [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": BYTES}}],
        [{"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": BYTES}]}}],
    ],
)
def test_what_is_billed_as_text_is_estimated_as_text_whatever_it_looks_like(said: object) -> None:
    terms = replace(TERMS, input_price=1.0, output_price=0.0)
    given = estimate(terms, {"messages": [{"role": "user", "content": said}]}).given
    assert given >= len(BYTES) / CHARACTERS_PER_TOKEN


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_redis_that_goes_again_while_it_comes_back_loses_and_doubles_nothing(lost: int) -> None:
    """Requests and settlements side by side, and `lost` of their commands find Redis away once more."""

    class Flickering(Redis):
        def eval(self, script: str, numkeys: int, *arguments: str) -> Any:
            nonlocal lost
            if script is ledger._SETTLE and lost:
                lost -= 1
                raise ConnectionError
            return super().eval(script, numkeys, *arguments)

    async def back(store: Redis) -> list[Any]:
        book = Ledger(store, SETTINGS, lambda: NOW)
        book._unwritten = [("old", 1.0, "anthropic"), ("older", 0.5, "openai")]
        reservations = [book.reserve(str(number), "glm-5", 0.01) for number in range(4)]
        ended = [book.settle(f"ended{number}", "openrouter", 0.1) for number in range(4)]
        done = await asyncio.gather(*reservations, *ended)
        for _ in range(3):
            while book._search:
                await asyncio.sleep(0.01)
            await book.release("nothing")
        assert book._unwritten == []
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "PROBE_SECONDS", 0.01)
        store = Flickering()
        verdicts = run(back(store))[:4]
    assert store.spent == pytest.approx(1.9)
    assert all(verdict.admitted for verdict in verdicts)


def test_what_was_not_written_is_booked_once_whoever_comes_first() -> None:
    async def back() -> None:
        store = Redis()
        ledger = Ledger(store, SETTINGS, lambda: NOW)
        ledger._unwritten = [("old", 1.0, "anthropic")]
        await asyncio.gather(*(ledger.reserve(str(number), "claude-opus", 0.01) for number in range(5)))
        assert store.spent == 1.0

    run(back())


@pytest.mark.parametrize("end", ["answered", "said later", "booked before", "failed", "left", "error"])
def test_a_reservation_ends_with_its_request_whatever_ends_it(hook: Any, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr(hook, "BOOKED_SECONDS", 0.05)
    store = Redis()
    guard = hook.Budget(SETTINGS, store)
    said = {"litellm_call_id": "1", "response_cost": 0.5, "litellm_params": {"metadata": {"model_group": "claude-opus"}}}
    asked = request("claude-opus", max_tokens=1000)
    terms = SETTINGS.models["claude-opus"]

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        await guard.async_pre_call_hook(None, None, asked, "aresponses")
        assert store.held
        await send({"type": "http.response.body", "body": b"x" * 300})
        if end == "booked before":
            await guard.async_log_success_event(said, None, None, None)
        elif end == "failed":
            await guard.async_post_call_failure_hook(asked, ValueError(), None)
        elif end == "left":
            raise asyncio.CancelledError
        elif end == "error":
            raise RuntimeError

    async def send(_: Any) -> None:
        pass

    async def whole() -> None:
        with suppress(asyncio.CancelledError, RuntimeError):
            await IngressSettings(inside, guard._end)({"type": "http", "method": "POST", "path": "/v1/responses"}, None, send)
        if end == "said later":
            await guard.async_log_success_event(said, None, None, None)
        await asyncio.sleep(0.2)
        for _ in range(500):
            await asyncio.sleep(0.01 if store.held else 0.0)
        assert not store.held
        # What LiteLLM says after all, when it was booked already, counts no more.
        if end in ("answered", "left", "error"):
            await guard.async_log_success_event(said, None, None, None)

    run(whole())
    estimated = estimate(terms, asked)
    by_what_was_sent = estimated.given + terms.output_price * 300 / CHARACTERS_PER_TOKEN
    assert estimated.given < by_what_was_sent < estimated.worst
    spent = {"failed": 0.0, "said later": 0.5, "booked before": 0.5}.get(end, by_what_was_sent)
    assert store.spent == pytest.approx(spent)
