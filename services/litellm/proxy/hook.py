"""LiteLLM's side of the budget and of the caches: a custom callback, loaded from the file that stands beside its configuration.

Only API that LiteLLM has both in production's version, which the lab runs, and in a later one (1.81.3 and 1.106.2):
- async_pre_call_hook sees a client's request first: it reserves, and maps models in eco mode;
- async_pre_call_deployment_hook sees every attempt, fallbacks and retries included, just before LiteLLM looks into its cache:
  what was not admitted is refused here, unless the answer is cached;
- async_log_success_event knows the price.
"""

import asyncio
import contextvars
import logging
import secrets
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import litellm
from fastapi import HTTPException
from litellm.caching.base_cache import BaseCache
from litellm.integrations.custom_logger import CustomLogger
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from services.litellm.proxy import routes, telegram, web
from services.litellm.proxy.admission import SERVED, Served
from services.litellm.proxy.answers import SimilarAnswers
from services.litellm.proxy.budget import BadNumberError, Estimate, estimate, limit, refusal
from services.litellm.proxy.films import Films
from services.litellm.proxy.ledger import SOCKET_SECONDS, Crossing, Ledger, Store
from services.litellm.proxy.metrics import Usage
from services.litellm.proxy.settings import ProxySettings

ADMISSION = "vpai_admission"
"""In a request's metadata: the model that is paid for, or the refusal, with this process's own word that it wrote that."""
_METADATA = ("litellm_metadata", "metadata")
"""LiteLLM keeps its own in the first where an API has a field called as the second (/v1/messages), else in the second."""
_OURS = (ADMISSION, "model_group", "model_group_alias", "deployment", "model_info")
"""What decides who pays: written by us and by LiteLLM's router, never by a client."""
_ASKED_AGAIN = ("acompletion", "atext_completion", "aembedding")
"""Calls that the second hook is asked about with the cache: these alone are answered from it when nothing is left."""
_REMEMBERED_CALLS = 10_000
_CACHE_SECONDS = 1.0
_EMBEDDING_SECONDS = 3.0
BOOKED_SECONDS = 8.0
"""How long after a request's end LiteLLM may take to say what it has cost: it does so in the background."""
_LOG = logging.getLogger("LiteLLM Proxy")
_looking_up = contextvars.ContextVar("looking_up", default=False)
"""Set while a question is embedded to find its answer: that costs a ten-thousandth of a cent, and is never refused."""


