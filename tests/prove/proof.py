"""The committed result of a rehearsal: a page of docs/proofs/ with the date, the machine and a table."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from operations.table import table
from tests.support.fleets import PROJECT


def write(name: str, title: str, how: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write docs/proofs/`name`.md; `how` says what was done and measured."""
    made = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores; `make prove`. {how}"
    page = PROJECT / "docs/proofs" / f"{name}.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text(f"# {title}\n\n{made}\n\n```\n{table(head, rows)}\n```\n")
