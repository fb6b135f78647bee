"""Answers to similar questions, in Qdrant, for callers that ask for them by `"cache": {"similar": true}` (docs/adr/0077).

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

from services.litellm.proxy.settings import ProxySettings

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
_LANGUAGES = {
    language: frozenset(words.split())
    for language, words in {
        "de": """der die das ein eine einen und ist sind ich du wir er wie wo wer wann warum welche welches von zu im auf
            mit für mir mich bitte man es wird hat den dem""",
        "en": """the a an and is are was i you we he she they how what where who when why which whom whose of to in on at
            with for me my your please it this that do does did can could should would will tell give be has have
            from by""",
        "es": """el la los las un una y es son yo cómo qué dónde quién cuándo cuál cuánto por de del en con para me mi
            favor que lo se hay ha puedo""",
        "fr": """le la les un une des du et est sont je tu nous il elle on comment que quoi où qui quand quel quelle
            combien pourquoi de à en dans avec pour moi mon ce cette se au""",
        "it": """il lo la gli un una e è sono io come che cosa dove chi quando quale quanto perché di del in con per mi
            mio favore si posso ha""",
        "nl": """de het een en is zijn ik je wij hij hoe wat waar wie wanneer waarom welke van naar in op met voor mij
            mijn dit dat kan heeft""",
    }.items()
}
"""Words by which a language is known. In another one neither negations nor numbers would be, so nothing is similar there."""
_KEPT_WORDS = """
    no not n never none nothing nobody nowhere without cannot neither nor hardly barely except unless avoid avoiding lack
    lacks lacking nicht kein keine keinen keinem keiner keines nie niemals nichts niemand nirgends ohne weder außer ne non
    pas jamais aucun aucune rien personne sans ni guère sauf sin nunca nada nadie ninguno ninguna ningún tampoco excepto
    senza mai nessun nessuno nessuna niente nulla né tranne geen niet nooit zonder niets nergens behalve zero one two three
    four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty
    thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen first second third fourth fifth
    sixth seventh eighth ninth tenth half quarter once twice thrice double triple both single null eins zwei drei vier fünf
    sechs sieben acht neun zehn elf zwölf zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig hundert tausend
    milliarde erste ersten zweite zweiten dritte dritten vierte vierten halb hälfte viertel doppelt deux trois quatre cinq
    sept huit neuf dix onze douze treize quatorze quinze seize vingt trente quarante cinquante soixante cent mille premier
    première deuxième troisième quatrième moitié demi quart dos tres cuatro cinco seis siete ocho nueve diez doce veinte
    treinta cuarenta cincuenta cien ciento mil primero primera segundo segunda tercero tercera mitad doble due tre quattro
    cinque sei sette otto nove dieci undici dodici venti trenta quaranta cinquanta cento primo prima secondo terzo metà
    doppio twee drie vijf zes zeven negen tien twaalf twintig dertig veertig vijftig honderd duizend eerste tweede derde
    helft dubbel
"""
"""Negations and numbers, which turn a question round while its meaning stays near."""
_KEPT = frozenset(_KEPT_WORDS.split())
_TURNED = re.compile(
    r"(?:un|in|im|il|ir|dis|non|mis|miss|dé|dés|des)\w{3,}|[\w-]{3,}(?:less|free|los|frei)|\w+n['\u2019]t"
    r"|(?:do|does|did|is|are|was|were|ca|wo|should|would|could|have|has|had|must|need)nt"
    r"|\w+(?:tieth|teenth|dredth|zehn|zig|ßig|hundert|tausend|zigste[nrs]?)",
    re.IGNORECASE,
)
"""A negation or a number within a word, or what looks like one: "illegal", "sugarless", "doesn't", "einundzwanzig"."""
_QUOTED = re.compile(r"""`[^`]*`|"[^"]*"|«[^»]*»|[“„][^”“]*[”“]|(?<!\w)'[^']*'(?!\w)|\u2018[^\u2019]*\u2019|\S+""")
_LETTERS = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ]+(?:['\u2019-][A-Za-zÀ-ÖØ-öø-ɏ]+)*")
_LOG = logging.getLogger("LiteLLM Proxy")


@dataclass(frozen=True)
class Question:
    """What is compared by meaning, and the hash of what must be equal."""

    text: str
    context: str


def question(request: Mapping[str, Any]) -> Question | None:
    """The question in a chat request; None when only an equal request may share its answer."""
    messages, wished = request.get("messages"), request.get("cache")
    if not isinstance(wished, Mapping) or wished.get("similar") is not True:
        return None
    if not isinstance(messages, list) or not messages or request.get("tools") or request.get("functions"):
        return None
    last = messages[-1]
    text = last.get("content") if isinstance(last, Mapping) and last.get("role") == "user" else None
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_QUESTION:
        return None
    language = _language(text)
    if not language:
        return None
    parameters = {name: request[name] for name in _PARAMETERS if request.get(name) is not None}
    equal = [_model(request), messages[:-1], parameters, language, exact(text)]
    return Question(text, hashlib.sha256(json.dumps(equal, sort_keys=True, default=str).encode()).hexdigest())


def exact(text: str) -> list[str]:
    """What of a question has to be equal, in its order, however near two questions are.

    Numbers, negations, quotations, code, names (what is written large within a sentence), and every word of another script.
    """
    kept, begins = [], True
    for found in _QUOTED.findall(text):
        word = found.rstrip(".,;:?!")
        name = word != word.lower() and (not begins or word[1:] != word[1:].lower()) and word not in ("I", "I'm", "I'd", "I've")
        if name or (word and not _LETTERS.fullmatch(word)):
            kept.append(word)
        elif not _KEPT.isdisjoint(re.split(r"['\u2019-]", word.lower())) or _TURNED.fullmatch(word):
            kept.append(word.lower())
        ends = found[len(word) :]
        begins = "?" in ends or "!" in ends or ("." in ends and len(word) > 3)  # "Dr." ends no sentence.
    return kept


def _language(text: str) -> str:
    """The language most of whose words are in `text`; empty when it is none that is known."""
    words = [word.lower() for word in _LETTERS.findall(text)]
    known = {language: sum(word in of_it for word in words) for language, of_it in _LANGUAGES.items()}
    most = max(known, key=lambda language: known[language])
    return most if known[most] else ""


class SimilarAnswers:
    """Finds and keeps answers by the meaning of the question."""

    def __init__(self, settings: ProxySettings, embed: Embed, ask: Ask) -> None:
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
