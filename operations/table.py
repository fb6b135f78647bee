"""Tables for terminals and in Markdown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

Tables = list[list[Mapping[str, str]]]
_collected: ContextVar[Tables | None] = ContextVar("tables", default=None)


@contextmanager
def collected() -> Iterator[Tables]:
    """Within this context tables are collected as rows by column, not printed; a column without a name is `result`."""
    tables: Tables = []
    token = _collected.set(tables)
    try:
        yield tables
    finally:
        _collected.reset(token)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A text table, columns as wide as their widest cell; empty within `collected`."""
    rows = [tuple(row) for row in rows]
    if (tables := _collected.get()) is not None:
        tables.append([dict(zip((name or "result" for name in head), row, strict=True)) for row in rows])
        return ""
    lines = [tuple(head), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:]])


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines)
