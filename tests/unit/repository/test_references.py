"""What a comment, a docstring or a page refers to is in this repository, or is said there in words."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from tests.support.fleets import PROJECT

HERE = "tests/unit/repository/test_references.py"
NUMBERED = re.compile(
    r"\b[Ll]essons? \d|\b[Tt]raps? [A-G]\d?\b|\b[Ll]aws? \d|\bpredecessor \d+\.\d+[):;,]|\bfindings? \d+[);,]|\bshared/\S*\.md",
)
"""A number in a list is no reason for a reader who has not got the list."""
PAGE = re.compile(r"(?<![\w./:@*-])(?:[\w.-]+/)*[\w-]+\.md\b")
ELSEWHERE = {"comment.md", "summary.md", "b.md", "7.md", "obsidian.md", "webhook.md", "index.md", "other.md", "0090-x.md"}
"""Written by a command or a test; a program's address; a page of OpenClaw's package."""
TEXTS = {".py", ".sh", ".md", ".go", ".json", ".yaml", ".yml", ".toml", ".txt", ".in", ".ts", ""}


def _tracked() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (PROJECT / name).is_file()]


FILES = _tracked()
PAGES = {name for name in FILES if name.endswith(".md")}


def _absent(text: str) -> Iterator[str]:
    """References in `text` to a list or a page that is not here."""
    for line in text.splitlines():
        yield from (found[0] for found in NUMBERED.finditer(line))
        if "source" in line or "://" in line or "@" in line:
            continue  # another repository's page, named with its place
        for found in PAGE.finditer(line):
            name = PurePosixPath(found[0]).name
            if name not in ELSEWHERE and not any(page == name or page.endswith(f"/{name}") for page in PAGES):
                yield found[0]


def test_no_text_refers_to_a_document_that_is_not_here() -> None:
    absent, read = [], 0
    for name in FILES:
        path = PurePosixPath(name)
        # Contracts name the pages of others, measurements the parameters of tests.
        if (
            path.suffix not in TEXTS
            or name in {HERE, "uv.lock", "benchmarks/tests.json"}
            or name.startswith("lab/providers/contracts/")
        ):
            continue
        try:
            text = (PROJECT / name).read_text()
        except UnicodeDecodeError:
            continue
        read += 1
        absent += [f"{name}: {reference}" for reference in _absent(text)]
    assert read > 500
    assert absent == [], "say the reason itself, or link to a page below docs/"


@pytest.mark.parametrize(
    "text",
    [
        "the host is trusted there (design.md, law 4)",
        "its image has neither (predecessor lesson 24)",
        "a difference at every run (traps D4)",
        "its own rules would let it past (lab.md, finding 2).",
        "measured: shared/engine.md",
        "refused with 402 (predecessor 5.3)",
        "see docs/runbooks/no-such-page.md",
    ],
)
def test_a_reference_to_a_document_that_is_not_here_is_found(text: str) -> None:
    assert list(_absent(text)) != []


@pytest.mark.parametrize("text", ["docs/security.md lists them", "see ADR 9", "obsidian.md", "the law of memory (model/laws/)"])
def test_a_reference_to_what_is_here_is_none(text: str) -> None:
    assert list(_absent(text)) == []
