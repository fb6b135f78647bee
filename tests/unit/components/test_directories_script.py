"""The real directories.sh: what a container left in its data leads root nowhere."""

import os
from pathlib import Path

import pytest

from tests.support.shell import run


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory of root's with a file, and links to both in a service's data."""
    kept = tmp_path / "etc"
    kept.mkdir(mode=0o700)
    (kept / "shadow").write_text("root's own")
    (kept / "shadow").chmod(0o600)
    data = tmp_path / "data/redis"
    data.mkdir(parents=True, mode=0o777)
    for name, target in (("here", kept), ("file", kept / "shadow"), (".new", kept / "shadow")):
        (data / name).symlink_to(target)
    return kept


@pytest.mark.parametrize(
    "action", [("apply", "false"), ("remove", "false"), ("remove", "true")], ids=lambda words: "-".join(words)
)
def test_links_in_a_services_data_are_not_followed(tmp_path: Path, victim: Path, action: tuple[str, str]) -> None:
    data = tmp_path / "data/redis"
    done = run("directories.sh", *action, f"{os.getuid()}:{os.getgid()}", "0750", str(data), programs=tmp_path / "bin")
    assert done.returncode == 0, done.stderr
    assert (victim / "shadow").read_text() == "root's own"
    assert ((victim / "shadow").stat().st_mode & 0o777, victim.stat().st_mode & 0o777) == (0o600, 0o700)
    assert data.exists() == (action != ("remove", "true"))
    if action[0] == "apply":
        assert data.stat().st_mode & 0o777 == 0o750
