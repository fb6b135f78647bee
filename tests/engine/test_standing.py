"""The real engine's state, lost, truncated, without its salt, half-deployed or locked: each is reported with its remedy."""

import json
import os
import pwd
import re
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.storage import ADMIN
from model.problem import Refused
from operations import stack
from operations.deploy.recover import recover
from operations.deploy.state_backend import move
from operations.deploy.up import failure
from operations.stack import Stack
from stacks import standing
from stacks.standing import Standing
from tests.engine.project import Project
from tests.support.copies import copy
from tests.support.fleets import PROJECT
from tests.support.object_storage import running
from tests.support.runbook import commands

PROGRAM = """
    import pulumi
    import pulumi_random
    from components.destroy_guard import DestroyGuard
    guard = DestroyGuard()
    data = pulumi_random.RandomPassword("data", length=5, opts=pulumi.ResourceOptions(protect=PROTECT))
    pulumi_random.RandomPassword("container", length=5, opts=pulumi.ResourceOptions(depends_on=[data]))
    pulumi_random.RandomPassword("alone", length=5)
    guard.register(protect=PROTECT)
"""
HERE = pwd.getpwuid(os.getuid()).pw_name, socket.gethostname()


@pytest.fixture
def project(tmp_path: Path, toolchain: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path, toolchain, "prod")
    write(project, protect=True)
    project.pulumi("up", "--yes", "--skip-preview")
    monkeypatch.setattr(stack, "PROJECT", project.directory)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    return project


def write(project: Project, *, protect: bool) -> None:
    (project.directory / "__main__.py").write_text(textwrap.dedent(PROGRAM).replace("PROTECT", str(protect)))


def state(project: Project) -> Path:
    return Path(project.environment["PULUMI_BACKEND_URL"].removeprefix("file://")) / ".pulumi/stacks/vpai/prod.json"


def found(project: Project) -> Standing:
    stack_state = standing.standing("prod", project.environment, project.directory)
    assert stack_state
    return stack_state


def of(project: Project) -> Stack:
    operated = Stack("prod")
    operated.__dict__["inputs"] = SimpleNamespace(fleet=SimpleNamespace(placements=()), rents=False)
    return operated


def test_a_destroy_of_production_and_of_data_is_refused_before_anything_is_deleted(project: Project) -> None:
    before = found(project).resources
    reported = project.pulumi("destroy", "--yes", "--skip-preview", check=False)
    assert reported.returncode != 0
    assert "what-stands-is-kept-see-docs-runbooks-state" in reported.stdout
    assert found(project).resources == before

    program = project.directory / "__main__.py"
    program.write_text(program.read_text().replace('"data"', '"other-data"'))
    shown = project.pulumi("preview", "--json", check=False).stdout
    said = failure(json.loads(shown), shown, "")
    assert "data holds data, is no longer in the code" in said
    assert "bring its service back as it was" in said
    assert "Not `pulumi state unprotect`" in said and "use the command" not in said

    write(project, protect=False)
    project.pulumi("up", "--yes", "--skip-preview")
    project.pulumi("destroy", "--yes", "--skip-preview")


