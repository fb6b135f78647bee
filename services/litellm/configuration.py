"""LiteLLM's config.yaml, rendered from the typed models and budgets."""

import yaml

from services.litellm.models import MODELS, PROVIDERS, Model


def render() -> str:
    """config.yaml. It holds no secret, so that its differences can be read: keys and URLs come from the environment."""
    redis_url = "os.environ/REDIS_URL"
    document: dict[str, object] = {
        "model_list": [_model(model) for model in MODELS],
        "router_settings": {
            "redis_url": redis_url,
            "num_retries": 2,
            "timeout": 120,
            "cooldown_time": 60,
            "fallbacks": [{model.name: list(model.fallbacks)} for model in MODELS if model.fallbacks],
            # Anywhere but under router_settings they are ignored (predecessor lesson 119).
            "provider_budget_config": {
                provider.name: {"budget_limit": provider.daily_budget, "time_period": "1d"} for provider in PROVIDERS
            },
        },
        "litellm_settings": {
            "drop_params": True,
            "num_retries": 2,
            "request_timeout": 120,
            "cache": True,
            "cache_params": {"type": "redis", "url": redis_url, "ttl": 3600},
        },
        "general_settings": {
            "master_key": "os.environ/LITELLM_MASTER_KEY",
            # Left on, they call and bill every model; 1,488 calls cost 11.64 USD (predecessor 5.3).
            "background_health_checks": False,
        },
    }
    return yaml.safe_dump(document, sort_keys=False, width=120)


def _model(model: Model) -> dict[str, object]:
    parameters: dict[str, object] = {
        "model": f"{model.provider.name}/{model.target}",
        "api_key": f"os.environ/{model.provider.key_variable}",
    }
    if model.maximum_tokens:
        parameters["max_tokens"] = model.maximum_tokens
    return {"model_name": model.name, "litellm_params": parameters}
