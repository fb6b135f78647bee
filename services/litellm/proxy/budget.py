"""The rules of the budget, without any input or output: who may go on, the most that a request can cost, what a refusal says."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from math import ceil
from typing import Any

from services.litellm.proxy.settings import ModelTerms, ProxySettings

CHARACTERS_PER_TOKEN = 2
"""Low, so that a reservation is not below the bill: English and French have about four, code three."""
TOKENS_PER_ATTACHMENT = 3000
"""A picture, or a page of a document: Anthropic bills a page as its text and a picture, 1,500 to 3,000 tokens
(platform.claude.com/docs, PDF support)."""
BYTES_PER_PAGE = 20_000
"""Low, so that a document is not taken for fewer pages than it has: base64 of a page of plain text is three times as long."""
MOST_PAGES = 100
"""Of a document that a request only names, by its address or the id of a file: what Anthropic takes at most
(platform.claude.com/docs, PDF support)."""
SHORTEST_DOCUMENT = 200
"""Characters of base64; what is shorter is the id of a file."""
_NAMED = re.compile(r"[a-z][a-z0-9+]*://", re.IGNORECASE)
_ATTACHMENTS = ("image", "image_url", "input_image", "document", "file", "input_file", "input_audio", "video_url")
"""Parts of a message that are no text, in the words of the three APIs."""
OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_ANSWERS = ("n", "best_of")
MOST_ANSWERS = 16
SECONDS_TO_ASK_AGAIN = 30


@dataclass(frozen=True)
class Totals:
    """USD of the day: `spent` is billed, `committed` adds what requests under way may still cost."""

    spent: float
    committed: float


@dataclass(frozen=True)
class Refusal:
    """Why a request is not paid for, and after how many seconds it may be."""

    reason: str
    retry_after: int


def ceiling(name: str, settings: ProxySettings) -> float:
    """The committed amount from which a model's requests are no longer paid for."""
    goes_on_in_eco = settings.models[name].eco == name
    return settings.daily_limit if goes_on_in_eco else settings.daily_limit * settings.eco_share


class BadNumberError(ValueError):
    """A number of a request that no provider takes, and that would make its reservation too small; says which and why."""


def limit(terms: ModelTerms, request: dict[str, Any]) -> None:
    """Bring the numbers of `request` that decide its price into the bounds of the reservation; raises `BadNumberError`.

    What asks for more output than the model is billed for gets the model's maximum; -1, some clients' word for no limit, is
    left out.
    """
    for key in OUTPUT_LIMITS:
        if (asked := request.get(key)) is None:
            continue
        if _is_whole(asked) and asked == -1:
            del request[key]
        elif not _is_whole(asked) or asked < 1:
            raise BadNumberError(f"{key} is {_shown(asked)}; give a whole number from 1 on, or leave it out")
        elif terms.maximum_tokens:
            request[key] = min(asked, terms.maximum_tokens)
    for key in _ANSWERS:
        asked = request.get(key)
        if asked is not None and not (_is_whole(asked) and 1 <= asked <= MOST_ANSWERS):
            raise BadNumberError(f"{key} is {_shown(asked)}; give a whole number from 1 to {MOST_ANSWERS}, or leave it out")


@dataclass(frozen=True)
class Estimate:
    """What a request costs as far as it can be known without the provider: USD."""

    given: float
    """Its input."""
    worst: float
    """The most: reserved before, so that requests side by side cannot spend the same dollar."""
    token: float
    """One token of its output."""

    def after(self, characters: int) -> float:
        """When so many characters were answered, and nobody says the price."""
        return min(self.given + self.token * ceil(characters / CHARACTERS_PER_TOKEN), self.worst)


def estimate(terms: ModelTerms, request: Mapping[str, Any]) -> Estimate:
    """Of `request`; never less than nothing, whatever stands in it."""
    asked = [int(request[key]) for key in OUTPUT_LIMITS if _is_whole(request.get(key)) and request[key] > 0]
    most = terms.maximum_tokens or max(asked, default=0)
    output = min(max(asked, default=most), most)
    answers = max([1, *(int(request[key]) for key in _ANSWERS if _is_whole(request.get(key)))])
    given = terms.request_price + terms.input_price * _input_tokens(request)
    return Estimate(given, given + terms.output_price * output * answers, terms.output_price)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str:
    return json.dumps(value, default=str)[:40]


