"""The published snapshot of a deployed stack: a change of README shows no difference to it, and it has no secret of the stack."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from operations.previews import converged, ephemeral_stack
from operations.previews.converged import converge, secret
from operations.previews.ephemeral_stack import EphemeralStack
from operations.previews.pull_request import against, published
from operations.secrets import dummies
from tests.support.copies import checkout
from tests.support.fleets import PROJECT

STACK = "pr-7"
BCRYPT = "$2a$10$" + "genuine7" * 6 + "abcde"
_SETTINGS = {
    "vpai:kind": "copy",
    "vpai:domain": "vpai.example.org",
    "vpai:acmeEmail": "ops@example.org",
    "vpai:knownHosts": "hosts/throwaway.known_hosts",
    "vpai:authorizedKeys": "hosts/throwaway.authorized_keys",
    "vpai:hosts": {STACK: {"address": "203.0.113.10", "memoryMib": 11264, "roles": ["stack"]}},
    "vpai:services": ["redis"],
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, toolchain: Path) -> EphemeralStack:
    """A deployed stack with its own values for every secret, none of them a dummy."""
    directory = tmp_path_factory.mktemp("deployed")
    with pytest.MonkeyPatch.context() as patch:
        dummy, seed = dummies.dummy, converged.seed
        patch.setattr(
            ephemeral_stack, "dummy", lambda *of: dummy(*of).replace("preview0", "genuine7").replace("1000000001", "2000000002")
        )
        patch.setattr(converged, "seed", lambda urn: seed(f"genuine {urn}"))
        _with_engine(patch, toolchain)
        program = EphemeralStack(PROJECT, directory, STACK, _SETTINGS)
        resources = converge(program, [])
        for resource in resources:
            if resource["type"].endswith("RandomPassword"):
                resource["outputs"]["bcryptHash"] = secret(BCRYPT)
        program.hold(resources)
    shutil.copytree(PROJECT / "docs", program.directory / "docs")
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=program.directory, check=True)
    return program


@pytest.fixture
def engine(toolchain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_engine(monkeypatch, toolchain)


def test_against_a_snapshot_a_readme_changes_nothing_and_an_edit_only_itself(
    stack: EphemeralStack, tmp_path: Path, engine: None
) -> None:
    taken = _operations(stack, "snapshot")
    assert taken.returncode == 0, taken.stderr
    path = stack.directory / f".vpai/snapshot/{STACK}/snapshot.json"
    text = path.read_text()
    assert "genuine7" not in text and "2000000002" not in text and BCRYPT not in text
    assert "none told" in taken.stdout

    head = tmp_path / "head"
    checkout(head)
    (head / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": _SETTINGS}))
    (head / "README.md").write_text("# Another\n")
    deployed = published(path)
    assert against(deployed, head, STACK, _below(tmp_path, "same"))[0].splitlines()[1] == f"### {STACK}: no changes"

    redis = head / "services/redis.py"
    redis.write_text(redis.read_text().replace("stop_timeout=30", "stop_timeout=31"))
    shown = against(deployed, head, STACK, _below(tmp_path, "edited"))[0]
    assert f"- replace Container `{STACK}-redis`: forced by" in shown
    assert {line.split("`")[1] for line in shown.splitlines() if line.startswith("- ")} == {
        f"{STACK}-redis",
        f"{STACK}-redis-healthy",
    }


def test_what_is_not_deployed_is_not_taken_for_deployed(stack: EphemeralStack, engine: None) -> None:
    redis = stack.directory / "services/redis.py"
    text = redis.read_text()
    redis.write_text(text.replace("stop_timeout=30", "stop_timeout=31"))
    refused = _operations(stack, "snapshot")
    redis.write_text(text)
    assert refused.returncode == 1
    assert f"this checkout would change {STACK}: " in refused.stderr


def _operations(stack: EphemeralStack, command: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "operations", command, "--stack", STACK]
    return subprocess.run(words, cwd=stack.directory, env=stack.environment, capture_output=True, text=True, timeout=600)


def _with_engine(patch: pytest.MonkeyPatch, toolchain: Path) -> None:
    patch.setenv("PULUMI_HOME", str(toolchain / "home"))
    patch.setenv("PATH", f"{toolchain / 'bin'}:/usr/local/bin:/usr/bin:/bin")


def _below(place: Path, name: str) -> Path:
    (place / name).mkdir()
    return place / name