class Budget(CustomLogger):  # type: ignore[misc]
    """Admits, maps, refuses and books requests."""

    def __init__(self, settings: ProxySettings, store: Store) -> None:
        super().__init__()
        self._settings = settings
        self._ledger = Ledger(store, settings, self._now)
        self._similar = SimilarAnswers(settings, self._embed, web.ask)
        self._usage = Usage()
        self._background: set[asyncio.Task[None]] = set()
        self._word = secrets.token_hex(16)
        self._reserved: dict[str, tuple[str, Estimate]] = {}
        """By call id, what was reserved for."""
        self._unsaid: dict[str, None] = {}
        """Call ids that were booked because LiteLLM had not said their price: one that comes later counts no more."""

    def add_routes(self) -> None:
        """Serve what LiteLLM does not: films, and the budget's metrics."""
        films = Films(self._settings, self._ledger, web.exchange, self._now)
        routes.add(films, self._ledger, self._usage, self._settings, self._end)

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """Reserve for the model that is asked for, else for its eco model, else let only a cached answer through."""
        self._cache_in_two_tiers()
        if call_type == "pass_through_endpoint":
            raise HTTPException(
                403, "Pass-through routes are not counted against the budget; use LiteLLM's own, e.g. /v1/chat/completions"
            )
        _forget_what_a_client_says(data)
        name = _asked_for(data)
        if name not in self._settings.models:
            return data  # LiteLLM says itself what is wrong with it, or it is no model's request.
        identity = str(data.get("litellm_call_id"))
        if self._ledger.is_under_way(identity):
            raise HTTPException(400, "x-litellm-call-id names a request that is under way; leave the header out")
        if not isinstance(data.get("cache", {}), dict):
            # LiteLLM would fail over it.
            raise HTTPException(400, 'cache is no object; give {"similar": true} or {"no-cache": true}, or leave it out')
        try:
            limit(self._settings.models[name], data)
        except BadNumberError as error:
            raise HTTPException(400, str(error)) from None
        for model in dict.fromkeys((name, self._settings.models[name].eco)):
            price = estimate(self._settings.models[model], data)
            verdict = await self._ledger.reserve(identity, model, price.worst)
            if verdict.admitted:
                self._reserved_for(identity, model, price)
                if model != name:
                    data["model"] = model
                    data.pop("fallbacks", None)  # They were meant for the other model.
                _metadata(data)[ADMISSION] = {"by": self._word, "model": model}
                return data
        refused = refusal(verdict.totals, self._settings.models[name].provider, self._settings, self._now())
        if call_type not in _ASKED_AGAIN:
            raise _too_much(refused.reason, refused.retry_after)
        _metadata(data)[ADMISSION] = {"by": self._word, "refusal": refused.reason, "retry_after": refused.retry_after}
        # Neither would help, and both would cost time.
        data["num_retries"] = 0
        data["disable_fallbacks"] = True
        return data

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> dict[str, Any] | None:
        """Let an attempt through that is admitted, reserve for a fallback, refuse the rest unless the answer is cached."""
        if _looking_up.get():
            return None
        model = _kept(kwargs, "model_group") or _asked_for(kwargs)
        terms = self._settings.models.get(model)
        if terms is None:
            # Nothing that a provider bills goes past the account: LiteLLM's own calls to models (/health) come this way.
            raise HTTPException(403, "This call is not counted against the budget; use a model by its name in /v1/models")
        admission: Mapping[str, Any] = _kept(kwargs, ADMISSION) or {}
        if admission.get("by") != self._word:
            admission = {}
        if admission.get("model") == model:
            return None
        if "refusal" not in admission:
            identity = str(kwargs.get("litellm_call_id"))
            price = estimate(terms, kwargs)
            verdict = await self._ledger.reserve(identity, model, price.worst)
            if verdict.admitted:
                self._reserved_for(identity, model, price)
                return None
            refused = refusal(verdict.totals, terms.provider, self._settings, self._now())
            admission = {"refusal": refused.reason, "retry_after": refused.retry_after}
        if await _cached(kwargs):
            return None
        raise _too_much(admission["refusal"], admission["retry_after"])

    async def async_log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Book the price; a cached answer has none."""
        cost = 0.0 if kwargs.get("cache_hit") else float(kwargs.get("response_cost") or 0.0)
        parameters = kwargs.get("litellm_params") or {}
        identity = str(kwargs.get("litellm_call_id"))
        if identity in self._unsaid:
            del self._unsaid[identity]
            return
        asked, _ = self._reserved.pop(identity, ("", None))
        # LiteLLM 1.81.3 does not say which search a price is of (seen in the lab).
        group = str(_kept(parameters, "model_group") or asked)
        terms = self._settings.models.get(group)
        if terms and not kwargs.get("cache_hit"):
            cost += terms.request_price
        provider = terms.provider if terms else str(kwargs.get("custom_llm_provider"))
        tokens = (kwargs.get("standard_logging_object") or {}).get("total_tokens") or 0
        self._usage.count(group or str(kwargs.get("model")), cost, tokens)
        await self._tell(await self._ledger.settle(identity, provider, cost))

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: str | None = None,
    ) -> None:
        """Give back the reservation once every attempt has failed."""
        self._reserved.pop(str(request_data.get("litellm_call_id")), None)
        await self._ledger.release(str(request_data.get("litellm_call_id")))

    def _end(self, request: Served) -> None:
        if request.identities:
            self._in_background(self._book_unsaid(request))

    async def _book_unsaid(self, request: Served) -> None:
        """A request has ended, and of some ends LiteLLM says nothing: a client that leaves a stream of /v1/responses."""
        await asyncio.sleep(BOOKED_SECONDS)
        for identity in request.identities:
            if not self._ledger.is_under_way(identity) or identity not in self._reserved:
                continue
            model, price = self._reserved.pop(identity)
            self._unsaid[identity] = None
            if len(self._unsaid) > _REMEMBERED_CALLS:
                del self._unsaid[next(iter(self._unsaid))]
            cost = price.after(request.sent)
            _LOG.warning("budget: nobody said what a request to %s has cost: %.6f USD are booked for it", model, cost)
            await self._tell(await self._ledger.settle(identity, self._settings.models[model].provider, cost))

    def _reserved_for(self, identity: str, model: str, price: Estimate) -> None:
        if request := SERVED.get():
            request.identities.append(identity)
        self._reserved[identity] = (model, price)
        if len(self._reserved) > _REMEMBERED_CALLS:
            del self._reserved[next(iter(self._reserved))]

    def _in_background(self, action: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(action)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _tell(self, crossing: Crossing) -> None:
        if crossing.shares:
            self._in_background(self._message(crossing))

    async def _message(self, crossing: Crossing) -> None:
        for share in crossing.shares:
            try:
                await telegram.tell(float(share), crossing.spent, self._settings)
            except Exception as error:
                # Never its text: the address holds the bot's token.
                _LOG.warning("budget: Telegram was not told of %s: %s", share, type(error).__name__)
                await self._ledger.tell_again(share)

    async def _embed(self, text: str) -> list[float]:
        from litellm.proxy import proxy_server  # It imports this module, long before there is a router.

        token = _looking_up.set(True)
        try:
            answer = await asyncio.wait_for(
                proxy_server.llm_router.aembedding(model=self._settings.embedding_model, input=[text], num_retries=0),
                _EMBEDDING_SECONDS,
            )
        finally:
            _looking_up.reset(token)
        vector: list[float] = answer.data[0]["embedding"]
        return vector

    def _cache_in_two_tiers(self) -> None:
        cache = litellm.cache
        if cache is not None and not isinstance(cache.cache, TwoTiers):
            cache.cache = TwoTiers(cache.cache, self._similar)

    def _now(self) -> datetime:
        now = datetime.now(UTC)
        if self._settings.date_file:
            file = Path(self._settings.date_file)
            if file.exists():
                return datetime.combine(datetime.fromisoformat(file.read_text().strip()).date(), now.timetz())
        return now


class TwoTiers(BaseCache):  # type: ignore[misc]
    """LiteLLM takes one cache: this one asks Redis for an equal question, then Qdrant for a similar one."""

    def __init__(self, equal: Any, similar: SimilarAnswers) -> None:
        super().__init__()
        self._equal = equal
        self._similar = similar

    async def async_get_cache(self, key: str, **kwargs: Any) -> Any:
        try:
            found = await asyncio.wait_for(self._equal.async_get_cache(key, **kwargs), _CACHE_SECONDS)
        except TimeoutError:
            return None
        return found if found is not None else await self._similar.find(kwargs)

    async def async_set_cache(self, key: str, value: Any, **kwargs: Any) -> None:
        await self._equal.async_set_cache(key, value, **kwargs)
        await self._similar.keep(kwargs, value)

    async def async_set_cache_pipeline(self, cache_list: list[Any], **kwargs: Any) -> None:
        await self._equal.async_set_cache_pipeline(cache_list, **kwargs)

    def get_cache(self, key: str, **kwargs: Any) -> Any:
        return self._equal.get_cache(key, **kwargs)

    def set_cache(self, key: str, value: Any, **kwargs: Any) -> None:
        self._equal.set_cache(key, value, **kwargs)

    async def batch_cache_write(self, key: str, value: Any, **kwargs: Any) -> None:
        await self._equal.batch_cache_write(key, value, **kwargs)

    async def disconnect(self) -> None:
        await self._equal.disconnect()

    async def test_connection(self) -> dict[str, Any]:
        answer: dict[str, Any] = await self._equal.test_connection()
        return answer


def _too_much(reason: str, retry_after: int) -> HTTPException:
    if request := SERVED.get():
        request.retry_after = retry_after
    return HTTPException(429, reason, {"Retry-After": str(retry_after)})


async def _cached(kwargs: dict[str, Any]) -> bool:
    return litellm.cache is not None and await litellm.cache.async_get_cache(**kwargs) is not None


def _asked_for(data: Mapping[str, Any]) -> str:
    return str(data.get("model") or data.get("search_tool_name") or "")


def _forget_what_a_client_says(data: dict[str, Any]) -> None:
    """Take out of a request what only we and LiteLLM's router may say in it."""
    for place in _METADATA:
        if isinstance(data.get(place), dict):
            for key in _OURS:
                data[place].pop(key, None)
        elif place in data:
            del data[place]  # no provider takes anything but an object there, and LiteLLM would fail over it


def _metadata(data: dict[str, Any]) -> dict[str, Any]:
    """Where LiteLLM keeps its own of this request; beside it a client's `metadata` may stand, which goes to the provider."""
    metadata: dict[str, Any] = data.setdefault(_METADATA[0] if _METADATA[0] in data else _METADATA[1], {})
    return metadata


def _kept(request: Mapping[str, Any], key: str) -> Any:
    """What we or the router keep under `key`, in whichever place LiteLLM has for it."""
    places = (request.get(place) for place in _METADATA)
    return next((place[key] for place in places if isinstance(place, Mapping) and place.get(key)), None)


def start(directory: Path) -> Budget:
    """The callback, from the settings in `directory`."""
    settings = ProxySettings.load((directory / "hook.json").read_text())
    store = Redis.from_url(
        settings.redis_url,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 0),  # Newer clients wait for seconds between three attempts.
        decode_responses=True,
    )
    budget = Budget(settings, store)
    budget.add_routes()
    return budget
