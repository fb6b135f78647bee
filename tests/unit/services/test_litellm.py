"""LiteLLM's configuration follows from the typed models and budgets."""

from dataclasses import replace

import pytest
import yaml

from services.litellm.configuration import render
from services.litellm.models import MODELS, PROVIDERS, Model, Provider, problems

DOCUMENT = yaml.safe_load(render())
NAMES = {model.name for model in MODELS}


def test_every_model_is_served_with_its_providers_key_from_the_environment() -> None:
    served = {entry["model_name"]: entry["litellm_params"] for entry in DOCUMENT["model_list"]}
    assert set(served) == NAMES
    assert len(served) == len(MODELS)
    for model in MODELS:
        assert served[model.name]["model"] == f"{model.provider.name}/{model.target}"
        assert served[model.name]["api_key"] == f"os.environ/{model.provider.key_variable}"


def test_fallbacks_lead_to_models_that_exist_and_never_from_free_to_paid() -> None:
    targets = {model.name: model.target for model in MODELS}
    for model in MODELS:
        assert set(model.fallbacks) <= NAMES - {model.name}, model.name
    for model in MODELS:
        if model.target.endswith(":free"):
            assert all(targets[name].endswith(":free") for name in model.fallbacks), model.name


def test_openrouter_requests_are_capped() -> None:
    for entry in DOCUMENT["model_list"]:
        if entry["litellm_params"]["model"].startswith("openrouter/"):
            assert entry["litellm_params"]["max_tokens"] == 4096


def test_each_provider_has_the_specifications_daily_budget_where_litellm_reads_it() -> None:
    budgets = DOCUMENT["router_settings"]["provider_budget_config"]
    assert {name: budget["budget_limit"] for name, budget in budgets.items()} == {
        "anthropic": 0.75,
        "openai": 0.50,
        "openrouter": 3.25,
        "gemini": 0.25,
    }
    assert {budget["time_period"] for budget in budgets.values()} == {"1d"}
    assert set(budgets) == {provider.name for provider in PROVIDERS}


def test_no_secret_and_no_paid_health_check_stands_in_it() -> None:
    assert "${secret:" not in render()
    assert DOCUMENT["general_settings"]["background_health_checks"] is False


@pytest.mark.parametrize(
    ("models", "providers", "what"),
    [
        (MODELS, (*PROVIDERS, replace(PROVIDERS[0], daily_budget=0.26)), "100.2% of DAILY_LIMIT"),
        ((replace(MODELS[0], eco="gpt-9"), *MODELS[1:]), PROVIDERS, "mapped to 'gpt-9'"),
        ((replace(MODELS[0], eco="gpt-4o"), *MODELS[1:]), PROVIDERS, "mapped to 'gpt-4o'"),
        ((replace(MODELS[0], fallbacks=("gpt-9",)), *MODELS[1:]), PROVIDERS, "falls back on gpt-9"),
        ((*MODELS[:-1], replace(MODELS[-1], fallbacks=("gpt-4o",))), PROVIDERS, "falls back on gpt-4o, which does not"),
    ],
)
def test_what_cannot_be_right_is_told(models: tuple[Model, ...], providers: tuple[Provider, ...], what: str) -> None:
    [problem] = problems(models, providers)
    assert what in str(problem)
    assert problem.fix and problem.example


def test_the_committed_models_have_no_problem() -> None:
    assert list(problems()) == []
