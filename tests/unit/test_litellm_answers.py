"""Answers to similar questions: what counts as similar, and that Qdrant may be away."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from services.litellm.proxy.answers import LONGEST_QUESTION, SimilarAnswers, question
from services.litellm.proxy.settings import Settings
from tests.unit.test_litellm_budget import SETTINGS as OF_THE_BUDGET

SETTINGS = replace(OF_THE_BUDGET, qdrant_url="http://qdrant:6333")


class Qdrant:
    """Finds every point whose context is asked for."""

    def __init__(self) -> None:
        self.points: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.away = False

    async def ask(self, method: str, url: str, body: Any, headers: dict[str, str], seconds: float) -> Any:
        self.asked.append(url.rpartition("/")[2])
        if self.away:
            raise ConnectionError
        assert headers == {"api-key": "key"}
        if method == "PUT":
            self.points += body["points"]
        if not url.endswith("/query"):
            return {"result": {}}
        context = body["filter"]["must"][0]["match"]["value"]
        found = [point for point in self.points if point["payload"]["context"] == context]
        assert body["score_threshold"] == SETTINGS.similarity
        return {"result": {"points": found[:1]}}


def chat(*texts: str, **more: object) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]
    return {"model": "m", "metadata": {"model_group": "glm-5"}, "messages": messages, **more}


async def embed(text: str) -> list[float]:
    return [float(len(text)), 1.0]


def answers(qdrant: Qdrant) -> SimilarAnswers:
    return SimilarAnswers(SETTINGS, embed, qdrant.ask)


def test_a_kept_answer_is_found_by_a_similar_question() -> None:
    async def ask() -> Any:
        found = answers(Qdrant())
        assert await found.find(chat("where is Paris?")) is None
        await found.keep(chat("where is Paris?"), {"response": "in France"})
        return await found.find(chat("Paris is where?"))

    assert asyncio.run(ask()) == {"response": "in France"}


@pytest.mark.parametrize(
    "other",
    [
        chat("x", temperature=0.9),
        chat("x", max_tokens=5),
        chat("before", "answer", "x"),
        chat("x", metadata={"model_group": "claude-opus"}),
    ],
)
def test_another_model_parameter_or_conversation_is_another_context(other: dict[str, Any]) -> None:
    mine, theirs = question(chat("x")), question(other)
    assert mine and theirs
    assert mine.context != theirs.context


@pytest.mark.parametrize(
    "request_",
    [
        chat("x", tools=[{"type": "function"}]),
        chat("question", "answer"),
        chat(" "),
        chat("x" * (LONGEST_QUESTION + 1)),
        {"input": "x"},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
    ],
)
def test_what_only_an_equal_request_may_share(request_: dict[str, Any]) -> None:
    assert question(request_) is None


def test_a_question_is_embedded_once() -> None:
    embedded: list[str] = []

    async def counting(text: str) -> list[float]:
        embedded.append(text)
        return [1.0]

    async def ask() -> None:
        found = SimilarAnswers(SETTINGS, counting, Qdrant().ask)
        await found.find(chat("x"))
        await found.keep(chat("x"), json.dumps({}))

    asyncio.run(ask())
    assert embedded == ["x"]


def test_qdrant_away_is_no_error_and_is_not_asked_again_at_once() -> None:
    async def ask(qdrant: Qdrant) -> None:
        found = answers(qdrant)
        assert await found.find(chat("x")) is None
        await found.keep(chat("x"), {})
        assert await found.find(chat("x")) is None

    qdrant = Qdrant()
    qdrant.away = True
    asyncio.run(ask(qdrant))
    assert qdrant.asked == ["query"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Convert 900 euros to dollars", "Convert 950 euros to dollars"),
        ("Is it safe to eat this?", "Is it not safe to eat this?"),
        ("Est-ce que c'est permis ?", "Est-ce que ce n'est pas permis ?"),
        ("Darf man das?", "Darf man das nicht?"),
        ("What does `ls -l` print?", "What does `ls -a` print?"),
        ('Translate "good morning"', 'Translate "good night"'),
        ("What happened on 2026-11-22?", "What happened on 2026-11-23?"),
        ("It doesn't work", "It works"),
    ],
)
def test_a_number_a_negation_or_a_quotation_makes_another_question(one: str, other: str) -> None:
    first, second = (question({"model": "m", "messages": [{"role": "user", "content": text}]}) for text in (one, other))
    assert first and second
    assert first.context != second.context


def test_the_same_question_in_other_words_is_still_one() -> None:
    one, other = ("please tell me where the old town of Ghent is", "please tell me where is the old town of Ghent")
    first, second = (question({"model": "m", "messages": [{"role": "user", "content": text}]}) for text in (one, other))
    assert first and second
    assert first.context == second.context


@pytest.mark.parametrize("key", ["system", "instructions"])
def test_another_system_prompt_never_shares_an_answer(key: str) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "Who are you?"}]}
    first, second = question({**asked, key: "You are a pirate"}), question({**asked, key: "You are a nurse"})
    assert first and second
    assert first.context != second.context


def test_where_there_is_no_qdrant_nothing_is_asked_and_no_question_is_embedded() -> None:
    embedded: list[str] = []

    async def paid(text: str) -> list[float]:
        embedded.append(text)
        return await embed(text)

    async def ask(settings: Settings) -> list[str]:
        qdrant = Qdrant()
        found = SimilarAnswers(settings, paid, qdrant.ask)
        await found.find(chat("where is Paris?"))
        await found.keep(chat("where is Paris?"), {"response": "in France"})
        return qdrant.asked

    assert asyncio.run(ask(replace(SETTINGS, qdrant_url=""))) == [] == embedded
    assert asyncio.run(ask(replace(SETTINGS, qdrant_url="http://qdrant:6333"))) and embedded
