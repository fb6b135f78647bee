"""The commands of a runbook, as they are written."""

import re

from tests.fleets import PROJECT


def commands(page: str) -> list[str]:
    """Every line of the fenced blocks of docs/runbooks/`page`, without what is said behind it."""
    text = (PROJECT / "docs/runbooks" / page).read_text()
    lines = [line for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for line in block.splitlines()]
    return [command for line in lines if (command := re.sub(r"\s+#\s.*", "", line).strip())]