def refusal(totals: Totals, provider: str, settings: ProxySettings, now: datetime) -> Refusal:
    """What the client reads, and until when: the day's turn, or soon when requests under way hold what is left."""
    if provider in settings.monthly_limits:
        reason = (
            f"The {settings.monthly_limits[provider]:.2f} USD a month for {provider} are spent, or held for what is under way, "
            "until the UTC month turns; to go on before, raise MONTHLY_LIMITS in services/litellm/models.py and deploy."
        )
        return Refusal(reason, seconds_to_next_month(now))
    if totals.spent >= settings.daily_limit:
        reason = (
            f"The budget of {settings.daily_limit:.2f} USD a day is spent ({totals.spent:.4f}). Only cached answers are served "
            "until the UTC day turns; to go on today raise DAILY_LIMIT in services/litellm/models.py and deploy."
        )
        return Refusal(reason, seconds_to_midnight(now))
    reason = (
        f"Requests under way may use up what is left of the {settings.daily_limit:.2f} USD of this day "
        f"(spent {totals.spent:.4f}, with them {totals.committed:.4f}). Ask again when they are done, or use one of "
        f"{', '.join(eco_models(settings))}."
    )
    return Refusal(reason, SECONDS_TO_ASK_AGAIN)


def eco_models(settings: ProxySettings) -> tuple[str, ...]:
    """The models that others are mapped to."""
    return tuple(sorted({terms.eco for name, terms in settings.models.items() if terms.eco != name}))


def seconds_to_midnight(now: datetime) -> int:
    """Until the UTC day turns."""
    return _seconds_to(now + timedelta(days=1), now)


def seconds_to_next_month(now: datetime) -> int:
    """Until the UTC month turns."""
    return _seconds_to(now.replace(day=1) + timedelta(days=32), now, first=True)


def _seconds_to(day: datetime, now: datetime, *, first: bool = False) -> int:
    date = day.date().replace(day=1) if first else day.date()
    return max(1, ceil((datetime.combine(date, time.min, UTC) - now).total_seconds()))


def _input_tokens(request: Mapping[str, Any]) -> int:
    parts = [request.get(key) for key in ("messages", "input", "prompt", "system", "instructions", "tools")]
    pieces = 0

    def text(value: object) -> object:
        """`value` without what attachments hold, which are billed by the piece."""
        nonlocal pieces
        if isinstance(value, Mapping):
            if value.get("type") in _ATTACHMENTS and _source(value) in ("text", "content"):
                return value
            if value.get("type") in _ATTACHMENTS and (held := max(_strings(value), key=len, default="")):
                pieces += _pieces(value, held)
                return _without(value, held)
            return {key: text(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [text(inner) for inner in value]
        return value

    written = json.dumps([text(part) for part in parts if part], ensure_ascii=False, default=str)
    return ceil(len(written) / CHARACTERS_PER_TOKEN) + pieces * TOKENS_PER_ATTACHMENT


def _pieces(part: Mapping[str, Any], held: str) -> int:
    """How many pieces an attachment is billed as: a picture is one, whatever its size; of what is named alone, the most."""
    if "image" in part["type"] or held.startswith("data:image/"):
        return 1
    named = _source(part) in ("url", "file") or _NAMED.match(held) or len(held) < SHORTEST_DOCUMENT
    return MOST_PAGES if named else 1 + len(held) // BYTES_PER_PAGE


def _source(part: Mapping[str, Any]) -> object:
    """How an attachment of Anthropic's says what it holds: as base64, text, or by a name."""
    source = part.get("source")
    return source.get("type") if isinstance(source, Mapping) else None


def _without(value: Any, held: str) -> Any:
    """An attachment without what it holds."""
    if isinstance(value, Mapping):
        return {key: _without(inner, held) for key, inner in value.items()}
    return "" if value == held else value


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
