"""Files under a ref of their own at a remote."""

import subprocess
from pathlib import Path

import pytest

from operations import stack
from operations.deploy import git_refs

REF = "refs/snapshots/prod"


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for words in (["init", "-q", "--bare", "remote"], ["init", "-q", "clone"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(stack, "PROJECT", tmp_path / "clone")
    return str(tmp_path / "remote")


def test_what_was_put_is_taken_whole_and_the_last_counts(remote: str, tmp_path: Path) -> None:
    assert not git_refs.take(REF, tmp_path / "taken", remote)
    given = tmp_path / "given"
    given.mkdir()
    for text in ("first\n", "second\n"):
        (given / "a.json").write_text(text)
        (given / "b.md").write_text("b")
        git_refs.put(given, REF, remote)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "stale").write_text("")
    assert git_refs.take(REF, tmp_path / "taken", remote)
    assert {path.name: path.read_text() for path in (tmp_path / "taken").iterdir()} == {"a.json": "second\n", "b.md": "b"}
    log = subprocess.run(["git", "rev-list", "--count", REF], cwd=remote, capture_output=True, text=True, check=True)
    assert log.stdout.strip() == "1", "no history"
    git_refs.drop(REF, remote)
    assert not git_refs.take(REF, tmp_path / "taken", remote)
