"""A rollback is an up of other code: asked for, guarded and judged as one, with the configuration of now."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.problem import Problem, Refused
from operations.deploy import guard, rollback, up
from operations.deploy.terminal import Terminal
from operations.stack import Stack
from stacks.standing import SCHEMA
from tests.support.fleets import PROJECT, inputs

AT_A_TERMINAL = Terminal(stdin=True, stdout=True)


def update(commit: str, result: str = "succeeded", message: str = "x", kind: str = "update") -> dict[str, Any]:
    return {"kind": kind, "result": result, "message": message, "environment": {"git.head": commit}}


@pytest.mark.parametrize(
    ("history", "commit"),
    [
        ([update("b"), update("a")], "a"),
        ([update("b"), update("b"), update("c", kind="refresh"), update("a")], "a"),
        ([update("c", "failed"), update("b"), update("a")], "b"),
        ([update("c", "failed"), update("c", "failed"), update("b")], "b"),
        ([update("b", message="rollback to a"), update("b"), update("a")], "b"),
        ([update("a")], ""),
        ([], ""),
    ],
    ids=["the one before", "not itself", "before one that failed", "twice", "of a rollback", "none", "never deployed"],
)
def test_what_stood_before_is_gone_back_to(history: list[dict[str, Any]], commit: str) -> None:
    assert rollback.previous(history) == commit


def test_the_code_is_the_commits_and_the_configuration_is_of_now(tmp_path: Path) -> None:
    former, present = tmp_path / "present/.vpai/rollback/a", tmp_path / "present"
    former.mkdir(parents=True)
    (former / "Pulumi.yaml").write_text("name: vpai\nconfig: {vpai:domain: {}, vpai:rotations: {}, vpai:deleteData: {}}\n")
    then = {"vpai:domain": "old.example.org", "vpai:deleteData": True, "vpai:rotations": {"redis_password": 1}}
    now = {"vpai:domain": "new.example.org", "vpai:rotations": {"redis_password": 2}, "vpai:later": "x", "vpai:imageLock": "l"}
    (former / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": then, "encryptionsalt": "v1:then"}))
    (present / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": now, "encryptionsalt": "v1:now"}))
    settings = inputs().settings.model_copy(update={"known_hosts": "hosts/k", "authorized_keys": "hosts/a"})

    unknown = rollback.with_present_configuration(former, present, "prod", settings)

    assert unknown == ("vpai:imageLock", "vpai:later"), "what the code of then does not know is not silently lost"
    assert yaml.safe_load((former / "Pulumi.prod.yaml").read_text()) == {
        "config": {
            "vpai:domain": "new.example.org",
            "vpai:rotations": {"redis_password": 2},
            "vpai:knownHosts": str(present / "hosts/k"),
            "vpai:authorizedKeys": str(present / "hosts/a"),
        },
        "encryptionsalt": "v1:now",
    }, "a key that was taken out since would let its owner in again"


def test_keys_that_are_named_after_hosts_are_known_to_code_whose_schema_says_so(tmp_path: Path) -> None:
    former, present = tmp_path / "a", tmp_path
    (former / SCHEMA).parent.mkdir(parents=True)
    (former / "Pulumi.yaml").write_text("name: vpai\nconfig: {vpai:domain: {}}\n")
    config = {"vpai:domain": "example.org", "vpai:s3_backups_box_access_key": {"secure": "v1:x"}}
    (present / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": config}))
    arguments = (former, present, "prod", inputs().settings)
    assert rollback.with_present_configuration(*arguments) == ("vpai:s3_backups_box_access_key",), "it has no schema yet"
    shutil.copy(PROJECT / SCHEMA, former / SCHEMA)
    assert rollback.with_present_configuration(*arguments) == ()
    assert "vpai:s3_backups_box_access_key" in yaml.safe_load((former / "Pulumi.prod.yaml").read_text())["config"]


@pytest.mark.parametrize(("stack", "yes"), [("prod", True), ("prod", False), ("preprod", False)])
def test_who_cannot_be_asked_is_refused_before_anything_is_done(stack: str, yes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terminal, "here", lambda: Terminal(stdin=False, stdout=False))
    monkeypatch.setattr(subprocess, "run", _must_not_run)
    with pytest.raises(Refused) as refused:
        rollback.rollback(Stack(stack), "a" * 40, yes=yes)
    example = "git revert COMMIT && git push" if stack == "prod" else f"make rollback STACK={stack} YES=1"
    assert example in str(refused.value)


def test_production_gets_the_plan_that_was_shown_by_the_former_code_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    former = up.Code(directory=tmp_path, former="a" * 40)
    monkeypatch.setattr(Terminal, "here", lambda: AT_A_TERMINAL)
    monkeypatch.setattr(up, "PROJECT", tmp_path)
    place = up.Plan.of(Stack("prod"))

    def planned(_: Stack, code: up.Code) -> None:
        done.append(f"plan of {code.commit}")
        place.directory.mkdir(parents=True)
        for path in (place.engine, place.about, place.summary):
            path.write_text("{}")

    def guarded(*_: object) -> dict[str, str]:
        done.append("guards")
        return {"commit": "a" * 40}

    def asked(_: str) -> str:
        done.append("question")
        return "prod"

    def pulumi_live(_: Stack, *words: str, directory: Path) -> int:
        assert directory == tmp_path
        done.append(" ".join(words))
        return 0

    monkeypatch.setattr(up, "plan", planned)
    monkeypatch.setattr(up, "_guarded", guarded)
    monkeypatch.setattr("builtins.input", asked)
    monkeypatch.setattr(Stack, "pulumi_live", pulumi_live)
    monkeypatch.setattr(up, "_record", lambda _, commit, result: done.append(f"{commit} {result}"))
    assert up.up(Stack("prod"), code=former) == 0
    commit = "a" * 40
    pack = f"--policy-pack {tmp_path / 'policy'}"
    assert done == [
        f"plan of {commit}",
        "guards",
        "question",
        "guards",
        f"up --yes --skip-preview {pack} --message rollback to {commit} --plan {place.engine}",
        f"{commit} succeeded",
    ]


def test_what_the_former_code_warns_of_is_refused_before_the_question() -> None:
    shown = {
        "diagnostics": [
            {"message": "warning: " + str(Problem(what="no digest", why="w", fix="m"))},
            {"message": "something else"},
        ]
    }
    [problem] = guard.of_former_code(up.warned(shown), "a" * 40)
    assert problem.what == "aaaaaaaaaaaa: no digest"


def _must_not_run(*arguments: object, **_: object) -> None:
    raise AssertionError(f"ran {arguments}")
