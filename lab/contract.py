"""What a stand-in accepts: each entry with the file of upstream's source that it is taken from. All else it refuses.

A contract is JSON, contract.json beside the stand-in (of a foreign API: lab/providers/contracts/<its host>.json): `upstream` is
the repository and its tag, or the pages of documentation; `accepted` has for each kind of input (variables, arguments, keys,
paths ...) what is accepted and its source: a path in that repository, `owner/name@tag:path`, an issue `owner/name#number`, or
the address of a page. `refusals` are the real program's words for the rest, with their source; where it says nothing or no
source has its words, they are the lab's, and say so. `limits` are the least and the most of a number, with the words for what is
below and above; `required` the keys that must be there. An API's refusals
have a status and a code too.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Contract:
    """Patterns of one program's inputs, by kind; an entry is matched as a whole."""

    upstream: str
    accepted: Mapping[str, Mapping[str, str]]
    refusals: Mapping[str, str]
    limits: Mapping[str, Mapping[str, Any]]
    required: Mapping[str, Mapping[str, Any]]
    statuses: Mapping[str, int]
    codes: Mapping[str, str]

    @classmethod
    def load(cls, path: Path) -> "Contract":
        document = json.loads(path.read_text())
        refusals = {kind: refusal["words"] for kind, refusal in document["refusals"].items()}
        return cls(
            document["upstream"],
            document["accepted"],
            refusals,
            document.get("limits", {}),
            document.get("required", {}),
            {kind: refusal.get("status", 0) for kind, refusal in document["refusals"].items()},
            {kind: refusal.get("code", "") for kind, refusal in document["refusals"].items()},
        )

    def accepts(self, kind: str, what: str) -> bool:
        """Whether an entry of this kind matches."""
        return any(re.fullmatch(pattern, what) for pattern in self.accepted[kind])

    def refusal(self, kind: str, what: str) -> str:
        """What the real program says of it."""
        return self.refusals[kind].replace("{}", what)

    def refused(self, kind: str, given: Iterable[str]) -> Iterator[str]:
        """A refusal for each that no entry matches."""
        return (self.refusal(kind, what) for what in given if not self.accepts(kind, what))

    def beyond(self, limit: str, number: float) -> Iterator[str]:
        """A refusal for a number that is out of its limit."""
        bounds = self.limits[limit]
        if number < bounds["least"] or number > bounds["most"]:
            yield str(bounds["below" if number < bounds["least"] else "above"]).replace("{}", f"{number:.12g}")

    def at_start(self, arguments: list[str], environment: Mapping[str, str]) -> Iterator[str]:
        """What the program says of the words and the variables that it is started with."""
        if "arguments" in self.accepted:
            yield from self.refused("arguments", arguments)
        for prefix in self.accepted.get("variable prefixes", ()):
            yield from self.refused("variables", (name for name in sorted(environment) if name.startswith(prefix)))


def keys(document: Any, above: str = "") -> Iterator[str]:
    """Every key of a JSON document by its path: `a.b`, and `a[].b` for what stands in a list."""
    if isinstance(document, dict):
        for name, inner in document.items():
            path = f"{above}.{name}" if above else str(name)
            yield path
            yield from keys(inner, path)
    elif isinstance(document, list):
        for inner in document:
            yield from keys(inner, f"{above}[]")
