"""Secrets do not leak into state, previews, logs, process lists or `docker inspect`; the recovery kit opens."""

import json
import subprocess

import pyrage

from tests.lab.deployment import Deployment
from tests.support.fleets import inputs


def values(stack: Deployment) -> dict[str, str]:
    """Every secret that is too long to occur by chance, with the lab's dummy provider keys."""
    config = json.loads(stack.pulumi("config", "--json", "--show-secrets").stdout)
    external = {key: entry["value"] for key, entry in config.items() if entry["secret"]}
    return {name: value for name, value in {**stack.secrets, **external}.items() if len(value) > 8}


def assert_none(text: str, secrets: dict[str, str], where: str) -> None:
    """Assert that `text` has no secret; a key of several lines is searched line by line."""
    for name, value in secrets.items():
        for line in value.splitlines():
            if (len(line) > 20 and not line.startswith("-----")) or "\n" not in value:
                assert line not in text, f"{name} stands in {where}"


def test_the_secrets_looked_for_are_there_where_they_must_be(deployed: Deployment) -> None:
    secrets = values(deployed)
    assert {"litellm_master_key", "postgresql_n8n_password", "vpai:openai_api_key"} <= set(secrets)
    delivered = deployed.on_host("docker", "exec", deployed.container("litellm"), "cat", "/app/configuration/environment")
    assert secrets["litellm_master_key"] in delivered


def test_the_state_and_its_backups_hold_no_secret_in_plain_text(deployed: Deployment) -> None:
    secrets = values(deployed)
    files = [path for path in deployed.state_files.rglob("*") if path.is_file()]
    assert any(b"ciphertext" in path.read_bytes() for path in files)
    for path in files:
        assert_none(path.read_text(errors="replace"), secrets, str(path))


def test_docker_inspect_shows_no_secret(deployed: Deployment) -> None:
    assert_none(deployed.on_host("docker", "inspect", *deployed.containers()), values(deployed), "docker inspect")


def test_a_rotation_shows_old_and_new_values_nowhere(stack: Deployment) -> None:
    before = values(stack)
    stack.configure("rotations.redis_sure_password", "77")
    stack.configure("rotations.postgresql_nocodb_password", "77")
    watch = "rm -f /tmp/watched /tmp/unwatch; while [ ! -e /tmp/unwatch ]; do ps -eo args >>/tmp/watched; sleep 0.02; done"
    watchers = [subprocess.Popen([*machine.exec_command(), "sh", "-c", watch]) for machine in (stack.host, stack.lab.operator)]
    shown = stack.pulumi("preview", "--diff").stdout
    shown += stack.up("--diff").stdout
    seen = ""
    for machine, watcher in zip((stack.host, stack.lab.operator), watchers, strict=True):
        machine.run(["touch", "/tmp/unwatch"])
        watcher.wait(timeout=30)
        seen += machine.run(["cat", "/tmp/watched"]).stdout
    assert "psql -U postgres" in seen, "the watch saw the commands that carry secrets on their stdin"
    after = values(stack)
    assert before["redis_sure_password"] != after["redis_sure_password"]
    for secrets in (before, after):
        assert_none(shown, secrets, "the output of preview and up")
        assert_none(seen, secrets, "a process list")


def test_the_recovery_kit_opens_with_its_key_alone_and_holds_what_a_restore_needs(deployed: Deployment) -> None:
    key = pyrage.x25519.Identity.generate()
    deployed.operate("recovery-kit", "--recipient", str(key.to_public()), "--output", "kit.age")
    sealed = (deployed.directory / "kit.age").read_bytes()
    assert b"lab" not in sealed.split(b"---", 1)[1]
    kit = json.loads(pyrage.decrypt(sealed, [key]))
    assert kit["passphrase"] == "lab"
    assert set(kit["secrets"]) == {secret.name for secret in inputs("lab").fleet.secrets() if secret.irreplaceable}
    assert kit["secrets"]["n8n_encryption_key"]["value"] == deployed.secrets["n8n_encryption_key"]


def test_a_kit_for_nobody_is_refused(deployed: Deployment) -> None:
    refused = deployed.operate("recovery-kit", check=False)
    assert refused.returncode != 0
    assert "nobody to seal the recovery kit to" in refused.stdout
