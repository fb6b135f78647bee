"""An operator's own committed configuration turns no test red: tests read what stands in tests/configuration instead."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.copies import tracked
from tests.support.fleets import DUMMY_SECRETS, PROJECT

READERS = (
    *("operations/test_configuration_reference.py", "operations/test_images.py", "operations/test_rollback.py"),
    *("stacks/test_inputs.py", "model/test_settings.py", "model/test_image_lock.py"),
)
"""Of tests/unit: what asks for settings, pins and digests by the project's own files."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As somebody has it whose production stands, on other hosts, in another time zone, with everything looked up."""
    directory = tmp_path_factory.mktemp("operator") / "vpai"
    directory.mkdir()
    tracked(directory)
    sealed = {f"vpai:{name}": {"secure": "v1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAA"} for name in (*DUMMY_SECRETS, "hcloud_token")}
    hub = {"seko": {"address": "198.51.100.8", "memoryMib": 2048, "roles": ["hub"]}}
    config = {
        "vpai:kind": "production",
        "vpai:domain": "ops.example.net",
        "vpai:hosts": {
            **hub,
            "sese": {"address": "198.51.100.7", "memoryMib": 11264, "roles": ["stack"]},
            "app-prod-01": {"server": {}, "roles": ["applications"]},
        },
        "vpai:trustedAddresses": ["198.51.100.9/32"],
        "vpai:knownHosts": "hosts/prod.known_hosts",
        "vpai:authorizedKeys": "hosts/prod.authorized_keys",
        "vpai:acmeEmail": "ops@example.net",
        "vpai:timezone": "America/Lima",
        "vpai:bucketPrefix": "ops",
        "vpai:rotations": {"redis_sure_password": 2},
        "vpai:revertSeconds": 120,
        **sealed,
    }
    copies = {**config, "vpai:kind": "copy", "vpai:hosts": hub, "vpai:protectData": False}
    for stack, values in (("prod", config), ("preprod", copies)):
        (directory / f"Pulumi.{stack}.yaml").write_text(
            yaml.safe_dump({"config": values, "encryptionsalt": "v1:AAAA:v1:AAAA:AAAA"})
        )
    key = next(line for line in (PROJECT / "tests/authorized_keys").read_text().splitlines() if line.startswith("ssh-ed25519"))
    (directory / "hosts").mkdir(exist_ok=True)
    (directory / "hosts/prod.authorized_keys").write_text(f"{key}\n")
    pin = " ".join(key.split()[:2])
    (directory / "hosts/prod.known_hosts").write_text("".join(f"{host} {pin}\n" for host in ("sese", "seko", "waza")))
    digests = dict.fromkeys(yaml.safe_load((PROJECT / "images.lock.yaml").read_text()), f"sha256:{'ab' * 32}")
    for name in ("images.lock.yaml", "images.verified.yaml"):
        (directory / name).write_text(yaml.safe_dump(digests))
    return directory


def test_the_tests_of_what_an_operator_fills_in_pass_with_another_operators_own(checkout: Path) -> None:
    files = [f"tests/unit/{name}" for name in READERS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


def test_no_other_test_reads_what_an_operator_fills_in() -> None:
    named = [
        f"{path.relative_to(PROJECT)}: {line.strip()}"
        for folder in ("unit", "graph", "policy", "engine")
        for path in sorted((PROJECT / "tests" / folder).rglob("*.py"))
        if path.name != Path(__file__).name
        for line in path.read_text().splitlines()
        if "PROJECT /" in line and any(name in line for name in ('"Pulumi.prod', '"Pulumi.preprod', '"hosts', 'f"Pulumi.{'))
    ]
    assert named == []
