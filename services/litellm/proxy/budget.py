"""The rules of the budget, without any input or output: who may go on, the most that a request can cost, what a refusal says."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from math import ceil
from typing import Any

from services.litellm.proxy.settings import ModelTerms, Settings

CHARACTERS_PER_TOKEN = 2
"""Low, so that a reservation is not below the bill: English and French have about four, code three."""
TOKENS_PER_ATTACHMENT = 3000
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


def ceiling(name: str, settings: Settings) -> float:
    """The committed amount from which a model's requests are no longer paid for."""
    goes_on_in_eco = settings.models[name].eco == name
    return settings.daily_limit if goes_on_in_eco else settings.daily_limit * settings.eco_share


def worst_price(terms: ModelTerms, request: Mapping[str, Any]) -> float:
    """The most that `request` can cost: reserved before, so that requests side by side cannot spend the same dollar."""
    asked = next((request[key] for key in ("max_tokens", "max_completion_tokens", "max_output_tokens") if request.get(key)), None)
    output = min(int(asked), terms.maximum_tokens or int(asked)) if asked else terms.maximum_tokens
    answers = int(request.get("n") or 1)
    return terms.request_price + terms.input_price * _input_tokens(request) + terms.output_price * output * answers


def refusal(totals: Totals, provider: str, settings: Settings, now: datetime) -> Refusal:
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


def eco_models(settings: Settings) -> tuple[str, ...]:
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
    attachments = 0

    def text(value: object) -> object:
        """`value` without the bytes of attachments, which are billed by the piece."""
        nonlocal attachments
        if isinstance(value, str) and value.startswith("data:"):
            attachments += 1
            return ""
        if isinstance(value, Mapping):
            return {key: text(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [text(inner) for inner in value]
        return value

    written = json.dumps([text(part) for part in parts if part], ensure_ascii=False, default=str)
    return ceil(len(written) / CHARACTERS_PER_TOKEN) + attachments * TOKENS_PER_ATTACHMENT
