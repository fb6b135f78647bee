"""The real mesh_hub.sh: what root writes on the hub is out of reach of the public program that reads it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from services import headscale
from tests.support.shell import calls, run, stub
from tests.support.whole import MESH

SERVICE = "vpai.service=headscale"
PART: dict[str, Any] = {
    "policy": {"tagOwners": {"tag:sese": []}, "acls": [{"action": "accept", "src": ["tag:sese"], "dst": ["*:443"]}]},
    "records": {"llm.vpai.test": "sese"},
}
NODES = [{"given_name": "sese", "ip_addresses": ["fd7a::1", "100.64.0.1"]}]
DRAFTS = (".prod.old", ".prod.draft", "prod.part", ".policy.json", "policy.json", ".records.json", "records.json")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Headscale's container as `docker` shows it; it refuses a policy that says "perhaps"."""
    directory = tmp_path / "bin"
    mounted, merged = headscale.MERGED, tmp_path / "data" / headscale.MERGED_DIRECTORY
    stub(
        directory,
        "docker",
        f"""case $* in
        "ps "*) echo container ;;
        "inspect "*) cat {tmp_path}/pid ;;
        *"policy check"*) file=${{!#}}; ! grep perhaps "{merged}${{file#{mounted}}}" ;;
        *"nodes list"*) echo '{json.dumps(NODES)}' ;;
        *) exit 9 ;;
        esac""",
    )
    return directory


@pytest.fixture(autouse=True)
def _running(tmp_path: Path) -> Iterator[None]:
    """A process that takes Headscale's signals."""
    with subprocess.Popen(["bash", "-c", f"trap 'echo HUP >>{tmp_path}/signals' HUP; while :; do sleep 0.05; done"]) as process:
        (tmp_path / "pid").write_text(str(process.pid))
        yield
        process.kill()


def test_links_in_headscales_own_data_change_nothing_of_roots(tmp_path: Path, programs: Path) -> None:
    victim = tmp_path / "crontab"
    victim.write_text("root's own\n")
    service = headscale.service(MESH)
    for volume in service.volumes:
        if not volume.read_only:
            for place in (tmp_path / "data" / volume.directory, tmp_path / "data" / volume.directory / "parts"):
                place.mkdir(parents=True)
                for name in DRAFTS:
                    (place / name).symlink_to(victim)
    directory = tmp_path / "data" / headscale.MERGED_DIRECTORY
    for _ in range(2):
        done = run("mesh_hub.sh", "publish", SERVICE, str(directory), "prod", payload=json.dumps(PART), programs=programs)
        assert done.returncode == 0, done.stderr
    assert victim.read_text() == "root's own\n"
    assert json.loads((directory / "policy.json").read_text())["acls"] == PART["policy"]["acls"]
    assert json.loads((directory / "records.json").read_text()) == [{"name": "llm.vpai.test", "type": "A", "value": "100.64.0.1"}]


def test_nothing_that_root_writes_is_writable_in_the_container() -> None:
    service = headscale.service(MESH)
    writable = [PurePosixPath(volume.directory) for volume in service.volumes if not volume.read_only]
    merged = PurePosixPath(headscale.MERGED_DIRECTORY)
    assert not [path for path in writable if merged.is_relative_to(path) or path.is_relative_to(merged)]
    assert [volume.path for volume in service.volumes if volume.read_only] == [headscale.MERGED]


@pytest.mark.parametrize("place", ["", "parts"])
def test_a_directory_that_is_a_link_is_refused(tmp_path: Path, programs: Path, place: str) -> None:
    elsewhere, directory = tmp_path / "elsewhere", tmp_path / "data" / headscale.MERGED_DIRECTORY
    elsewhere.mkdir()
    (directory / place).parent.mkdir(parents=True)
    (directory / place).symlink_to(elsewhere)
    done = run("mesh_hub.sh", "publish", SERVICE, str(directory), "prod", payload=json.dumps(PART), programs=programs)
    assert done.returncode == 1
    assert "is a link or another user owns it" in done.stderr
    assert [path.name for path in elsewhere.rglob("*") if path.is_file()] == []


def test_a_refused_policy_leaves_part_policy_and_no_draft(tmp_path: Path, programs: Path) -> None:
    directory = tmp_path / "data" / headscale.MERGED_DIRECTORY
    publish = ("mesh_hub.sh", "publish", SERVICE, str(directory), "prod")
    assert run(*publish, payload=json.dumps(PART), programs=programs).returncode == 0
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    assert {path.name for path in before} == {"policy.json", "records.json", "prod.part"}
    refused = run(*publish, payload=json.dumps(PART).replace("accept", "perhaps"), programs=programs)
    assert refused.returncode == 1
    assert "Headscale refuses the policy; the old one stays in force." in refused.stderr
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before
    assert "nodes list" in calls(programs)[2], "it is asked for addresses before anything is written"


def test_a_part_is_withdrawn(tmp_path: Path, programs: Path) -> None:
    directory = tmp_path / "data" / headscale.MERGED_DIRECTORY
    for stack in ("prod", "pr-1"):
        run("mesh_hub.sh", "publish", SERVICE, str(directory), stack, payload=json.dumps(PART), programs=programs)
    done = run("mesh_hub.sh", "withdraw", SERVICE, str(directory), "pr-1", programs=programs)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (directory / "parts").iterdir()] == ["prod.part"]
    assert len(json.loads((directory / "policy.json").read_text())["acls"]) == 1
