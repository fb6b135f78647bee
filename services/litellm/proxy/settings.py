"""What the catalogue tells the hook: one JSON file beside LiteLLM's configuration, written and read by the same types."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ModelTerms:
    """What one model costs, in USD, and who answers in its place in eco mode."""

    provider: str
    input_price: float = 0.0
    output_price: float = 0.0
    request_price: float = 0.0
    maximum_tokens: int = 0
    """The most output that a request can be billed for when it does not say less itself."""
    eco: str
    """The model that takes its requests in eco mode: itself when it may go on."""


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """Everything that the hook has to know."""

    redis_url: str
    daily_limit: float
    eco_share: float
    reported_shares: tuple[float, ...]
    """Shares of the daily limit that Telegram is told of, once a day each."""
    monthly_limits: Mapping[str, float]
    models: Mapping[str, ModelTerms]
    qdrant_url: str
    qdrant_key: str
    collection: str
    similarity: float
    """The least cosine similarity at which two questions are taken for the same."""
    embedding_model: str
    answer_seconds: int
    """How long an answer is kept for similar questions."""
    films_url: str
    films_key: str
    telegram_url: str
    telegram_token: str = ""
    telegram_chat: str = ""
    date_file: str = ""
    """A file that holds the date to go by instead of the clock's, for rehearsals; empty in production."""

    @classmethod
    def load(cls, text: str) -> "ProxySettings":
        """From JSON."""
        document: dict[str, Any] = json.loads(text)
        document["models"] = {name: ModelTerms(**terms) for name, terms in document["models"].items()}
        document["reported_shares"] = tuple(document["reported_shares"])
        return cls(**document)
