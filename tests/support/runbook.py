"""Extracts the commands of a runbook, exactly as written."""

import re
from collections.abc import Iterable, Iterator

from tests.support.fleets import PROJECT

_BLOCK = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TYPED = ("make ", "pulumi ", "age ", "restic ", "pg_restore ", "docker ", "ssh ")
_NAMED = re.compile(r"make [a-z-]+")
"""A make target that a sentence mentions, not a command to type."""


def commands(page: str) -> list[str]:
    """Every line of the fenced blocks of docs/runbooks/`page`, without its comment."""
    return [command for block in _BLOCK.findall(_text(page)) for command in _lines(block)]


def in_sentences(page: str) -> list[str]:
    """Every command in a sentence or a table, with its arguments."""
    spans = re.findall(r"`([^`\n]+)`", _BLOCK.sub("", _text(page)))
    return [span for span in spans if span.startswith(_TYPED) and not _NAMED.fullmatch(span)]


def below(page: str, title: str) -> list[str]:
    """The commands of the first block below a heading."""
    after = _text(page).partition(f"\n## {title}\n")[2]
    assert after, f"{page} has no section {title!r}"
    return list(_lines(_BLOCK.findall(after)[0]))


def one(page: str, command: str) -> str:
    """`command`, which must be on the page."""
    assert command in {*commands(page), *in_sentences(page)}, f"{page} has no command {command!r}"
    return command


def _text(page: str) -> str:
    return (PROJECT / "docs/runbooks" / page).read_text()


def _lines(block: str) -> Iterator[str]:
    lines: Iterable[str] = (re.sub(r"\s+#\s.*", "", line).strip() for line in block.splitlines())
    yield from filter(None, lines)
