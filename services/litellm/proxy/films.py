"""BytePlus's films, behind LiteLLM's door: LiteLLM has no provider for them, and its authenticated pass-through is not free.

Their API is BytePlus's own (docs.byteplus.com/en/docs/ModelArk, video generation): a task is made, then asked for until it
is done, and tells then how many tokens it is billed for. From the start until then the most that it can cost is held.
"""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from math import ceil
from typing import Any

from services.litellm.proxy.budget import SECONDS_TO_ASK_AGAIN, refusal
from services.litellm.proxy.ledger import Ledger
from services.litellm.proxy.settings import ModelTerms, ProxySettings

PROVIDER = "byteplus"
PATH = "/contents/generations/tasks"
HELD_SECONDS = 31 * 86400
"""A task that nobody asks for again weighs on the month as long as that."""
SECONDS = 60.0
FRAMES_A_SECOND = 24
PIXELS = {"480p": 864 * 480, "720p": 1280 * 720, "1080p": 1920 * 1080}
_DONE = ("succeeded", "failed", "cancelled", "expired")

Exchange = Callable[[str, str, object, Mapping[str, str], float], Awaitable[tuple[int, Any]]]
Answer = tuple[int, Any, dict[str, str]]
"""Status, document and headers."""


class Films:
    """Makes tasks and shows them, counted against the provider's month."""

    def __init__(self, settings: ProxySettings, ledger: Ledger, exchange: Exchange, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._exchange = exchange
        self._clock = clock

    async def create(self, request: Mapping[str, Any]) -> Answer:
        """Start a film, if the month can pay for it."""
        model = str(request.get("model"))
        terms = self._terms(model)
        if terms is None:
            return _error(400, f"{model} is no model for films; there are: {', '.join(self._models())}")
        if not self._settings.films_key:
            return _error(503, "There is no key for BytePlus: pulumi config set --secret vpai:byteplus_api_key, then deploy")
        identity, price = str(uuid.uuid4()), most(terms, request)
        verdict = await self._ledger.reserve(identity, model, price)
        if not verdict.admitted:
            if verdict.blind:
                return _error(503, "Redis, which holds the account of films, does not answer", SECONDS_TO_ASK_AGAIN)
            refused = refusal(verdict.totals, PROVIDER, self._settings, self._clock())
            return _error(429, refused.reason, refused.retry_after)
        try:
            status, document = await self._ask("POST", "", request)
            if status < 300 and document.get("id"):
                await self._ledger.hold(str(document["id"]), model, price, HELD_SECONDS)
        except OSError as error:
            return _error(502, f"BytePlus does not answer: {error}")
        finally:
            await self._ledger.release(identity)
        return status, document, {}

    async def show(self, task: str) -> Answer:
        """How far a film is; the first time that it is done, it is billed."""
        if not re.fullmatch(r"[\w-]+", task):
            return _error(404, f"There is no task {task}")
        try:
            status, document = await self._ask("GET", f"/{task}", None)
        except OSError as error:
            return _error(502, f"BytePlus does not answer: {error}")
        terms = self._terms(str(document.get("model")))
        if status == 200 and terms and document.get("status") in _DONE:
            tokens = (document.get("usage") or {}).get("completion_tokens") or 0
            await self._ledger.bill(task, PROVIDER, terms.output_price * tokens)
        return status, document, {}

    async def _ask(self, method: str, path: str, body: object) -> tuple[int, Any]:
        url = f"{self._settings.films_url}{PATH}{path}"
        return await self._exchange(method, url, body, {"Authorization": f"Bearer {self._settings.films_key}"}, SECONDS)

    def _terms(self, model: str) -> ModelTerms | None:
        return self._settings.models[model] if model in self._models() else None

    def _models(self) -> list[str]:
        return [name for name, terms in self._settings.models.items() if terms.provider == PROVIDER]


def most(terms: ModelTerms, request: Mapping[str, Any]) -> float:
    """The most that a film can cost: width x height x frames / 1024 tokens, the longest and largest when it does not say."""
    pixels, seconds = PIXELS.get(str(request.get("resolution"))), request.get("duration")
    told_otherwise = any("--" in str(part.get("text")) for part in request.get("content") or () if isinstance(part, Mapping))
    if told_otherwise or pixels is None or not isinstance(seconds, int) or seconds <= 0:
        return terms.output_price * terms.maximum_tokens
    return terms.output_price * ceil(pixels * (FRAMES_A_SECOND * seconds + 1) / 1024)


def _error(status: int, message: str, retry_after: int = 0) -> Answer:
    return status, {"error": {"message": message}}, {"Retry-After": str(retry_after)} if retry_after else {}
