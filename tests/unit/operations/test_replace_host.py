"""What the state forgets of a host that is gone, and what of a run is laid out on the machine in its place."""

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from components.ssh.host_script import text
from operations.hosts.replace_host import of_host, packed, without
from operations.stack import CommandFailed

URN = "urn:pulumi:prod::vpai::x::"
HOSTS = ("sese", "sese-2", "seko")


def resource(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    return {"urn": URN + name, "dependencies": [URN + need for need in needs], **more}


STATE = [
    resource("vpai-prod"),
    resource("redis_password"),
    resource("mesh-part"),
    resource("seko-headscale", "mesh-part"),
    resource("sese"),
    resource("sese-redis", parent=URN + "sese", propertyDependencies={"image": [URN + "redis_password"]}),
    resource("sese-2-redis", "sese-redis", deletedWith=URN + "sese", replaceWith=[URN + "sese", URN + "seko-headscale"]),
    resource("guard", "sese-redis", "seko-headscale", propertyDependencies={"all": [URN + "sese-redis", URN + "sese-2-redis"]}),
]


@pytest.mark.parametrize(
    ("host", "hub", "gone"),
    [
        ("sese", False, {"sese", "sese-redis"}),
        ("sese-2", False, {"sese-2-redis"}),
        ("seko", True, {"seko-headscale", "mesh-part"}),
        ("seko", False, {"seko-headscale"}),
        ("waza", False, set()),
    ],
)
def test_what_stood_on_the_host_is_forgotten_and_nothing_else(host: str, hub: bool, gone: set[str]) -> None:
    found = of_host(STATE, host, HOSTS, hub=hub)
    assert found == {URN + name for name in gone}
    left = without(STATE, found)
    assert [entry["urn"] for entry in left] == [entry["urn"] for entry in STATE if entry["urn"] not in found]


def test_nothing_that_is_left_refers_to_what_is_forgotten() -> None:
    *_, other, guard = without(STATE, of_host(STATE, "sese", HOSTS, hub=False))
    assert other == resource("sese-2-redis", replaceWith=[URN + "seko-headscale"])
    assert guard == resource("guard", "seko-headscale", propertyDependencies={"all": [URN + "sese-2-redis"]})
    assert STATE[-1]["dependencies"] == [URN + "sese-redis", URN + "seko-headscale"], "the state that was read stays as it was"


def test_a_runs_files_go_to_the_machine_with_their_owners_and_only_as_the_manifest_says(tmp_path: Path) -> None:
    (tmp_path / "headscale").mkdir()
    (tmp_path / "headscale/noise_private.key").write_bytes(b"key")
    listed = [
        {"path": "headscale", "owner": "65532:65532", "mode": "0700", "type": "directory"},
        {
            "path": "headscale/noise_private.key",
            "owner": "65532:65532",
            "mode": "0600",
            "type": "file",
            "sha256": hashlib.sha256(b"key").hexdigest(),
        },
        {"path": "headscale/latest", "owner": "0:0", "type": "link", "to": "noise_private.key"},
    ]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        packed(tmp_path, listed, archive)
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as archive:
        found = {member.name: (member.uid, member.mode, member.linkname) for member in archive}
        assert archive.extractfile("data/headscale/noise_private.key").read() == b"key"  # type: ignore[union-attr]
    assert found["data/headscale"] == (65532, 0o700, "")
    assert found["data/headscale/noise_private.key"] == (65532, 0o600, "")
    assert found["data/headscale/latest"][2] == "noise_private.key"
    (tmp_path / "headscale/noise_private.key").write_bytes(b"another")
    with (
        pytest.raises(CommandFailed, match="of the run is not as in its manifest"),
        tarfile.open(fileobj=io.BytesIO(), mode="w") as archive,
    ):
        packed(tmp_path, listed, archive)


def test_a_machine_says_what_it_is_and_what_it_holds(tmp_path: Path) -> None:
    base = tmp_path / "opt/javisi"

    def look() -> list[str]:
        words = ["bash", "-s", "--", "look", str(base)]
        return subprocess.run(
            words, input=text("fresh_machine.sh"), capture_output=True, text=True, check=True
        ).stdout.splitlines()

    kinds = [line.split()[0] for line in look()]
    assert kinds == ["free", "memory", "release"]
    (base / "data").mkdir(parents=True)
    assert len(look()) == 3, "an empty directory holds nothing"
    (base / "data/redis").mkdir()
    assert f"holds {base}/data" in look()
