"""Finds the selectors in a PromQL expression, and matches series against them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_SELECTOR = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)?(?P<labels>\{[^}]*\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_WORDS = {"and", "by", "group_left", "group_right", "ignoring", "offset", "on", "or", "unless", "without"}
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")


@dataclass(frozen=True)
class Selector:
    """A metric's name and the conditions on its labels."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        return self.name + "{" + ",".join(f'{label}{sign}"{value}"' for label, sign, value in self.matchers) + "}"

    def means(self, series: Mapping[str, str]) -> bool:
        """Whether the selector matches a series; the series' name is under `__name__`."""
        return series.get("__name__") == self.name and all(
            _matches(sign, value, series.get(label, "")) for label, sign, value in self.matchers
        )


def selectors(expression: str) -> Iterator[Selector]:
    """Every selector of an expression, in order; a dashboard's variables match everything."""
    text = _GROUPING.sub(" ", re.sub(r"\$\w+", ".*", expression))
    at = 0
    while at < len(text):
        match = _SELECTOR.match(text, at)
        if not match or not match["name"]:
            at += 1
            continue
        at = match.end()
        function = text[at:].lstrip().startswith("(")
        if match["labels"] or not (function or match["name"] in _WORDS):
            yield Selector(match["name"], tuple(_MATCHER.findall(match["labels"] or "")))
        # Letters in durations and numbers are no names: [5m], 1e9.
        if at < len(text) and text[at] == "[":
            at = text.index("]", at) + 1


def _matches(sign: str, wanted: str, value: str) -> bool:
    same = bool(re.fullmatch(wanted, value)) if "~" in sign else value == wanted
    return same != sign.startswith("!")
