"""LiteLLM's config.yaml and the hook's settings, rendered from the typed models and budgets."""

from dataclasses import asdict
from pathlib import Path

import yaml

from model.problem import refuse
from model.secret import json_text
from model.service import File
from services.litellm import models
from services.litellm.models import FILMS, MODELS, PROVIDERS, SEARCHES, Model, Search
from services.litellm.proxy.settings import ModelTerms, ProxySettings

ANSWER_SECONDS = 3600
"""Seconds for which an answer is kept for the same question."""
_IMPATIENT = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
"""Without this LiteLLM's own Redis clients wait 5 s before each request when Redis is down."""
_PROXY = Path(__file__).parent / "proxy"


def render() -> str:
    """config.yaml. It has no secret, so that its differences are readable: keys and URLs come from the environment."""
    refuse(models.problems())
    redis_url = "os.environ/REDIS_URL"
    document: dict[str, object] = {
        "model_list": [_model(model) for model in MODELS],
        "search_tools": [_search(search) for search in SEARCHES],
        "router_settings": {
            "redis_url": redis_url,
            "num_retries": 2,
            "timeout": 120,
            "cooldown_time": 60,
            "fallbacks": [{model.name: list(model.fallbacks)} for model in MODELS if model.fallbacks],
            "cache_kwargs": _IMPATIENT,
            # LiteLLM ignores them anywhere but under router_settings.
            "provider_budget_config": {
                provider.name: {"budget_limit": provider.daily_budget, "time_period": "1d"} for provider in PROVIDERS
            },
        },
        "litellm_settings": {
            "drop_params": True,
            "num_retries": 2,
            "request_timeout": 120,
            "cache": True,
            "cache_params": {"type": "redis", "url": redis_url, "ttl": ANSWER_SECONDS, **_IMPATIENT},
            "callbacks": ["services.litellm.proxy.callback.instance"],
        },
        "general_settings": {
            "master_key": "os.environ/LITELLM_MASTER_KEY",
            # If on, health checks call and bill every model; 1,488 calls cost the predecessor 11.64 USD.
            "background_health_checks": False,
        },
    }
    return yaml.safe_dump(document, sort_keys=False, width=120)


def _model(model: Model) -> dict[str, object]:
    parameters: dict[str, object] = {
        "model": f"{model.provider.name}/{model.target}",
        "api_key": f"os.environ/{model.provider.key_variable}",
    }
    # Explicit prices: LiteLLM counts a model that its map does not know as free of charge, without a warning.
    parameters["input_cost_per_token"] = model.price.input / 1e6
    parameters["output_cost_per_token"] = model.price.output / 1e6
    if model.maximum_tokens:
        parameters["max_tokens"] = model.maximum_tokens
    return {"model_name": model.name, "litellm_params": parameters}


def _search(search: Search) -> dict[str, object]:
    key = f"os.environ/{search.provider.upper()}_API_KEY"
    return {"search_tool_name": search.name, "litellm_params": {"search_provider": search.provider, "api_key": key}}


def hook(
    *, redis_url: str, qdrant_url: str = "", qdrant_key: str, films_key: str, telegram_token: str, telegram_chat: str
) -> tuple[File, ...]:
    """The hook's code and its settings, for LiteLLM's configuration directory; without Qdrant `qdrant_url` is empty."""
    settings = ProxySettings(
        redis_url=redis_url,
        daily_limit=models.DAILY_LIMIT,
        eco_share=models.ECO_SHARE,
        reported_shares=models.TOLD_SHARES,
        monthly_limits=models.MONTHLY_LIMITS,
        models={model.name: _terms(model) for model in MODELS} | _other_terms(),
        qdrant_url=qdrant_url,
        qdrant_key=qdrant_key,
        collection="semantic_cache",
        similarity=0.85,
        embedding_model="embedding",
        answer_seconds=ANSWER_SECONDS,
        films_url="https://ark.ap-southeast.bytepluses.com/api/v3",
        films_key=films_key,
        telegram_url="https://api.telegram.org",
        telegram_token=telegram_token,
        telegram_chat=telegram_chat,
        date_file="",
    )
    code = (File(path=f"services/litellm/proxy/{file.name}", content=file.read_text()) for file in sorted(_PROXY.glob("*.py")))
    return (*code, File(path="services/litellm/proxy/hook.json", content=json_text(asdict(settings), indent=1)))


def _terms(model: Model) -> ModelTerms:
    return ModelTerms(
        provider=model.provider.name,
        input_price=model.price.input / 1e6,
        output_price=model.price.output / 1e6,
        maximum_tokens=model.maximum_tokens,
        eco=model.eco or model.name,
    )


def _other_terms() -> dict[str, ModelTerms]:
    """Terms of searches and films, which are no models of LiteLLM's; eco mode does not change them."""
    searches = {
        search.name: ModelTerms(provider=search.provider, request_price=search.price, eco=search.name) for search in SEARCHES
    }
    films = {
        film.name: ModelTerms(
            provider=film.provider, output_price=film.price.output / 1e6, maximum_tokens=film.maximum_tokens, eco=film.name
        )
        for film in FILMS
    }
    return searches | films
