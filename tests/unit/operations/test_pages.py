"""For readers: pictures are of the catalogue and of a real run, the index has every decision, the site no dead link."""

import re
import subprocess
from pathlib import Path

import pytest

from operations.pages import architecture, decisions, site, terminal
from operations.reference.catalogue import example_fleet
from tests.support.fleets import PROJECT

MKDOCS = PROJECT / ".venv/bin/mkdocs"


def test_the_picture_of_the_platform_is_what_make_docs_draws() -> None:
    assert architecture.PICTURE.read_text() == architecture.picture(example_fleet()), "run `make docs` and commit it"


def test_the_picture_names_every_host_and_service_and_who_opens_their_sites() -> None:
    drawn = re.findall(r">([^<>]+)</text>", architecture.PICTURE.read_text())
    words = " ".join(drawn).replace(",", " ").split()
    for placement, service in example_fleet().services():
        assert placement.host.name in words
        assert service.name in words or service.name == "caddy"
    assert "443: mesh, obsidian, hook" in drawn


def test_the_recorded_terminal_is_drawn_from_the_kept_run() -> None:
    assert terminal.PICTURE.read_text() == terminal.picture(terminal.KEPT.read_text()), "run `make lab-picture` and commit it"


_LOG = """keys and certificates             0.2 s  done
 +  vpai:index:ManagedHost sese creating (0s)
\x1b[32mResources:\x1b[0m
    + 266 created

phase             begins after  takes  resources
----------------  ------------  -----  ---------
mesh              2 s           43 s   6
246 s in all
progress 1\rprogress 2\rpulumi up                       247.3 s  done

ok        seko: headscale healthcheck      healthy    healthy
ok        seko: couchdb healthcheck        healthy    healthy
2 of 2 checks passed
from nothing to checked: 298 s
"""


def test_a_recorded_run_has_no_line_that_the_run_did_not_write() -> None:
    kept = terminal.ending(_LOG).splitlines()
    assert kept[0] == "$ make lab"
    for line in kept[1:]:
        assert line in _LOG or line == "..."
    assert "mesh              2 s           43 s   6" in kept
    assert "pulumi up                       247.3 s  done" in kept
    assert "ok        seko: headscale healthcheck      healthy    healthy" in kept
    assert kept[-1] == "from nothing to checked: 298 s"


def test_what_a_recorded_run_leaves_out_is_shown_as_left_out() -> None:
    kept = terminal.ending(_LOG).splitlines()
    assert kept.count("...") == 2, "the resources, and all checks but the first"


def test_a_check_that_failed_is_red() -> None:
    assert '#f87171">FAILED    x' in terminal.picture("FAILED    x\n")


def test_a_log_of_a_run_that_did_not_end_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "lab.log"
    log.write_text(_LOG.replace("from nothing", "from somewhere"))
    before = terminal.KEPT.read_text()
    assert terminal.main([str(log)]) == 1
    assert terminal.KEPT.read_text() == before
    assert "make lab 2>&1 | tee lab.log" in capsys.readouterr().err


def test_the_index_of_decisions_is_what_make_docs_writes() -> None:
    assert decisions.INDEX.read_text() == decisions.index(), "run `make docs` and commit it"


@pytest.mark.parametrize(
    "page",
    [
        "# Without a number\n\nDate: 2026-11-30. Status: accepted.\n",
        "# 91. Another file's number\n\nDate: 2026-11-30. Status: accepted.\n",
        "# 90. Without a status\n\nText.\n",
        "# 90. Of no known status\n\nDate: 2026-11-30. Status: perhaps.\n",
    ],
)
def test_a_decision_without_title_or_status_is_refused(tmp_path: Path, page: str) -> None:
    (tmp_path / "0090-x.md").write_text(page)
    with pytest.raises(decisions.Malformed, match=r"0090-x\.md.*Begin with the lines"):
        decisions.index(tmp_path)