def test_what_is_wrong_with_a_state_is_told_and_nothing_is_run_on_it(project: Project) -> None:
    copy(PROJECT / "operations", project.directory / "operations")
    well, file = state(project).read_bytes(), project.directory / "Pulumi.prod.yaml"
    configured = file.read_text()
    assert not [*standing.problems(found(project)), *standing.of_pending(found(project))]

    def reported() -> str:
        broken_state = found(project)
        return "\n".join(
            map(str, [standing.said(broken_state), *standing.problems(broken_state), *standing.of_pending(broken_state)])
        )

    def refused() -> str:
        with pytest.raises(Refused) as caught:
            _ = Stack("prod").inputs
        return str(caught.value)

    for damaged in (b"", well[: len(well) // 2], b"\x00" * 40, b"[]"):
        state(project).write_bytes(damaged)
        assert f"the state of prod is damaged: {len(damaged)} bytes" in reported()
        assert "damaged" in refused()
    state(project).unlink()
    assert "there is no stack prod in file://" in reported()
    assert "make init STACK=prod" in refused()
    state(project).write_bytes(well)

    line = next(line for line in configured.splitlines() if line.startswith("encryptionsalt"))
    file.write_text(configured.replace(line, ""))
    assert line in reported(), "the very line to put back"
    assert "has no encryptionsalt" in refused()
    assert "encryptionsalt" not in file.read_text(), "no other was written meanwhile"
    file.write_text(configured)

    half = json.loads(well)
    begun = next(resource for resource in half["checkpoint"]["latest"]["resources"] if resource["urn"].endswith("::data"))
    half["checkpoint"]["latest"]["pending_operations"] = [{"resource": begun, "type": "creating"}]
    state(project).write_text(json.dumps(half))
    command = [sys.executable, "-m", "operations", "state", "--stack", "prod"]
    done = subprocess.run(command, cwd=project.directory, env=project.environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.splitlines()[2:4] == ["pending  creating data", "locked   by nobody"]
    assert "was killed while it was creating data" in done.stderr
    assert "make recover STACK=prod" in done.stderr


@pytest.fixture
def ended() -> Iterator[int]:
    """Process id of a killed run."""
    done = subprocess.Popen(["true"])
    done.wait()
    yield done.pid


def test_a_recovery_breaks_the_lock_of_a_run_that_has_ended_here_and_no_other(
    project: Project, ended: int, capsys: pytest.CaptureFixture[str]
) -> None:
    locks = state(project).parents[2] / "locks/organization/vpai/prod"

    def lock(name: str, user: str, machine: str, process: int) -> None:
        says = {"pid": process, "username": user, "hostname": machine, "timestamp": "2026-11-30T03:00:00Z"}
        (locks / f"{name}.json").write_text(json.dumps(says))

    recover(of(project))
    assert "no lock was held" in capsys.readouterr().out
    lock("theirs", "ana", "laptop", ended)
    with pytest.raises(Refused, match=f"prod is locked by ana@laptop, process {ended}, since 2026-11-30T03:00:00"):
        recover(of(project))
    lock("ours", *HERE, ended)
    with pytest.raises(Refused, match="1 problem"):
        recover(of(project), breaks="ours")
    assert {path.stem for path in locks.glob("*.json")} == {"theirs", "ours"}
    recover(of(project), breaks="theirs")
    assert "released the lock of ana@laptop" in capsys.readouterr().out
    assert not list(locks.glob("*.json"))


def test_a_run_that_goes_on_here_keeps_its_lock(project: Project) -> None:
    """The real engine's own lock during a deployment."""
    program = project.directory / "__main__.py"
    program.write_text(f"import time\ntime.sleep(20)\n{program.read_text()}")
    command = ["pulumi", "up", "--yes", "--skip-preview", "--stack", "prod", "--non-interactive"]
    running_one = subprocess.Popen(command, cwd=project.directory, env=project.environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if found(project).locks:
                break
            time.sleep(0.1)
        [lock] = found(project).locks
        assert (lock.user, lock.machine, lock.process) == (*HERE, running_one.pid)
        with pytest.raises(Refused, match="two runs at once"):
            recover(of(project))
    finally:
        running_one.kill()
        running_one.wait()
    assert standing.has_ended(lock, *HERE)
    assert not standing.has_ended(lock, "ana", "laptop")


def test_a_state_in_a_bucket_is_seen_as_one_in_a_directory_is(project: Project, tmp_path: Path, toolchain: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": ADMIN.access_key, "AWS_SECRET_ACCESS_KEY": ADMIN.secret_key}
    here = found(project)
    with running(tmp_path / "s3", toolchain) as storage:
        url = move("prod", "states", {**project.environment, **keys}, storage.endpoint)
        project.environment |= {**keys, "PULUMI_BACKEND_URL": url}
        moved_state = found(project)
        assert (moved_state.resources, moved_state.salt, moved_state.locks) == (here.resources, here.salt, ())
        s3 = storage.as_account(ADMIN)
        s3.put_object(Bucket="states", Key=".pulumi/locks/organization/vpai/prod/x.json", Body=b'{"pid": 7, "username": "ci"}')
        assert [(lock.identity, lock.user, lock.process) for lock in found(project).locks] == [("x", "ci", 7)]
        s3.put_object(Bucket="states", Key=f"{moved_state.file}", Body=b"{")
        assert found(project).resources is None
        project.environment["PULUMI_BACKEND_URL"] = url.replace("states", "other-states")
        with pytest.raises(Refused, match="the bucket other-states cannot be asked for the state"):
            found(project)
    project.environment.pop("AWS_SECRET_ACCESS_KEY")
    assert standing.standing("prod", project.environment, project.directory) is None


SHOWN_ELSEWHERE = {
    "export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...": "tests/engine/test_state_backend.py",
    "make state-backend STACK=prod BUCKET=example-org-state": "tests/engine/test_state_backend.py",
    "pulumi preview -s prod": "tests/engine/test_state_backend.py",
    "make recover STACK=prod LOCK=<id>": "above",
    "make recover STACK=prod": "above, and tests/lab/test_failures.py",
    "make recovery-kit STACK=prod CHECK=recovery-kit-prod.age KEY=recovery.key": "tests/engine/test_recovery_kit.py",
    "pulumi stack init prod": "tests/engine/test_first_deploy.py",
    "pulumi config set -s prod --path --secret 'vpai:kept.NAME' VALUE": "tests/prove/test_removal.py",
}


def test_a_damaged_state_in_a_directory_comes_back_by_the_lines_of_the_runbook(project: Project) -> None:
    copy(PROJECT / "operations", project.directory / "operations")
    (project.directory / ".state").symlink_to(state(project).parents[3])
    write(project, protect=False)
    project.pulumi("up", "--yes", "--skip-preview")
    state(project).write_bytes(state(project).read_bytes()[:100])
    ran = []
    for command in commands("state.md"):
        if command in SHOWN_ELSEWHERE or command.startswith(("aws ", "export PULUMI_BACKEND_URL='s3:")):
            continue  # commands for a bucket's versions: tests/engine/test_state_backend.py
        typed = re.sub(r"^make (\S+) STACK=(\w+)", rf"{sys.executable} -m operations \1 --stack \2", command)
        done = subprocess.run(
            ["bash", "-c", typed], cwd=project.directory, env=project.environment, capture_output=True, text=True, timeout=60
        )
        ran.append((command, done.returncode))
        assert done.stdout + done.stderr or command.startswith("cp ")
    assert ran == [
        ("make state STACK=prod", 1),
        ("cp .state/.pulumi/stacks/vpai/prod.json prod.damaged.json", 0),
        ("cp .state/.pulumi/stacks/vpai/prod.json.bak .state/.pulumi/stacks/vpai/prod.json", 0),
        ("ls -t .state/.pulumi/history/vpai/prod/*.checkpoint.json", 0),
        ("make state STACK=prod", 0),
    ]
    recover(of(project))
    project.pulumi("up", "--yes", "--skip-preview")
    project.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
