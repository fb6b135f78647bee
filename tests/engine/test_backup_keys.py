"""What each key may do in the backups' bucket, with the real restic against versitygw, an S3 that enforces policies."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.storage import ADMIN, BACKUPS, SEKO, SESE, Account
from model.bucket import Bucket, Keys, policy
from model.problem import Refused
from operations.backups import prune, rescue, second_copy
from operations.checks.buckets import checks
from operations.secrets import kit_repositories
from operations.stack import CommandFailed
from services import storage
from tests.support.object_storage import PRINCIPAL, ObjectStorage, running
from tests.support.whole import placements

NAME = "example-org-backups"
KEYS = Keys(
    admin=ADMIN.access_key,
    appending={SESE.access_key: "sese/", SEKO.access_key: "seko/"},
    looking=(BACKUPS.access_key,),
    principal=PRINCIPAL,
)

HOST_BACKUP = next(placement.backup for placement in placements() if placement.host.name == "sese")


@dataclass(frozen=True)
class Repository:
    """The repository of sese, with one account's keys."""

    restic: Path
    storage: ObjectStorage
    account: Account
    data: Path

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": self.account.access_key,
            "AWS_SECRET_ACCESS_KEY": self.account.secret_key,
            "RESTIC_PASSWORD": "of sese",
            "RESTIC_REPOSITORY": f"s3:{self.storage.endpoint}/{NAME}/sese",
        }
        options = ("--no-cache", "--quiet", "--option", f"s3.region={self.storage.region}")
        words = [str(self.restic), *options, *arguments]
        return subprocess.run(words, env=environment, cwd=self.data, capture_output=True, text=True, timeout=120)


@pytest.fixture
def repository(tmp_path: Path, toolchain: Path) -> Iterator[Repository]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "datum").write_text("what is known")
    with running(tmp_path / "s3", toolchain) as storage:
        admin = storage.as_account(ADMIN)
        admin.create_bucket(Bucket=NAME, ObjectLockEnabledForBucket=True)
        retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 14}}
        locked = {"ObjectLockEnabled": "Enabled", "Rule": retention}
        admin.put_object_lock_configuration(Bucket=NAME, ObjectLockConfiguration=locked)
        admin.put_bucket_policy(Bucket=NAME, Policy=policy(Bucket(name=NAME, keys=KEYS, https_only=False)))
        backups = Repository(toolchain / "bin/restic", storage, SESE, data)
        assert backups.ask("init").returncode == 0
        assert backups.ask("backup", ".").returncode == 0
        yield backups


