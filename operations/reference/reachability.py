"""`python -m operations.reference.reachability`: writes who reaches what in production; pull requests show its changes."""

import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from model.reachability import ANYONE, INTERNET, MEMBER, Reach, reachability
from operations.reference.catalogue import example_fleet
from operations.table import markdown

PAGE = Path(__file__).parent.parent.parent / "docs/reference/reachability.md"
_HEAD = """# Reference: who reaches what

Written by `make docs` from the fleet (`model/reachability.py`); do not edit. A test fails when it is stale.
What is in no row is closed: above all, no container reaches a host, its own included, a member of the mesh, a metadata service or
a private address unless a row says so.
"""


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(reachability(example_fleet())))
    return 0


def page(rows: Iterable[Reach]) -> str:
    """The page in Markdown; `read` is its inverse."""
    rows = sorted(rows)
    cells = ((source, by, ", ".join(row.target for row in group)) for (source, by), group in _grouped(rows))
    table = markdown(("who", "by", "reaches"), cells)
    return f"{_HEAD}\n## Picture\n\n{_picture(rows)}\n\n## Table\n\n{table}\n"


def read(text: str) -> frozenset[Reach]:
    """The rows of a page, e.g. of another commit: the input of `model.reachability.difference`."""
    lines = text.partition("## Table")[2].strip().splitlines()[2:]
    cells = (tuple(cell.strip() for cell in line.strip().strip("|").split(" | ")) for line in lines if line.startswith("|"))
    return frozenset(Reach(source, target, by) for source, by, targets in cells for target in targets.split(", "))


def _grouped(rows: Iterable[Reach]) -> Iterable[tuple[tuple[str, str], Iterable[Reach]]]:
    def way(row: Reach) -> tuple[str, str]:
        return row.source, row.by

    return groupby(sorted(rows, key=way), key=way)


def _picture(rows: Iterable[Reach]) -> str:
    """A diagram of networks instead of pairs: their members, which have egress, and what Caddy admits."""
    lines = ["```mermaid", "flowchart LR", f"  anyone(({ANYONE}))", f"  member(({MEMBER}))", f"  internet(({INTERNET}))"]
    names = {ANYONE: "anyone", MEMBER: "member", INTERNET: "internet"}
    edges: dict[str, None] = {}
    for row in rows:
        if any(end.startswith(("the host ", "any container on ")) for end in (row.source, row.target)):
            continue
        if row.source in (ANYONE, MEMBER) and row.target.startswith("https://"):
            site, _, host = row.target.removeprefix("https://").partition(" on ")
            edges[f'  {names[row.source]} -- "{site}" --> {host}_caddy["{host}/caddy"]'] = None
        elif "/" in row.source and row.target == INTERNET:
            edges[f"  {_node(row.source)} -- {row.by} --> internet"] = None
        elif "/" in row.source:
            host = row.source.partition("/")[0]
            network = f"{host}_{row.by}" if "," not in row.by else ""
            if network:
                edges[f'  {_node(row.source)} --- {network}{{{{"{host}: {row.by}"}}}}'] = None
            else:
                edges[f'  {_node(row.source)} -- "{row.by}" --> {_node(row.target)}'] = None
    reported = "Members of a network (a hexagon) reach each other; an arrow is a way to one side only."
    return "\n".join([*lines, *edges, "```", "", reported])


def _node(container: str) -> str:
    return f'{container.replace("/", "_").replace("-", "_")}["{container}"]'


if __name__ == "__main__":
    sys.exit(main())
