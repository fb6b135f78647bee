"""Answers to similar questions, in Qdrant.

Similar is only ever the last thing that the user said: model, parameters and everything said before must be equal, and a request
with tools is never answered from here. So an agent in the middle of its work does not get somebody else's step.
"""

import hashlib
import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.litellm.proxy.settings import Settings

Embed = Callable[[str], Awaitable[list[float]]]
Ask = Callable[[str, str, object, dict[str, str], float], Awaitable[Any]]

LONGEST_QUESTION = 8000
"""Characters; longer ones are documents rather than questions, and come near the embedding model's limit."""
PATIENCE_SECONDS = 1.0
PAUSE_SECONDS = 30.0
"""How long Qdrant is not asked again after it did not answer: without it there are just fewer hits."""
CLEANING_SECONDS = 3600
REMEMBERED_VECTORS = 100

_PARAMETERS = (
    *("frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "modalities", "n"),
    *("presence_penalty", "reasoning_effort", "response_format", "seed", "stop", "temperature", "thinking", "top_logprobs"),
    *("top_p", "verbosity", "web_search_options"),
    # The system prompt of Anthropic's API and of OpenAI's Responses stands beside the messages.
    *("instructions", "system", "tool_choice"),
)
_NEGATIONS = frozenset(
    (
        *("no", "not", "never", "none", "nothing", "without", "cannot", "neither", "nor"),
        *("ne", "non", "pas", "jamais", "aucun", "aucune", "rien", "sans", "ni"),
        *("nicht", "kein", "keine", "keinen", "nie", "niemals", "nichts", "ohne", "weder"),
        *("geen", "niet", "nooit", "zonder", "niets", "sin", "nunca", "nada", "senza", "mai", "nessun"),
    )
)
"""Words that turn a question round while its meaning stays near."""
_EXACT = re.compile(r"`[^`]*`|\"[^\"]*\"|«[^»]*»|“[^”]*”|\d+(?:[.,:/-]\d+)*|\w+n['\u2019]t\b|\w+")
_LOG = logging.getLogger("LiteLLM Proxy")


@dataclass(frozen=True)
class Question:
    """What is compared by meaning, and the hash of what must be equal."""

    text: str
    context: str


def question(request: Mapping[str, Any]) -> Question | None:
    """The question in a chat request; None when only an equal request may share its answer."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages or request.get("tools") or request.get("functions"):
        return None
    last = messages[-1]
    text = last.get("content") if isinstance(last, Mapping) and last.get("role") == "user" else None
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_QUESTION:
        return None
    parameters = {name: request[name] for name in _PARAMETERS if request.get(name) is not None}
    equal = [_model(request), messages[:-1], parameters, exact(text)]
    return Question(text, hashlib.sha256(json.dumps(equal, sort_keys=True, default=str).encode()).hexdigest())


def exact(text: str) -> list[str]:
    """What of a question has to be equal, in its order, however near two questions are: numbers, negations, quotations, code."""
    return [word for word in _EXACT.findall(text) if not word.isalpha() or word.lower() in _NEGATIONS]


class SimilarAnswers:
    """Finds and keeps answers by the meaning of the question."""

    def __init__(self, settings: Settings, embed: Embed, ask: Ask) -> None:
        self._settings = settings
        self._embed = embed
        self._ask = ask
        self._asked_again_at = 0.0
        self._cleaned_at = 0.0
        self._vectors: dict[str, list[float]] = {}
        """Of the last questions, so that one that was not found is not embedded again when its answer is kept."""

    async def find(self, request: Mapping[str, Any]) -> Any | None:
        """The kept answer to a similar question."""
        asked = question(request)
        if asked is None or self._left_alone():
            return None
        try:
            wanted = {
                "query": await self._vector(asked.text),
                "filter": {
                    "must": [
                        {"key": "context", "match": {"value": asked.context}},
                        {"key": "expires", "range": {"gt": time.time()}},
                    ]
                },
                "limit": 1,
                "score_threshold": self._settings.similarity,
                "with_payload": True,
            }
            found = (await self._qdrant("POST", "points/query", wanted))["result"]["points"]
            return json.loads(found[0]["payload"]["answer"]) if found else None
        except Exception as error:
            self._pause(error)
            return None

    async def keep(self, request: Mapping[str, Any], answer: Any) -> None:
        """Keep an answer for similar questions."""
        asked = question(request)
        if asked is None or self._left_alone():
            return
        try:
            point = {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{asked.context} {asked.text}")),
                "vector": await self._vector(asked.text),
                "payload": {
                    "context": asked.context,
                    "expires": time.time() + self._settings.answer_seconds,
                    "answer": json.dumps(answer),
                },
            }
            await self._qdrant("PUT", "points?wait=true", {"points": [point]})
            await self._clean()
        except Exception as error:
            self._pause(error)

    def _left_alone(self) -> bool:
        """There is no Qdrant, or it did not answer just now: no question is embedded for it, which would be paid for."""
        return not self._settings.qdrant_url or time.monotonic() < self._asked_again_at

    async def _vector(self, text: str) -> list[float]:
        if text not in self._vectors:
            self._vectors[text] = await self._embed(text)
            for oldest in list(self._vectors)[:-REMEMBERED_VECTORS]:
                del self._vectors[oldest]
        return self._vectors[text]

    async def _clean(self) -> None:
        """Qdrant itself expires nothing."""
        if time.monotonic() < self._cleaned_at + CLEANING_SECONDS and self._cleaned_at:
            return
        self._cleaned_at = time.monotonic()
        expired = {"filter": {"must": [{"key": "expires", "range": {"lt": time.time()}}]}}
        await self._qdrant("POST", "points/delete", expired)

    async def _qdrant(self, method: str, path: str, body: object) -> Any:
        url = f"{self._settings.qdrant_url}/collections/{self._settings.collection}/{path}"
        return await self._ask(method, url, body, {"api-key": self._settings.qdrant_key}, PATIENCE_SECONDS)

    def _pause(self, error: Exception) -> None:
        self._asked_again_at = time.monotonic() + PAUSE_SECONDS
        _LOG.warning("cache: no answers to similar questions for %.0f s: %r", PAUSE_SECONDS, error)


def _model(request: Mapping[str, Any]) -> str:
    for place in ("metadata", "litellm_metadata"):
        group = (request.get(place) or {}).get("model_group")
        if group:
            return str(group)
    return str(request.get("model"))
