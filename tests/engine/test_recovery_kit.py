"""With the real engine: a recovery kit counts once it has opened the state; a kit that no longer opens it is reported."""

import json
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pyrage
import pytest

from model.problem import Refused
from operations import stack
from operations.secrets import recovery_kit
from operations.secrets.recovery_kit import check_recovery_kit, stale, write_recovery_kit
from operations.stack import Stack
from tests.engine.project import Project

PROGRAM = """
    import pulumi
    import pulumi_random
    key = pulumi_random.RandomPassword("key", length=20)
    pulumi.export("secrets", pulumi.Output.secret({"key": key.result}))
    pulumi.export("irreplaceable", {"key": "what it sealed is unreadable"})
"""


def of(project: Project) -> Stack:
    found = Stack(project.stack)
    found.__dict__["inputs"] = SimpleNamespace(fleet=SimpleNamespace(placements=()), external={})
    return found


def test_a_kit_holds_the_passphrase_that_opens_the_state_and_says_when_it_does_no_more(
    tmp_path: Path, toolchain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path, toolchain, "prod")
    (project.directory / "__main__.py").write_text(textwrap.dedent(PROGRAM))
    project.pulumi("up", "--yes", "--skip-preview")
    monkeypatch.setattr(stack, "PROJECT", project.directory)
    monkeypatch.setattr(recovery_kit, "PROJECT", project.directory)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "another").write_text("another\n")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "another"))
    identity, kit, key = pyrage.x25519.Identity.generate(), tmp_path / "kit.age", tmp_path / "recovery.key"
    key.write_text(f"# created: today\n{identity}\n")

    write_recovery_kit(of(project), str(identity.to_public()), kit)
    opened = json.loads(pyrage.decrypt(kit.read_bytes(), [identity]))
    assert opened["passphrase"] == "test", "of two variables it seals the one that the engine takes"
    assert stale(of(project), kit) == ""
    check_recovery_kit(of(project), kit, str(key))
    assert "its passphrase opens the state, and its 1 secrets are the state's" in capsys.readouterr().out

    wrong, other = tmp_path / "wrong.json", tmp_path / "other.key"
    other.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    wrong.write_text(json.dumps({**opened, "passphrase": "another"}))
    for file, by, said in (
        (kit, "", "is sealed, and no key is named"),
        (kit, str(other), "does not open it"),
        (kit, str(tmp_path / "another"), "is no file with an age key"),
        (kit, str(tmp_path / "nowhere"), "cannot be read: No such file"),
        (tmp_path / "another", str(key), "does not open it"),
        (wrong, "", "the state of prod cannot be opened with its passphrase"),
    ):
        with pytest.raises(Refused, match=said):
            check_recovery_kit(of(project), file, by)
    wrong.write_text(json.dumps({**opened, "secrets": {"key": {"value": "x", "why": "y"}}}))
    with pytest.raises(Refused, match="key is another one in the state than in the kit"):
        check_recovery_kit(of(project), wrong, "")

    project.pulumi("stack", "change-secrets-provider", "passphrase", stdin="new\n")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "new")
    assert "the passphrase, a secret or a repository has changed since" in stale(of(project), kit)
    with pytest.raises(Refused, match="cannot be opened with its passphrase"):
        check_recovery_kit(of(project), kit, str(key))
    write_recovery_kit(of(project), str(identity.to_public()), kit)
    assert stale(of(project), kit) == ""
    kit.write_bytes(b"")
    assert stale(of(project), kit) == "it is not the file that was sealed last"


@pytest.mark.parametrize(
    ("environment", "taken"),
    [
        ({"PULUMI_CONFIG_PASSPHRASE": "a", "PULUMI_CONFIG_PASSPHRASE_FILE": "FILE"}, "a"),
        ({"PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_CONFIG_PASSPHRASE_FILE": "FILE"}, ""),
        ({"PULUMI_CONFIG_PASSPHRASE_FILE": "FILE"}, "b c"),
        ({"PULUMI_CONFIG_PASSPHRASE_FILE": ""}, ""),
        ({}, ""),
    ],
)
def test_the_passphrase_is_the_one_that_the_engine_takes(tmp_path: Path, environment: dict[str, str], taken: str) -> None:
    (tmp_path / "FILE").write_text(" b c \n")
    assert (
        recovery_kit.passphrase({key: value.replace("FILE", str(tmp_path / "FILE")) for key, value in environment.items()})
        == taken
    )


def test_a_passphrase_file_that_is_not_there_and_a_recipient_that_is_none_are_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="which cannot be read"):
        recovery_kit.passphrase({"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "nowhere")})
    private = str(pyrage.x25519.Identity.generate())
    with pytest.raises(Refused, match="RECIPIENT is a private key") as refused:
        write_recovery_kit(Stack("prod"), private, tmp_path / "kit")
    assert private not in str(refused.value)
    with pytest.raises(Refused, match="no public age key"):
        write_recovery_kit(Stack("prod"), "age1x", tmp_path / "kit")
