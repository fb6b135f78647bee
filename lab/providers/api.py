"""A foreign API's contract, asked as the API is: which path, which keys, which limits. A refusal has a kind, a status, words."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.contract import Contract

CONTRACTS = Path(__file__).parent / "contracts"


@dataclass(frozen=True)
class Refused:
    """What the API answers instead of doing it; `kind` is the contract's own word for what was wrong."""

    kind: str
    status: int
    words: str
    code: str = ""


@dataclass(frozen=True)
class Api:
    """One host's contract."""

    contract: Contract

    @classmethod
    def of(cls, host: str) -> "Api":
        return cls(Contract.load(CONTRACTS / f"{host}.json"))

    def refusal(self, kind: str, what: str = "") -> Refused:
        return Refused(kind, self.contract.statuses[kind], self.contract.refusal(kind, what), self.contract.codes[kind])

    def unless(self, kind: str, *given: str) -> Refused | None:
        """The refusal of the first that no entry of the kind matches."""
        return next((self.refusal(kind, what) for what in given if not self.contract.accepts(kind, what)), None)

    def path(self, method: str, path: str) -> Refused | None:
        return self.unless("paths", f"{method} {path}")

    def query(self, method: str, path: str, given: Iterable[str]) -> Refused | None:
        """Entries are names, or names after the method and the path of those that take them."""
        accepted = self.contract.accepted.get("queries")
        if accepted is None:
            return None
        of = f"{method} {path} "
        strange = (
            name for name in given if not any(re.fullmatch(entry, each) for entry in accepted for each in (name, of + name))
        )
        return next((self.refusal("queries", name) for name in strange), None)

    def body(self, method: str, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Refused | None:
        """What is wrong with a body: its type, a key that is unknown, one that is missing."""
        given = headers.get("content-type", "").partition(";")[0].strip()
        if given and "content types" in self.contract.accepted and (refused := self.unless("content types", given)):
            return refused
        of = f"{method} {path}"
        for key in body:
            if not self.contract.accepts("keys", f"{of} {key}"):
                return self.refusal("keys", str(key))
        missing = (key for key in self._required(of) if body.get(key) is None)
        return next((self._missing(key) for key in missing), None)

    def beyond(self, limit: str, number: float) -> Refused | None:
        """The refusal of a number that is out of its limit."""
        status = int(self.contract.limits[limit]["status"])
        return next((Refused(limit, status, words) for words in self.contract.beyond(limit, number)), None)

    def _required(self, of: str) -> Iterator[str]:
        for pattern, entry in self.contract.required.items():
            if re.fullmatch(pattern, of):
                yield from entry["keys"]

    def _missing(self, key: str) -> Refused:
        own = f"missing {key}"
        return self.refusal(own if own in self.contract.refusals else "missing", key)
