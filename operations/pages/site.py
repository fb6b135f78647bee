"""`python -m operations.pages.site`: writes .site/, from which `make site` has mkdocs build the documentation.

Pages are the repository's own, at their own paths, so that links work here and on a forge. A linked file that is not a page
becomes one, with its text as code. mkdocs then refuses a link that leads nowhere.
"""

import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import yaml

PROJECT = Path(__file__).parents[2]
OUTPUT = PROJECT / ".site"
_TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/results.md")
_WITHOUT_MENU = "---\nhide: [navigation]\n---\n"
_PICTURES = (".svg", ".png")
_LINK = re.compile(r"(?<!!)(\[[^\[\]]*\]\()([^()\s#]+)(#[^()\s]*)?(\))")
_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".sh": "bash", ".go": "go", ".json": "json", ".toml": "toml"}


def main() -> int:
    """Write .site/pages/ and .site/mkdocs.yml; prints links to missing files, and returns 1 when there are any."""
    missing = lay_out(OUTPUT)
    if missing:
        print("links that lead to no file:", *missing, sep="\n  ", file=sys.stderr)
    return int(bool(missing))


def lay_out(output: Path) -> Sequence[str]:
    """Write the pages and mkdocs' configuration into `output`; returns the links to missing files."""
    pages = output / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    names = [*_TOP, *sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "docs").rglob("*.md"))]
    for path in (PROJECT / "docs").rglob("*"):
        if path.suffix in _PICTURES:
            _write(pages / path.relative_to(PROJECT), path.read_bytes())
    linked: set[str] = set()
    missing: list[str] = []
    for name in names:
        text, targets = laid_out(name, (PROJECT / name).read_text(), names)
        missing += (f"{name} -> {target}" for target in sorted(targets) if not (PROJECT / target).is_file())
        linked |= targets
        _write(pages / name, ((_WITHOUT_MENU if name == "README.md" else "") + text).encode())
    for target in linked:
        if (PROJECT / target).is_file():
            _write(pages / f"{target}.md", _as_page(target, (PROJECT / target).read_text()).encode())
    _write(pages / "site.css", (PROJECT / "operations/pages/site.css").read_bytes())
    settings = {"INHERIT": str(PROJECT / "mkdocs.yml"), "docs_dir": "pages", "site_dir": "html", "nav": navigation(names)}
    _write(output / "mkdocs.yml", yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=1000).encode())
    return missing


def laid_out(name: str, text: str, pages: Iterable[str]) -> tuple[str, set[str]]:
    """A page's text for the site, and the linked files that are not in `pages`, by their paths in the repository."""
    targets: set[str] = set()
    known = set(pages)

    def lead(found: re.Match[str]) -> str:
        before, target, anchor, after = found[1], found[2], found[3] or "", found[4]
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        path = _joined(PurePosixPath(name).parent, target)
        if (PROJECT / path).is_dir():
            index = f"{path}/README.md"
            return f"{before}{target.rstrip('/')}/README.md{anchor}{after}" if index in known else found[0]
        if path in known or path.endswith(_PICTURES):
            return found[0]
        targets.add(path)
        return f"{before}{target}.md{anchor}{after}"

    prose = _outside_of_code(text, lambda part: _LINK.sub(lead, part))
    return _DIAGRAM.sub(_folded, prose), targets


def _outside_of_code(text: str, change: Callable[[str], str]) -> str:
    """`text` with `change` applied outside fenced blocks and inline code."""
    parts = re.split(r"(^```.*?^```$|`[^`\n]*`(?!\]))", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if number % 2 else change(part) for number, part in enumerate(parts))


def _folded(found: re.Match[str]) -> str:
    """A diagram's source, folded: a program that draws it would have to come from the Internet."""
    lines = "".join(f"    {line}\n" for line in found[1].splitlines())
    return f'??? note "A diagram, as Mermaid\'s text: a forge draws it"\n\n    ```text\n{lines}    ```\n'


def _as_page(name: str, text: str) -> str:
    fence = "`" * (3 + max((len(ticks) for ticks in re.findall(r"`{3,}", text)), default=0))
    return f"# {name}\n\n{fence}{_LANGUAGES.get(PurePosixPath(name).suffix, 'text')}\n{text.rstrip()}\n{fence}\n"


def navigation(names: Sequence[str]) -> Sequence[Mapping[str, object]]:
    """mkdocs' nav: every page once."""

    def below(folder: str, *first: str) -> list[str]:
        found = [name for name in names if str(PurePosixPath(name).parent) == folder]
        begin = [f"{folder}/{name}.md" for name in first]
        return [*begin, *(name for name in found if name not in begin)]

    previews = {"Previews of changes": [{PurePosixPath(name).stem: name} for name in below("docs/reference/previews")]}
    guide = ("docs/how-it-works.md", "docs/production.md", "docs/lab.md")
    sections = (
        ("Guide", list(_titled(guide))),
        ("Runbooks", list(_titled(below("docs/runbooks", "first-deploy", "locked-out", "restore")))),
        (
            "Reference",
            [
                *_titled(name for name in below("docs") if name not in guide),
                *_titled(below("docs/reference", "catalogue")),
                previews,
            ],
        ),
        ("Decisions", list(_titled(below("docs/adr", "README")))),
        ("Proofs", list(_titled([*below("docs/proofs"), "benchmarks/results.md"]))),
        ("Project", list(_titled(_TOP[1:4]))),
    )
    return [{"VPAI": "README.md"}, *({title: pages} for title, pages in sections)]


def _titled(names: Iterable[str]) -> Iterator[Mapping[str, str] | str]:
    """Each page with its title; an index by path only, which makes it the section's own page."""
    for name in names:
        found = re.search(r"^#+ (.+)$", (PROJECT / name).read_text(), re.MULTILINE)
        title = (found[1] if found else name).removeprefix("Reference: ").replace("`", "")
        yield name if name.endswith("adr/README.md") else {title[:1].upper() + title[1:]: name}


def _joined(folder: PurePosixPath, target: str) -> str:
    """The repository path of the link `target` on a page in `folder`."""
    parts: list[str] = []
    for part in (folder / target).parts:
        if part == "..":
            if not parts:
                return target
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