def test_a_hosts_key_backs_up_checks_restores_and_unlocks(repository: Repository, tmp_path: Path) -> None:
    for question in (("snapshots",), ("check", "--read-data"), ("unlock",), ("backup", ".")):
        assert (done := repository.ask(*question)).returncode == 0, done.stderr
    assert repository.ask("restore", "latest", "--target", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back/datum").read_text() == "what is known"
    assert _names(repository, "sese/locks/") == [], "no lock is left behind"


def test_a_thief_with_a_hosts_key_deletes_nothing_and_locks_nothing(repository: Repository) -> None:
    s3 = repository.storage.as_account(SESE)
    before = _names(repository, "sese/")
    assert repository.ask("forget", "--keep-last", "1", "--unsafe-allow-remove-all", "--prune", "latest").returncode != 0
    for name in before:
        assert _refusal(partial(s3.delete_object, Bucket=NAME, Key=name)) == "AccessDenied", name
    left = s3.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": name} for name in before]})
    assert sorted(error["Key"] for error in left["Errors"]) == before
    name = before[0]
    version = repository.storage.as_account(ADMIN).head_object(Bucket=NAME, Key=name)["VersionId"]
    century = {"Mode": "COMPLIANCE", "RetainUntilDate": "2126-01-01T00:00:00Z"}
    attempts: dict[str, Callable[[], Any]] = {
        "delete a version": lambda: s3.delete_object(Bucket=NAME, Key=name, VersionId=version),
        "with bypass": lambda: s3.delete_object(Bucket=NAME, Key=name, VersionId=version, BypassGovernanceRetention=True),
        "lock for a century": lambda: s3.put_object_retention(Bucket=NAME, Key=name, Retention=century),
        "hold": lambda: s3.put_object_legal_hold(Bucket=NAME, Key=name, LegalHold={"Status": "ON"}),
        "list versions": lambda: s3.list_object_versions(Bucket=NAME),
        "stop versioning": lambda: s3.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Suspended"}),
        "take the policy away": lambda: s3.delete_bucket_policy(Bucket=NAME),
        "write elsewhere": lambda: s3.put_object(Bucket=NAME, Key="seko/config", Body=b""),
        "read elsewhere": lambda: s3.get_object(Bucket=NAME, Key="seko/config"),
        "list elsewhere": lambda: s3.list_objects_v2(Bucket=NAME, Prefix="seko/"),
    }
    assert {what: _refusal(attempt) for what, attempt in attempts.items()} == dict.fromkeys(attempts, "AccessDenied")
    assert _names(repository, "sese/") == before
    assert repository.ask("check", "--read-data").returncode == 0


def test_zerobytes_key_looks_into_every_repository_and_adds_nothing(repository: Repository) -> None:
    view = Repository(repository.restic, repository.storage, BACKUPS, repository.data)
    before = _names(repository, "sese/")
    for question in (("snapshots",), ("ls", "latest"), ("check",), ("unlock",)):
        assert (done := view.ask(*question)).returncode == 0, done.stderr
    assert view.ask("backup", ".").returncode != 0
    assert view.ask("forget", "latest").returncode != 0
    s3 = repository.storage.as_account(BACKUPS)
    assert _refusal(lambda: s3.put_object(Bucket=NAME, Key="sese/config", Body=b"")) == "AccessDenied"
    assert _refusal(lambda: s3.put_object(Bucket=NAME, Key="elsewhere", Body=b"")) == "AccessDenied"
    assert _refusal(lambda: s3.delete_object(Bucket=NAME, Key=before[0])) == "AccessDenied"
    assert _names(repository, "sese/") == before


def _names(repository: Repository, prefix: str) -> list[str]:
    found = repository.storage.as_account(ADMIN).list_objects_v2(Bucket=NAME, Prefix=prefix)
    return sorted(content["Key"] for content in found.get("Contents", ()))


def _refusal(attempt: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as refused:
        attempt()
    return str(refused.value.response["Error"]["Code"])


def test_the_admin_key_prunes_and_reads_a_part_and_refuses_what_no_run_made(
    repository: Repository, toolchain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{toolchain}/bin:{os.environ['PATH']}")
    assert HOST_BACKUP
    to = replace(HOST_BACKUP, endpoint=repository.storage.endpoint, region=repository.storage.region, bucket=NAME)
    kept = prune.Repository(to=to, access_key=ADMIN.access_key, secret_key=ADMIN.secret_key, password="of sese")
    now = datetime.now(UTC)
    with pytest.raises(Refused, match="snapshots that no run made"):
        kept.prune(now)
    assert len(kept.snapshots()) == 1
    kept.ask("forget", "--host", kept.snapshots()[0]["hostname"], "--unsafe-allow-remove-all")
    for days in (0, 1, 2, 40, 1000):
        at = f"{now - timedelta(days=days):%Y-%m-%d %H:%M:%S}"
        tags = ("--tag", f"run={days}", "--tag", "complete", "--tag", "items=1")
        assert repository.ask("backup", "--host", "sese", "--time", at, *tags, ".").returncode == 0
    assert kept.prune(now) == (5, 4), "the one of three years ago is given up"
    assert kept.check(now).endswith("/4")
    assert len(_names(repository, "sese/snapshots/")) == 4


def test_smoke_asks_each_key_what_it_must_not(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = {"s3_admin": ADMIN, "s3_backups_sese": SESE, "s3_backups_seko": SEKO, "s3_backups": BACKUPS}
    secrets = {f"{name}_access_key": account.access_key for name, account in accounts.items()}
    secrets |= {f"{name}_secret_key": account.secret_key for name, account in accounts.items()}
    monkeypatch.setattr(storage, "ENDPOINT", repository.storage.endpoint)
    [declared] = (bucket for bucket in storage.production("example-org", PRINCIPAL, 14, ("sese", "seko")) if bucket.name == NAME)
    assert declared.keys
    bucket = replace(
        declared, https_only=False, keys=replace(KEYS, appending=declared.keys.appending, looking=declared.keys.looking)
    )
    answers = {what: ask() for what, _, ask in checks((bucket,), secrets) if what != f"bucket {NAME}"}
    may = {what for what in answers if " locks below " in what}
    assert (len(answers), len(may)) == (12, 4)
    assert {answers[what] for what in answers.keys() - may} == {("refused", True)}
    assert {answers[what] for what in may} == {("locked, unlocked", True)}
    assert repository.ask("snapshots").returncode == 0, "restic is not disturbed by what was asked"
    everything = replace(
        KEYS, appending={}, looking=(), limited={SESE.access_key: "", SEKO.access_key: "", BACKUPS.access_key: ""}
    )
    open_policy = policy(Bucket(name=NAME, keys=everything, https_only=False))
    repository.storage.as_account(ADMIN).put_bucket_policy(Bucket=NAME, Policy=open_policy)
    answers = {what: ask() for what, _, ask in checks((bucket,), secrets) if what != f"bucket {NAME}"}
    assert {answers[what] for what in answers.keys() - may} == {("let in", False)}, "each would have told"
    closed = policy(Bucket(name=NAME, keys=replace(KEYS, appending={}, looking=()), https_only=False))
    repository.storage.as_account(ADMIN).put_bucket_policy(Bucket=NAME, Policy=closed)
    answers = {what: ask() for what, _, ask in checks((bucket,), secrets) if what in may}
    assert set(answers.values()) == {("AccessDenied", False)}, "a key that makes no backup is told"


def test_a_kit_opens_every_repository_by_its_own_commands(
    repository: Repository, toolchain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", f"{toolchain}/bin:{os.environ['PATH']}")
    assert HOST_BACKUP
    to = replace(HOST_BACKUP, endpoint=repository.storage.endpoint, region=repository.storage.region, bucket=NAME)
    secrets = {
        storage.BACKUPS_ACCESS_KEY.name: BACKUPS.access_key,
        storage.BACKUPS_SECRET_KEY.name: BACKUPS.secret_key,
        to.password.name: "of sese",
    }

    def closed(*entries: Mapping[str, Any]) -> tuple[int, str]:
        return len(kit_repositories.closed_repositories(entries)), capsys.readouterr().out

    [entry] = kit_repositories.repositories([to], secrets)
    code, said = closed(entry)
    assert code == 1, "a run that is not complete is none"
    assert "holds nothing to restore" in said
    assert repository.ask("backup", "--tag", "complete", "--time", "2030-01-01 00:00:00", ".").returncode == 0
    assert "holds nothing to restore" in closed(entry)[1], "nor one of the future"
    assert repository.ask("backup", "--tag", "complete", ".").returncode == 0
    code, said = closed(entry)
    assert code == 0, said
    assert "0.0 h old, of 1" in said
    [other] = kit_repositories.repositories([to], {**secrets, to.password.name: "another"})
    code, said = closed(entry, other)
    assert code == 1
    assert "wrong password" in said

    *shell, restore = entry["commands"]
    [snapshot] = json.loads(repository.ask("snapshots", "--json", "latest").stdout)[-1:]
    command = restore.replace("SNAPSHOT:/backup", str(snapshot["short_id"]))
    subprocess.run(["bash", "-ec", "\n".join([*shell, command])], cwd=tmp_path, check=True, capture_output=True)
    assert [path.read_text() for path in (tmp_path / "out").rglob("datum")] == ["what is known"]


def test_a_thiefs_overwriting_is_undone_by_content(repository: Repository, tmp_path: Path) -> None:
    """The thief has the host's key and password, and does several times what they allow."""
    assert repository.ask("backup", "--tag", "second", ".").returncode == 0
    thief, admin = repository.storage.as_account(SESE), repository.storage.as_account(ADMIN)
    names = _names(repository, "sese/")
    for garbage in (b"first", b"second"):
        for name in names:
            thief.put_object(Bucket=NAME, Key=name, Body=garbage)
    thief.put_object(Bucket=NAME, Key="sese/data/00/" + "0" * 64, Body=b"a pack that never was")
    assert repository.ask("snapshots", "--no-lock").returncode != 0

    versions = rescue.Versions(admin, NAME, "sese/")
    found = versions.find()
    assert sorted(f"sese/{version.key}" for version in found.changed) == names
    assert found.lost == ("data/00/" + "0" * 64,)
    versions.lay_out(found, tmp_path / "rescued")
    local = ("--repo", str(tmp_path / "rescued"), "--no-lock")
    assert (done := repository.ask(*local, "check", "--read-data")).returncode == 0, done.stderr
    assert repository.ask(*local, "restore", "latest", "--target", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back/datum").read_text() == "what is known"
    assert repository.ask("snapshots", "--no-lock").returncode != 0, "the bucket was not touched"

    versions.put_back(found)
    assert (done := repository.ask("check", "--read-data")).returncode == 0, done.stderr
    assert len(json.loads(repository.ask("snapshots", "--json").stdout)) == 2
    assert versions.find().changed == (), "a second rescue has nothing to do"


def test_a_second_copy_takes_what_is_new_and_keeps_what_is_deleted(repository: Repository) -> None:
    s3 = repository.storage.as_account(ADMIN)
    for bucket in ("shared", "elsewhere"):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket="shared", Key="nc/uploads/one", Body=b"1", ContentType="image/png")
    s3.put_object(Bucket="shared", Key="exports/none", Body=b"of another prefix")
    assert second_copy.copy(s3, "shared", s3, "elsewhere", "nc/") == (1, 1, 0)
    s3.put_object(Bucket="shared", Key="nc/uploads/two", Body=b"22")
    s3.delete_object(Bucket="shared", Key="nc/uploads/one")
    assert second_copy.copy(s3, "shared", s3, "elsewhere", "nc/") == (1, 2, 0)
    assert second_copy.copy(s3, "shared", s3, "elsewhere", "nc/") == (0, 0, 1)
    found = s3.list_objects_v2(Bucket="elsewhere")["Contents"]
    assert [item["Key"] for item in found] == ["nc/uploads/one", "nc/uploads/two"]
    assert s3.head_object(Bucket="elsewhere", Key="nc/uploads/one")["ContentType"] == "image/png"


def test_four_weeks_of_checks_find_the_one_pack_that_is_damaged(
    repository: Repository, toolchain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{toolchain}/bin:{os.environ['PATH']}")
    assert HOST_BACKUP
    to = replace(HOST_BACKUP, endpoint=repository.storage.endpoint, region=repository.storage.region, bucket=NAME)
    kept = prune.Repository(to=to, access_key=ADMIN.access_key, secret_key=ADMIN.secret_key, password="of sese")
    (repository.data / "large").write_bytes(os.urandom(200_000))  # a pack of files alone: every check reads directories
    assert repository.ask("backup", ".").returncode == 0
    pack = max((tmp_path / f"s3/objects/{NAME}/sese/data").rglob("?" * 64), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[len(content) // 4] ^= 1
    pack.write_bytes(content)
    found = []
    for week in range(prune.PARTS):
        try:
            kept.check(datetime.now(UTC) + timedelta(weeks=week))
        except CommandFailed as failed:
            found.append(str(failed))
    [reported] = found
    assert pack.name[:8] in reported
    assert "damaged" in reported or "does not match" in reported, reported
