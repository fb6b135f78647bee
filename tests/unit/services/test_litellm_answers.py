"""Answers to similar questions: what counts as similar, and that Qdrant may be away."""

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings, strategies

from services.litellm.proxy.answers import LONGEST_QUESTION, SimilarAnswers, question
from services.litellm.proxy.settings import ProxySettings
from tests.unit.services.test_litellm_budget import SETTINGS as OF_THE_BUDGET

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
    """A request of a caller that asks for similar answers."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]
    return {"model": "m", "metadata": {"model_group": "glm-5"}, "messages": messages, "cache": {"similar": True}, **more}


X = "what is x?"


async def embed(text: str) -> list[float]:
    return [float(len(text)), 1.0]


def answers(qdrant: Qdrant) -> SimilarAnswers:
    return SimilarAnswers(SETTINGS, embed, qdrant.ask)


def test_a_kept_answer_is_found_by_a_similar_question() -> None:
    async def ask() -> Any:
        found = answers(Qdrant())
        assert await found.find(chat("where is Paris?")) is None
        await found.keep(chat("where is Paris?"), {"response": "in France"})
        return await found.find(chat("where, please, is Paris?"))

    assert asyncio.run(ask()) == {"response": "in France"}


@pytest.mark.parametrize(
    "other",
    [
        chat(X, temperature=0.9),
        chat(X, max_tokens=5),
        chat("before", "answer", X),
        chat(X, metadata={"model_group": "claude-opus"}),
    ],
)
def test_another_model_parameter_or_conversation_is_another_context(other: dict[str, Any]) -> None:
    mine, theirs = question(chat(X)), question(other)
    assert mine and theirs
    assert mine.context != theirs.context


@pytest.mark.parametrize(
    "request_",
    [
        chat(X, tools=[{"type": "function"}]),
        chat(X, functions=[{"name": "f"}]),
        chat("question", "answer"),
        chat(" "),
        chat(X * LONGEST_QUESTION),
        chat("空はなぜ青いのですか?"),
        chat("Jaka jest stolica Polski?"),
        {"input": X, "cache": {"similar": True}},
        {**chat(), "messages": [{"role": "user", "content": [{"type": "text", "text": X}, {"type": "image_url"}]}]},
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
        await found.find(chat(X))
        await found.keep(chat(X), json.dumps({}))

    asyncio.run(ask())
    assert embedded == [X]


def test_qdrant_away_is_no_error_and_is_not_asked_again_at_once() -> None:
    async def ask(qdrant: Qdrant) -> None:
        found = answers(qdrant)
        assert await found.find(chat(X)) is None
        await found.keep(chat(X), {})
        assert await found.find(chat(X)) is None

    qdrant = Qdrant()
    qdrant.away = True
    asyncio.run(ask(qdrant))
    assert qdrant.asked == ["query"]


# Which questions are never taken for the same, however near they are


@dataclass(frozen=True)
class Kind:
    """Pairs of questions, each with how near two embedding models take it to be, and whether one answer does for both."""

    name: str
    same: bool
    pairs: tuple[tuple[str, str, float, float], ...]


FACTS = Path(__file__).parents[1] / "facts" / "questions.yaml"
KINDS = [
    Kind(kind["kind"], kind["same"], tuple((str(a), str(b), *near) for a, b, *near in kind["pairs"]))
    for kind in yaml.safe_load(FACTS.read_text())
]
NEVER = ("numbers", "numbers as words", "negation", "quotations", "asked in another language")
"""Kinds of which not one pair may pass."""
LET_THROUGH = {
    "names": 10,
    "code": 4,
    "order": 9,
    "opposites": 18,
    "time": 9,
    "units": 6,
    "people": 8,
    "answered in another language": 3,
    "the answer's form": 11,
}
"""How many pairs of a kind the guard cannot tell by form: the reason why nobody gets a similar answer who did not ask for one."""
FOUND = {
    "the same in another order": 8,
    "the same politely": 14,
    "the same in other words": 30,
    "the same written otherwise": 11,
}


def shared(one: str, other: str) -> bool:
    first, second = question(chat(one)), question(chat(other))
    return first is not None and second is not None and first.context == second.context


def passed(kind: Kind) -> list[tuple[str, str, float, float]]:
    """The pairs of which the one's answer would be the other's if their texts were near enough."""
    return [pair for pair in kind.pairs if shared(pair[0], pair[1])]


def test_the_labelled_set_is_large_enough_and_says_nothing_twice() -> None:
    pairs = [frozenset(pair[:2]) for kind in KINDS for pair in kind.pairs]
    assert len(pairs) >= 300
    assert len(set(pairs)) == len(pairs)
    assert {len(pair) for pair in pairs} == {2}
    assert {kind.name for kind in KINDS} == {*NEVER, *LET_THROUGH, *FOUND}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_the_guard_lets_through_of_each_kind(kind: Kind) -> None:
    expected = {**dict.fromkeys(NEVER, 0), **LET_THROUGH, **FOUND}[kind.name]
    assert len(passed(kind)) == expected, passed(kind)
    assert kind.same == (kind.name in FOUND)


@pytest.mark.parametrize("model", [2, 3], ids=["multilingual", "english"])
@pytest.mark.parametrize("similarity", [SETTINGS.similarity, 0.95])
def test_no_embedding_is_precise_enough_for_callers_that_do_not_ask(model: int, similarity: float) -> None:
    """Below 99 % the cache is for callers that ask; a guard that passes this test the other way makes a new decision."""
    near = [(kind.same, pair) for kind in KINDS for pair in kind.pairs if float(pair[model]) >= similarity]
    guarded = [same for same, pair in near if shared(pair[0], pair[1])]
    unguarded = sum(same for same, _ in near) / len(near)
    assert unguarded + 0.15 < sum(guarded) / len(guarded) < 0.99


@pytest.mark.parametrize("wish", [{}, {"similar": False}, {"similar": "true"}, {"use-cache": True}, None, "similar", ["similar"]])
def test_who_does_not_ask_for_similar_answers_never_gets_another_questions(wish: object) -> None:
    async def ask() -> Any:
        found = answers(Qdrant())
        await found.keep(chat("where is Paris?"), {"response": "in France"})
        return await found.find({**chat("where, please, is Paris?"), "cache": wish}), await found.find(
            chat("where is it, Paris?")
        )

    assert asyncio.run(ask()) == (None, {"response": "in France"})


def test_what_was_answered_to_one_that_did_not_ask_is_kept_for_nobody() -> None:
    async def ask() -> Any:
        qdrant = Qdrant()
        await answers(qdrant).keep(chat("where is Paris?", cache={}), {"response": "in France"})
        return qdrant.asked

    assert asyncio.run(ask()) == []


NUMBERS = strategies.integers() | strategies.decimals(allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(
    NUMBERS,
    NUMBERS,
    strategies.sampled_from(("Convert {} euros to francs", "Is it safe at {} °C?", "Was sind {}% von 5?", "le {}?")),
)
def test_two_numbers_make_two_questions_whatever_they_are(one: object, other: object, text: str) -> None:
    assert shared(text.format(one), text.format(other)) == (str(one) == str(other))


@settings(deadline=None)
@given(
    strategies.text(min_size=1),
    strategies.text(min_size=1),
    strategies.sampled_from(('"{}"', "`{}`", "«{}»", "“{}”", "\u2018{}\u2019")),
)
def test_two_quotations_make_two_questions_whatever_they_are(one: str, other: str, quotes: str) -> None:
    marks = set("\"`«»“”„\u2018\u2019'")
    if marks & {*one, *other} or one == other:
        return
    assert not shared(f"What does {quotes.format(one)} mean?", f"What does {quotes.format(other)} mean?")


@pytest.mark.parametrize("key", ["system", "instructions"])
def test_another_system_prompt_never_shares_an_answer(key: str) -> None:
    first, second = question(chat(X, **{key: "You are a pirate"})), question(chat(X, **{key: "You are a nurse"}))
    assert first and second
    assert first.context != second.context


def test_another_system_message_never_shares_an_answer() -> None:
    first, second = (
        question({**chat(), "messages": [{"role": "system", "content": reported}, {"role": "user", "content": X}]})
        for reported in ("You are a pirate", "You are a nurse")
    )
    assert first and second
    assert first.context != second.context


def test_where_there_is_no_qdrant_nothing_is_asked_and_no_question_is_embedded() -> None:
    embedded: list[str] = []

    async def paid(text: str) -> list[float]:
        embedded.append(text)
        return await embed(text)

    async def ask(settings: ProxySettings) -> list[str]:
        qdrant = Qdrant()
        found = SimilarAnswers(settings, paid, qdrant.ask)
        await found.find(chat("where is Paris?"))
        await found.keep(chat("where is Paris?"), {"response": "in France"})
        return qdrant.asked

    assert asyncio.run(ask(replace(SETTINGS, qdrant_url=""))) == [] == embedded
    assert asyncio.run(ask(replace(SETTINGS, qdrant_url="http://qdrant:6333"))) and embedded
