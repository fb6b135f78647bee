"""Films of BytePlus: what is held, billed and refused, and what the metrics tell of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.litellm.models import FILMS
from services.litellm.proxy.films import Answer, Films, most
from services.litellm.proxy.ledger import Account, Ledger
from services.litellm.proxy.metrics import Usage
from tests.unit.services.test_litellm_budget import NOW, SETTINGS, Redis

MODEL = FILMS[0].name
TERMS = SETTINGS.models[MODEL]
SMALL = {"model": MODEL, "resolution": "720p", "duration": 5, "content": [{"type": "text", "text": "a film"}]}
TOKENS = 108_900


class BytePlus:
    """Numbers its tasks; each is `status` when asked for."""

    def __init__(self, status: str = "succeeded") -> None:
        self.status = status
        self.tasks = 0
        self.error: Exception | None = None

    async def exchange(
        self, method: str, url: str, body: object, headers: Mapping[str, str], seconds: float
    ) -> tuple[int, dict[str, Any]]:
        assert headers == {"Authorization": "Bearer key"}
        assert url.startswith("https://ark.ap-southeast.bytepluses.com/api/v3/contents/generations/tasks")
        if self.error:
            raise self.error
        if method == "POST":
            self.tasks += 1
            return 200, {"id": f"cgt-{self.tasks}"}
        usage = {"completion_tokens": TOKENS} if self.status == "succeeded" else {}
        return 200, {"id": url.rpartition("/")[2], "model": MODEL, "status": self.status, "usage": usage}


def films(store: Redis, byteplus: BytePlus, key: str = "key") -> Films:
    settings = replace(SETTINGS, films_key=key)
    return Films(settings, Ledger(store, settings, lambda: NOW), byteplus.exchange, lambda: NOW)


def create(store: Redis, byteplus: BytePlus, request: Mapping[str, Any] = SMALL, key: str = "key") -> Answer:
    return asyncio.run(films(store, byteplus, key).create(request))


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        ({}, TOKENS),
        ({"resolution": "1080p"}, 245_025),
        ({"resolution": None}, TERMS.maximum_tokens),
        ({"duration": -1}, TERMS.maximum_tokens),
        ({"content": [{"type": "text", "text": "a film --dur 12"}]}, TERMS.maximum_tokens),
    ],
)
def test_what_a_film_may_cost(said: dict[str, object], tokens: int) -> None:
    assert most(TERMS, {**SMALL, **said}) == pytest.approx(tokens * 2.4e-6)


def test_a_film_is_held_until_it_is_done_and_then_billed_once() -> None:
    store, byteplus = Redis(), BytePlus("running")
    status, document, _ = create(store, byteplus)
    assert (status, document) == (200, {"id": "cgt-1"})
    assert set(store.held) == {"cgt-1"}
    asyncio.run(films(store, byteplus).show("cgt-1"))
    assert (set(store.held), store.month) == ({"cgt-1"}, {})
    byteplus.status = "succeeded"
    for _ in range(2):
        asyncio.run(films(store, byteplus).show("cgt-1"))
    assert store.held == {}
    assert store.month == {"byteplus": pytest.approx(TOKENS * 2.4e-6)}
    assert store.spent == 0.0


def test_a_film_that_failed_costs_nothing() -> None:
    store, byteplus = Redis(), BytePlus("failed")
    create(store, byteplus)
    asyncio.run(films(store, byteplus).show("cgt-1"))
    assert (store.held, store.month) == ({}, {})


def test_films_under_way_count_too_and_the_month_refuses() -> None:
    store, byteplus = Redis(), BytePlus()
    answers = [create(store, byteplus, {"model": MODEL}) for _ in range(5)]
    assert [status for status, _, _ in answers] == [200, 200, 200, 200, 429]
    _, document, headers = answers[-1]
    assert "5.00 USD a month for byteplus" in document["error"]["message"]
    assert int(headers["Retry-After"]) == 8 * 86400 + 3600


def test_what_cannot_be_made_says_why_and_holds_nothing() -> None:
    store, byteplus = Redis(), BytePlus()
    assert create(store, byteplus, {"model": "gpt-4o"})[:2] == (
        400,
        {"error": {"message": f"gpt-4o is no model for films; there are: {MODEL}"}},
    )
    assert "byteplus_api_key" in create(store, byteplus, key="")[1]["error"]["message"]
    byteplus.error = TimeoutError("timed out")
    assert create(store, byteplus)[0] == 502
    assert (store.held, byteplus.tasks) == ({}, 0)


def test_without_redis_no_film_is_made() -> None:
    store = Redis()
    store.away = True

    async def ask() -> int:
        return (await films(store, BytePlus()).create(SMALL))[0]

    assert asyncio.run(ask()) == 503


def test_a_task_is_asked_for_by_its_name_alone() -> None:
    assert asyncio.run(films(Redis(), BytePlus()).show("../models"))[0] == 404


def test_the_metrics_tell_the_account_that_refuses() -> None:
    usage = Usage()
    usage.count("glm-5", 0.25, 20)
    usage.count("glm-5", 0.25, 20)
    page = usage.text(Account(4.6, "eco", {"openrouter": 4.6, "byteplus": 1.0}), SETTINGS)
    lines = set(page.splitlines())
    assert lines >= {
        'litellm_spend_metric_total{model="glm-5"} 0.5',
        'litellm_requests_metric_total{model="glm-5"} 2.0',
        'litellm_total_tokens_metric_total{model="glm-5"} 40.0',
        "litellm_budget_account_up 1.0",
        "litellm_budget_limit_usd 5.0",
        "litellm_budget_spent_usd 4.6",
        'litellm_budget_mode{mode="eco"} 1.0',
        'litellm_budget_mode{mode="blocked"} 0.0',
        'litellm_budget_month_spent_usd{provider="byteplus"} 1.0',
    }


def test_without_redis_the_metrics_do_not_claim_a_spend() -> None:
    page = Usage().text(None, replace(SETTINGS, monthly_limits={}))
    assert "litellm_budget_account_up 0.0" in page
    assert "spent_usd" not in page