def test_a_link_to_a_file_becomes_one_to_its_page() -> None:
    code = "`[f](g.py)`\n```\n[h](i.py)\n```\n"
    page = f"[a](../model/route.py) [b](adr/) [c](security.md#x) [d](https://a.example/b.py) ![e](x.svg) {code}"
    text, targets = site.laid_out("docs/lab.md", page, ["docs/adr/README.md", "docs/security.md"])
    assert targets == {"model/route.py"}
    assert "[a](../model/route.py.md) [b](adr/README.md) [c](security.md#x) [d](https://a.example/b.py) ![e](x.svg)" in text
    assert code in text


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site; mkdocs refuses a dead link or anchor."""
    output = tmp_path_factory.mktemp("site")
    assert site.lay_out(output) == []
    done = _build(output)
    assert done.returncode == 0, done.stderr
    return output / "html"


def _build(output: Path) -> subprocess.CompletedProcess[str]:
    command = [str(MKDOCS), "build", "--strict", "--config-file", str(output / "mkdocs.yml")]
    return subprocess.run(command, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin"})


def test_the_site_has_every_page_of_the_repositorys(built: Path) -> None:
    pages = [path.relative_to(PROJECT) for path in (PROJECT / "docs").rglob("*.md")]
    assert len(pages) > 100
    for page in pages:
        name = page.with_name("index.md") if page.name == "README.md" else page
        assert (built / name).with_suffix(".html").exists(), page


def test_nothing_of_the_site_is_fetched_from_another_place(built: Path) -> None:
    read = 0
    for path in built.rglob("*.html"):
        text = path.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?([^\" >]+)", text)
        loaded += re.findall(r"<link\b(?![^>]*rel=\"?(?:canonical|prev|next))[^>]*\bhref=\"?([^\" >]+)", text)
        assert [address for address in loaded if re.match(r"(https?:)?//", address)] == [], path
        assert 'class="mermaid"' not in text, "the theme would fetch what draws it"
        read += len(loaded)
    assert read > 500
    for sheet in built.rglob("*.css"):
        assert not re.search(r"@import|url\([\"']?(https?:)?//", sheet.read_text()), sheet


@pytest.mark.parametrize("link", ["[x](no-such-page.md)", "[x](other.md#no-such-heading)"])
def test_a_dead_link_stops_the_build(tmp_path: Path, link: str) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/index.md").write_text(f"# Home\n\n{link}\n")
    (tmp_path / "pages/other.md").write_text("# Other\n")
    (tmp_path / "pages/site.css").touch()
    (tmp_path / "mkdocs.yml").write_text(f"INHERIT: {PROJECT / 'mkdocs.yml'}\ndocs_dir: pages\nsite_dir: html\n")
    done = _build(tmp_path)
    assert done.returncode != 0
    assert "Aborted with 1 warning" in done.stdout + done.stderr


def test_a_link_to_no_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = site.laid_out

    def with_a_dead_link(name: str, text: str, pages: list[str]) -> tuple[str, set[str]]:
        return real(name, f"{text}\n[x](model/no_such_file.py)\n" if name == "README.md" else text, pages)

    monkeypatch.setattr(site, "laid_out", with_a_dead_link)
    assert site.lay_out(tmp_path) == ["README.md -> model/no_such_file.py"]


def test_make_site_builds_strictly_and_git_ignores_it() -> None:
    shown = subprocess.run(["make", "-n", "site"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert "-m operations.pages.site" in shown
    # `--quiet` would hide warnings from `--strict` too.
    assert re.search(r"mkdocs build (?!.*--quiet)--strict", shown)
    assert subprocess.run(["git", "check-ignore", "-q", ".site/html/index.html"], cwd=PROJECT).returncode == 0


def test_make_lab_picture_draws_what_is_kept() -> None:
    shown = subprocess.run(
        ["make", "-n", "-o", ".venv/ready", "lab-picture"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == '.venv/bin/python -m operations.pages.terminal "$LOG"'
