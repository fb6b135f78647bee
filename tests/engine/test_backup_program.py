"""The hosts' backup program with real PostgreSQL, Redis and restic in this machine's Docker, and a bucket that enforces keys.

Qdrant is the lab's stand-in: its collections and points are real, its REST interface is ours.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from components.ssh.host_script import SCRIPTS
from lab import Lab
from lab.engine import docker
from lab.storage import ADMIN, SESE
from model.backup_plan import FORMAT
from model.bucket import Bucket, Keys, policy
from model.image import ImageLock
from model.secret import resolve
from operations.checks import drill
from operations.reference.catalogue import example_fleet
from operations.secrets import kit_repositories
from services import litellm, qdrant, redis, storage
from tests.support.fleets import PROJECT, stack_services
from tests.support.object_storage import PRINCIPAL, ObjectStorage, running

PROGRAM = SCRIPTS / "installed/vpai-backup.py"
BUCKET = "example-org-backups"
KEY = "a" * 64
PASSWORDS = {"redis": "r" * 32, "qdrant": KEY}
ROWS = 2000
SIZE = qdrant.CONTENT_INDEX.size
N8N_KEY = "of n8n"


@dataclass
class Machine:
    """A host as the program sees it: a plan, data directories, containers."""

    base: Path
    storage: ObjectStorage
    stack: str
    restic: str
    images: Mapping[str, str]
    plan: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    said: str = ""
    """Output of the first complete run."""

    @property
    def first(self) -> str:
        return self.said.split()[2]

    def write(self) -> None:
        directory = self.base / "plan"
        directory.mkdir(exist_ok=True)
        (directory / "plan.json").write_text(json.dumps(self.plan))
        (directory / "secrets.json").write_text(json.dumps(self.secrets))

    def ask(self, *words: str, check: bool = True, environment: Mapping[str, str] | None = None) -> str:
        """Output and errors of the program."""
        done = self.started(*words, environment=environment)
        out = done.communicate(timeout=300)[0]
        assert not check or done.returncode == 0, out
        return f"{out}\nexit code {done.returncode}"

    def started(self, *words: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        command = ["python3", str(PROGRAM), str(self.base / "plan"), *words]
        everything = {**os.environ, **(environment or {})}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=everything)

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.ask("runs").splitlines()[0])
        return found

    def container(self, service: str) -> str:
        return f"{self.stack}-{service}"

    def sql(self, database: str, *statements: str) -> str:
        psql = ("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database)
        asked = (word for statement in statements for word in ("-c", statement))
        return docker("exec", "-i", self.container("postgresql"), *psql, *asked).stdout.strip()

    def redis(self, *words: str) -> str:
        # -e: an error of Redis fails the command.
        ask = ("redis-cli", "-e", "--user", "litellm", "--pass", "l" * 32, "--no-auth-warning")
        return docker("exec", self.container("redis"), *ask, *words).stdout.strip()

    def qdrant(self, path: str, body: object, method: str = "POST") -> Any:
        ask = [
            "curl",
            "-sS",
            "--fail-with-body",
            "-X",
            method,
            "-H",
            f"api-key: {KEY}",
            "-H",
            "Content-Type: application/json",
            "-d",
            "@-",
        ]
        said = subprocess.run([*ask, f"{self.address('qdrant')}{path}"], input=json.dumps(body), capture_output=True, text=True)
        assert said.returncode == 0, said.stdout + said.stderr
        return json.loads(said.stdout)["result"]

    def address(self, service: str) -> str:
        ip = docker(
            "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.container(service)
        ).stdout.strip()
        return f"http://{ip}:{qdrant.PORT}"

    @property
    def database(self) -> Path:
        return self.base / "data/app/app.db"

    @property
    def manifest(self) -> dict[str, Any]:
        path = max((self.base / "backups/staging").glob("*/manifest.json"))
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    @property
    def last(self) -> Path:
        return self.base / "backups/last-success.json"

    def data(self) -> Mapping[str, object]:
        """All data of the tests, as each service reports it."""
        rows = "SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)) FROM {} t"
        with contextlib.closing(sqlite3.connect(self.database)) as app:
            members = app.execute("SELECT id, name FROM member ORDER BY id").fetchall()
        files = self.base / "data/app"
        listed = {
            str(path.relative_to(files)): (
                f"{path.lstat().st_uid}:{path.lstat().st_gid}",
                f"{path.lstat().st_mode:o}",
                path.read_bytes() if path.is_file() else "",
            )
            for path in sorted(files.rglob("*"))
            if not path.name.startswith("app.db") and "cache" not in path.parts
        }
        points = self.qdrant("/collections/content_index/points/scroll", {"limit": 100, "with_payload": True})["points"]
        return {
            "n8n": self.sql("n8n", rows.format("workflow")),
            "by hand": self.sql("by_hand", rows.format("kept")),
            "redis": self.redis("MGET", *(f"key:{number}" for number in range(20))),
            "members": members,
            "files": listed,
            "points": [(point["id"], point["payload"]) for point in points],
        }

    def destroy(self) -> None:
        """Like a new disk: delete all data, and start the servers as an `up` leaves them."""
        for service in ("app", "redis"):
            docker("stop", self.container(service))
        shutil.rmtree(self.base / "data/app")
        _app(self.base / "data/app", "fresh")
        for path in (self.base / "data/redis").iterdir():
            path.unlink()
        for service in ("app", "redis"):
            docker("start", self.container(service))
        self.sql(
            "postgres",
            "DROP DATABASE n8n WITH (FORCE)",
            "DROP DATABASE IF EXISTS by_hand WITH (FORCE)",
            "DROP ROLE IF EXISTS by_hand",
            "CREATE DATABASE n8n",
        )
        self.sql("n8n", "CREATE TABLE workflow (id int, name text); INSERT INTO workflow VALUES (1, 'of a fresh start')")
        self.qdrant("/collections/content_index", {}, "DELETE")
        self.qdrant("/collections/content_index", {"vectors": {"size": SIZE, "distance": "Cosine"}}, "PUT")
        self.qdrant(
            "/collections/content_index/points?wait=true", {"points": [{"id": 999, "vector": [1.0] * SIZE, "payload": {}}]}, "PUT"
        )


def _app(directory: Path, name: str) -> None:
    """A service's directory: an SQLite database with rows that are only in its log, files of several owners, a link."""
    directory.mkdir(parents=True)
    database = sqlite3.connect(directory / "app.db")
    database.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE member (id INTEGER PRIMARY KEY, name TEXT)"
    )
    database.executemany("INSERT INTO member (name) VALUES (?)", [(f"{name} {number}",) for number in range(50)])
    database.commit()
    # As from a process that keeps the database open: the last rows are only in app.db-wal.
    for ending in ("", "-wal", "-shm"):
        shutil.copy2(directory / f"app.db{ending}", directory / f"kept{ending}")
    database.close()
    for ending in ("", "-wal", "-shm"):
        (directory / f"kept{ending}").rename(directory / f"app.db{ending}")
    secret = directory / "keys/noise_private.key"
    secret.parent.mkdir(mode=0o700)
    secret.write_text(f"of {name}")
    secret.chmod(0o600)
    os.chown(secret, 1000, 1000)
    (directory / "latest").symlink_to("keys/noise_private.key")
    (directory / "cache").mkdir()
    (directory / "cache/large").write_bytes(bytes(1000))
    for path in (directory, *directory.glob("app.db*")):
        os.chown(path, 472, 472)
    directory.chmod(0o750)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, toolchain: Path) -> Iterator[Machine]:
    base = tmp_path_factory.mktemp("host")
    lab = Lab.of_checkout(PROJECT)
    images = {
        service: lab.image(recipe)
        for service, recipe in (("postgresql", "postgres"), ("redis", "redis"), ("qdrant", "qdrant"), ("app", "pause"))
    }
    with running(tmp_path_factory.mktemp("s3") / "s3", toolchain) as storage:
        admin = storage.as_account(ADMIN)
        admin.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        keys = Keys(admin=ADMIN.access_key, appending={SESE.access_key: "sese/"}, principal=PRINCIPAL)
        admin.put_bucket_policy(Bucket=BUCKET, Policy=policy(Bucket(name=BUCKET, keys=keys, https_only=False)))
        host = Machine(base, storage, f"backup-{os.getpid()}", lab.image("restic"), images)
        host.plan, host.secrets = _plan(host), _secrets()
        host.write()
        # A network of its own: on Docker's default bridge another container may get the address of one that has ended.
        docker("network", "create", host.stack)
        try:
            _start(host)
            _fill(host)
            host.said = host.ask("run")
            shutil.copytree(base / "backups/staging" / host.first, base / "first", symlinks=True)
            yield host
        finally:
            docker("rm", "--force", "--volumes", *(host.container(service) for service in images), check=False)
            docker("network", "rm", host.stack, check=False)


def _plan(machine: Machine) -> dict[str, Any]:
    def item(service: str, kind: str, owner: str, **more: Any) -> dict[str, Any]:
        volume = {"directory": service, "owner": owner, "mode": 0o750, **more.pop("volume", {})}
        return {"service": service, "also": [], "kind": kind, "volumes": [volume], **more}

    return {
        "format": FORMAT,
        "stack": machine.stack,
        "host": "sese",
        "base": str(machine.base),
        "metrics": str(machine.base / "metrics"),
        "restic": {
            "image": machine.restic,
            "memory_mib": 128,
            "network": "host",
            "repository": f"s3:{machine.storage.endpoint}/{BUCKET}/sese",
            "region": machine.storage.region,
            "patience_seconds": 120,
            "upload_seconds": 300,
        },
        "heartbeat": {},
        "hourly": True,
        "items": [
            item("postgresql", "postgresql", "999:999", databases=["n8n"]),
            item("redis", "redis", "999:999", user="backup"),
            item("qdrant", "qdrant", "1000:1000", port=qdrant.PORT, collections=["content_index"]),
            item("app", "files", "472:472", volume={"sqlite": ["app.db"], "exclude": ["cache"], "pause": True}),
        ],
        "services": [
            {"name": "postgresql", "needs": [], "deadline": 60},
            {"name": "redis", "needs": [], "deadline": 60},
            {"name": "qdrant", "needs": [], "deadline": 60},
            {"name": "app", "needs": ["postgresql"], "deadline": 60},
        ],
    }


def _secrets() -> dict[str, Any]:
    return {
        "access_key": SESE.access_key,
        "secret_key": SESE.secret_key,
        "password": "of the repository",
        "heartbeat": "",
        "passwords": PASSWORDS,
        "fingerprints": {"postgresql": {"n8n_encryption_key": hashlib.sha256(N8N_KEY.encode()).hexdigest()}},
        "tasks": {
            "postgresql": [
                {"name": "n8n", "command": ["psql", "-XqU", "postgres"], "stdin": "ALTER ROLE n8n PASSWORD 'today''s';"}
            ]
        },
    }


def _start(machine: Machine) -> None:
    """Start the services as the catalogue declares them, as far as their data needs."""

    def run(service: str, owner: int, *options: str) -> None:
        directory = machine.base / "data" / service
        directory.mkdir(parents=True, exist_ok=True)
        if service != "app":
            os.chown(directory, owner, owner)
        labels = ("--label", f"vpai.stack={machine.stack}", "--label", f"vpai.service={service}")
        docker("run", "--detach", "--name", machine.container(service), "--network", machine.stack, *labels, *options)

    def mounted(service: str, path: str) -> tuple[str, ...]:
        return ("--volume", f"{machine.base}/data/{service}:{path}")

    files = machine.base / "files"
    files.mkdir()
    [cache] = (service for service in stack_services() if service.name == "redis")
    values = {secret.name: "x" * 32 for secret in cache.secrets}
    values |= {redis.BACKUP_PASSWORD.name: PASSWORDS["redis"], litellm.REDIS_PASSWORD.name: "l" * 32}
    configuration = cache.configuration
    assert configuration
    for file in configuration.files:
        (files / file.path).write_text(resolve(file.content, values))
    (files / "config.yaml").write_text(json.dumps({"service": {"api_key": KEY}}))
    files.chmod(0o755)
    soon = ("--health-interval", "1s", "--health-retries", "20", "--health-cmd")
    run(
        "postgresql",
        999,
        *mounted("postgresql", "/var/lib/postgresql"),
        "--env",
        "POSTGRES_PASSWORD=superuser",
        *soon,
        "pg_isready -h 127.0.0.1",
        "--user",
        "999:999",
        machine.images["postgresql"],
    )
    run(
        "redis",
        999,
        *mounted("redis", "/data"),
        "--user",
        "999:999",
        "--volume",
        f"{files}:{redis.DIRECTORY}:ro",
        *soon,
        "true",
        machine.images["redis"],
        "redis-server",
        f"{redis.DIRECTORY}/redis.conf",
    )
    (machine.base / "data/snapshots").mkdir()
    os.chown(machine.base / "data/snapshots", 1000, 1000)
    run(
        "qdrant",
        1000,
        *mounted("qdrant", "/qdrant/storage"),
        *mounted("snapshots", "/qdrant/snapshots"),
        "--user",
        "1000:1000",
        "--volume",
        f"{files}:/etc/qdrant:ro",
        *soon,
        f"bash -c '</dev/tcp/127.0.0.1/{qdrant.PORT}'",
        machine.images["qdrant"],
        *qdrant.service().command,
    )
    _app(machine.base / "data/app", "known")
    run("app", 472, *mounted("app", "/data"), "--stop-signal", "KILL", *soon, "true", machine.images["app"])
    deadline = time.monotonic() + 90
    while not all(
        docker("inspect", "-f", "{{.State.Health.Status}}", machine.container(service)).stdout.strip() == "healthy"
        for service in machine.images
    ):
        assert time.monotonic() < deadline, [
            docker("logs", machine.container(service), check=False).stdout[-500:] for service in machine.images
        ]
        time.sleep(0.3)


def _fill(machine: Machine) -> None:
    machine.sql(
        "postgres",
        "CREATE ROLE n8n LOGIN PASSWORD 'of the first day'",
        "CREATE DATABASE n8n OWNER n8n",
        "CREATE ROLE by_hand",
        "CREATE DATABASE by_hand OWNER by_hand",
    )
    machine.sql(
        "n8n",
        f"CREATE TABLE workflow AS SELECT n AS id, md5(n::text) AS name, now() AS at FROM generate_series(1, {ROWS}) n; "
        "ALTER TABLE workflow OWNER TO n8n",
    )
    machine.sql("by_hand", "CREATE TABLE kept AS SELECT 'nobody declared it' AS text; ALTER TABLE kept OWNER TO by_hand")
    machine.redis("MSET", *(word for number in range(20) for word in (f"key:{number}", f"value {number}")))
    machine.qdrant("/collections/content_index", {"vectors": {"size": SIZE, "distance": "Cosine"}}, "PUT")
    chance = random.Random(19)  # noqa: S311 - vectors
    points = [{"id": n, "vector": [chance.random() for _ in range(SIZE)], "payload": {"text": f"page {n}"}} for n in range(1, 31)]
    machine.qdrant("/collections/content_index/points?wait=true", {"points": points}, "PUT")


@pytest.fixture
def app_alone(machine: Machine) -> Iterator[None]:
    with _only(machine, "app"):
        yield


@pytest.fixture
def app_and_databases(machine: Machine) -> Iterator[None]:
    with _only(machine, "app", "postgresql"):
        yield


@pytest.fixture
def databases_alone(machine: Machine) -> Iterator[None]:
    with _only(machine, "postgresql"):
        yield


def test_what_was_backed_up_is_back_after_everything_is_gone(machine: Machine) -> None:
    known = machine.data()
    assert len(known["members"]) == 50, "and all of them in the database's log"  # type: ignore[arg-type]
    said = machine.said
    assert "complete in" in said
    assert "the database by_hand is of no service" in said
    run = machine.runs()[-1]
    assert (run["complete"], run["items"]) == (True, 4)
    assert {entry["service"] for entry in json.loads(machine.last.read_text())} == {"postgresql", "redis", "qdrant", "app"}
    metrics = (machine.base / "metrics/backup.prom").read_text()
    assert "vpai_backup_complete 1" in metrics
    assert "vpai_backup_spare_bytes" in metrics
    begun = machine.base / "metrics/checked.prom"
    assert "vpai_backup_checked_timestamp_seconds" in begun.read_text(), "a check is overdue from the first run on"

    shutil.rmtree(machine.base / "backups/staging")
    machine.destroy()
    assert machine.sql("n8n", "SELECT name FROM workflow") == "of a fresh start"
    shown = machine.ask("restore", check=False)
    assert "say so with REPLACE=yes" in shown
    assert machine.sql("n8n", "SELECT count(*) FROM workflow") == "1", "nothing was touched"
    print(machine.ask("restore", "--replace"))
    assert machine.data() == known
    assert not (machine.base / "data/app/app.db-wal").exists(), "nothing stale beside the database"
    assert not (machine.base / "data/app/cache").exists(), "what is left out is made anew"
    [container] = [machine.container("app")]
    assert docker("inspect", "-f", "{{.State.Health.Status}}", container).stdout.strip() == "healthy"


@pytest.mark.usefixtures("app_alone")
def test_a_row_that_is_only_in_the_databases_log_is_in_the_next_run(machine: Machine) -> None:
    """The file keeps its size and time: restic alone would take it for unchanged."""
    machine.ask("run")
    database = sqlite3.connect(machine.database)
    database.execute("PRAGMA journal_mode = WAL")  # a restored copy is in no WAL mode until its service opens it
    database.execute("PRAGMA wal_autocheckpoint = 0")
    before = machine.database.stat()
    database.execute("UPDATE member SET name = 'known X' WHERE id = 1")
    database.commit()
    assert (machine.database.stat().st_size, machine.database.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    machine.ask("run")
    database.close()
    machine.ask("restore", "--replace", "--service", "app")
    with contextlib.closing(sqlite3.connect(machine.database)) as app:
        assert app.execute("SELECT name FROM member WHERE id = 1").fetchone() == ("known X",)
        app.execute("UPDATE member SET name = 'known 0' WHERE id = 1")
        app.commit()


def _with(machine: Machine, tmp_path: Path, case: str, then: str) -> Mapping[str, str]:
    """An environment whose docker runs `then` instead of a command that contains `case`."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    real = shutil.which("docker")
    program.write_text(f'#!/bin/bash\ncase "$*" in {case})\n{then}\n;; esac\nexec {real} "$@"\n'.replace("REAL", str(real)))
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


@pytest.mark.usefixtures("app_and_databases")
@pytest.mark.parametrize(
    ("then", "reported"),
    [
        ("exit 0", "it printed nothing"),
        ('REAL "$@" | head -c 3000; echo "connection lost" >&2; exit 7', "connection lost"),
        ('REAL "$@" | head -c 3000; exit 0', "the dump cannot be read back"),
    ],
    ids=["empty", "half of it, and a failure", "half of it, and no failure"],
)
def test_a_dump_that_is_not_whole_fails_the_run_and_the_earlier_one_counts(
    machine: Machine, tmp_path: Path, then: str, reported: str
) -> None:
    before = machine.last.read_text()
    complete = json.loads(before)[0]["run"]
    said = machine.ask("run", check=False, environment=_with(machine, tmp_path, '*"pg_dump "*', then))
    assert "exit code 1" in said
    assert reported in said
    assert "NOT complete" in said
    assert machine.last.read_text() == before
    assert "vpai_backup_complete 0" in (machine.base / "metrics/backup.prom").read_text()
    assert f"restore of the run {complete}" in machine.ask("restore", check=False), "a restore offers the complete one"


@pytest.mark.usefixtures("app_alone")
def test_a_bucket_that_does_not_answer_ends_the_run_in_time_and_the_dumps_stay(machine: Machine) -> None:
    """Before restic would give up or print an error."""
    with _changed(machine, "restic", repository=f"s3:http://127.0.0.1:9/{BUCKET}/sese", patience_seconds=2):
        began = time.monotonic()
        said = machine.ask("run", check=False)
    assert "does not answer: no answer within 2 s" in said
    assert "NOT complete" in said
    assert time.monotonic() - began < 60
    assert machine.manifest["items"]["app"]["status"] == "ok", "the quick way back is there"


@pytest.mark.usefixtures("app_alone")
def test_a_wrong_password_is_told_as_one(machine: Machine) -> None:
    machine.secrets["password"] = "another"
    machine.write()
    try:
        assert "the password does not open" in machine.ask("run", check=False)
    finally:
        machine.secrets["password"] = _secrets()["password"]
        machine.write()


@pytest.mark.usefixtures("app_alone")
def test_a_repository_that_is_gone_is_not_made_anew_in_silence(machine: Machine) -> None:
    with _changed(machine, "restic", repository=f"s3:{machine.storage.endpoint}/{BUCKET}/sese/moved"):
        assert "It was there before" in machine.ask("run", check=False)


@pytest.mark.usefixtures("app_alone")
def test_a_snapshot_of_the_future_is_named_and_never_restored(machine: Machine) -> None:
    environment = {
        "AWS_ACCESS_KEY_ID": SESE.access_key,
        "AWS_SECRET_ACCESS_KEY": SESE.secret_key,
        "RESTIC_PASSWORD": "of the repository",
    }
    options = (
        "--network",
        "host",
        "--tmpfs",
        "/tmp",
        *(word for name, value in environment.items() for word in ("--env", f"{name}={value}")),
    )
    restic = ("--repo", machine.plan["restic"]["repository"], "--option", f"s3.region={machine.storage.region}", "--no-cache")
    tags = ("--tag", "run=20300101T000000Z", "--tag", "complete")
    docker(
        "run",
        "--rm",
        *options,
        machine.restic,
        *restic,
        "backup",
        "--host",
        "sese",
        "--time",
        "2030-01-01 00:00:00",
        *tags,
        "/etc/passwd",
    )
    complete = [run for run in machine.runs() if run["complete"]]
    assert complete[-1]["future"]
    assert f"restore of the run {complete[-2]['run']}" in machine.ask("restore", check=False)
    assert "no complete run 2030" in machine.ask("restore", "--run", "20300101T000000Z", check=False)


def test_what_must_not_be_restored_is_refused_before_anything_stops(machine: Machine, tmp_path: Path) -> None:
    known, started = machine.data(), _started(machine)
    source = tmp_path / "run"
    shutil.copytree(machine.base / "first", source, symlinks=True)
    original = json.loads((source / "manifest.json").read_text())

    def refused(*words: str, **changes: Any) -> str:
        manifest = json.loads(json.dumps(original))
        for service, changed in changes.items():
            manifest["items"][service].update(changed)
        (source / "manifest.json").write_text(json.dumps(manifest))
        said = machine.ask("restore", "--replace", "--from", str(source), *words, check=False)
        assert "Nothing was stopped, nothing was changed.\n\nexit code 3" in said
        return said

    other = {"fingerprints": {"n8n_encryption_key": "0" * 64}, "server": 190000}
    said = refused(postgresql=other, redis={"server": "9.0.0"}, app={"bytes": 1 << 60})
    assert "was written with another n8n_encryption_key" in said
    assert "recovery kit" in said
    assert "dumped by PostgreSQL 19, here is 18" in said
    assert "is of Redis 9.0.0" in said
    assert "are needed on the disk" in said
    assert "app failed in this run: gone" in refused(app={"status": "failed", "problem": "gone"})
    assert "has no database shop; it has: by_hand, n8n" in refused("--service", "postgresql", "--database", "shop")
    assert "holds nothing of grafana" in refused("--service", "grafana")
    assert (machine.data(), _started(machine)) == (known, started)


@pytest.mark.usefixtures("databases_alone")
def test_one_database_comes_back_alone_and_takes_todays_password(machine: Machine) -> None:
    assert "complete in" in machine.ask("run")
    machine.sql("by_hand", "INSERT INTO kept VALUES ('since')")
    machine.sql("n8n", "DELETE FROM workflow")
    password = machine.sql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'n8n'")
    machine.ask("restore", "--replace", "--from", "staging", "--service", "postgresql", "--database", "n8n")
    assert machine.sql("n8n", "SELECT count(*) FROM workflow") == str(ROWS)
    assert machine.sql("by_hand", "SELECT count(*) FROM kept") == "2", "the other one is left alone"
    assert machine.sql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'n8n'") != password, "the task ran again"
    machine.sql("by_hand", "DELETE FROM kept WHERE text = 'since'")


def test_a_restore_that_was_killed_is_undone_or_goes_on(machine: Machine) -> None:
    known = machine.data()
    machine.destroy()
    fresh = machine.sql("n8n", "SELECT name FROM workflow")
    # Stopped for its own data only, which is restored last.
    needs = machine.plan["services"][-1]["needs"]
    machine.plan["services"][-1]["needs"] = []
    machine.write()
    for end, words in (("undo", ("--from", str(machine.base / "first"))), ("resume", ("--run", machine.first))):
        program = machine.started("restore", "--replace", *words)
        state = machine.base / "backups/restore.json"
        while not (state.exists() and "postgresql" in json.loads(state.read_text())["done"]):
            assert program.poll() is None, program.communicate()[0]
            time.sleep(0.02)
        program.kill()
        program.wait()
        assert "a restore was cut off" in machine.ask("restore", "--replace", "--service", "app", check=False)
        if end == "undo":
            assert "undone" in machine.ask("undo")
            assert machine.sql("n8n", "SELECT name FROM workflow") == fresh
            assert _running(machine) == machine.images.keys(), "those too whose turn had not come"
        else:
            assert "is back after" in machine.ask("restore", "--replace", *words)
    machine.plan["services"][-1]["needs"] = needs
    machine.write()
    assert machine.data() == known


@pytest.mark.usefixtures("app_and_databases")
def test_an_hourly_run_of_the_databases_is_restored_for_them_alone(machine: Machine) -> None:
    before = machine.last.read_text()
    complete, staged = json.loads(before)[0]["run"], sorted((machine.base / "backups/staging").iterdir())
    machine.sql("n8n", "INSERT INTO workflow VALUES (0, 'of this hour')")
    assert "databases complete" in machine.ask("run", "--databases")
    assert machine.last.read_text() == before, "the guard against a loss of data counts whole runs"
    assert sorted((machine.base / "backups/staging").iterdir()) == staged, "nor does it take the place of the staged one"
    assert any(run["databases"] for run in machine.runs())
    assert f"restore of the run {complete}" in machine.ask("restore", check=False), "what else there is comes from a whole run"
    machine.sql("n8n", "DELETE FROM workflow")
    machine.ask("restore", "--replace", "--service", "postgresql", "--database", "n8n")
    assert machine.sql("n8n", "SELECT count(*) FROM workflow") == str(ROWS + 1)
    machine.sql("n8n", "DELETE FROM workflow WHERE id = 0")
    with (machine.base / "backups/lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = machine.ask("run", "--databases")
        assert "is at work" in said, "and the next hour comes: no failure"
    machine.plan["hourly"] = False
    machine.write()
    try:
        assert machine.ask("run", "--databases").strip() == "exit code 0", "where the settings do not ask for it, nothing is done"
    finally:
        machine.plan["hourly"] = True
        machine.write()


@pytest.mark.usefixtures("databases_alone")
def test_a_run_under_writes_is_one_moment_of_each_store(machine: Machine) -> None:
    machine.sql("n8n", "CREATE TABLE account AS SELECT n AS id, 100 AS money FROM generate_series(1, 50) n")
    moves = "BEGIN; UPDATE account SET money = money - 1 WHERE id = 1; UPDATE account SET money = money + 1 WHERE id = 2; COMMIT;"
    words = ["docker", "exec", "-i", machine.container("postgresql"), "psql", "-XqU", "postgres", "-d", "n8n"]
    writer = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert writer.stdin
    try:
        program = machine.started("run")
        written = 0
        while program.poll() is None:
            writer.stdin.write(f"{moves}\n")
            writer.stdin.flush()
            written += 1
            time.sleep(0.02)
        assert program.returncode == 0, program.communicate()[0]
    finally:
        writer.stdin.close()
        writer.wait()
    assert written > 50
    live = machine.sql("n8n", "SELECT money FROM account WHERE id = 2")
    machine.ask("restore", "--replace", "--service", "postgresql", "--database", "n8n")  # it compares with the manifest
    assert machine.sql("n8n", "SELECT sum(money) FROM account") == "5000", "no half of a move"
    assert 100 <= int(machine.sql("n8n", "SELECT money FROM account WHERE id = 2")) <= int(live)
    machine.sql("n8n", "DROP TABLE account")


@pytest.mark.usefixtures("app_alone")
def test_a_killed_run_leaves_nothing_paused_and_the_next_one_is_complete(machine: Machine, tmp_path: Path) -> None:
    docker("pause", machine.container("app"))
    assert "exit code 0" in machine.ask("release")
    assert docker("inspect", "-f", "{{.State.Paused}}", machine.container("app")).stdout.strip() == "false"
    name = f"vpai-backup-{machine.stack}-sese"
    killed = f"(until REAL kill {name}; do sleep 0.05; done) >/dev/null 2>&1 &"
    program = machine.started("run", environment=_with(machine, tmp_path, '*"--retry-lock"*', killed))
    said = program.communicate(timeout=200)[0]
    assert program.returncode == 1, said
    assert "complete in" in machine.ask("run"), "the lock that it left is no hindrance"


def _running(machine: Machine) -> set[str]:
    listed = docker("ps", "--format", "{{.Names}}", "--filter", f"label=vpai.stack={machine.stack}").stdout.split()
    return {name.removeprefix(f"{machine.stack}-") for name in listed}


def test_after_its_last_run_a_host_stands_still_until_it_is_to_serve_again(machine: Machine) -> None:
    known = machine.data()
    try:
        [run] = re.findall(r"^sese: the last run is (\S+); it stands still$", machine.ask("run", "--last"), re.MULTILINE)
        assert run in {run["run"] for run in machine.runs()}
        assert _running(machine) == set()
        assert machine.manifest["items"].keys() == {"postgresql", "redis", "qdrant", "app"}
        assert all(item["status"] == "ok" for item in machine.manifest["items"].values())
        assert f"the last run is {run}" in machine.ask("run", "--last"), "asked again it says the same"
        assert "the data has moved to another machine with the run" in machine.ask("run", check=False), "of what is old by then"
    finally:
        machine.ask("resume")
    assert _running(machine) == machine.images.keys()
    assert machine.data() == known
    machine.ask("run")


@pytest.mark.usefixtures("app_and_databases")
def test_a_last_run_that_fails_leaves_everything_running(machine: Machine) -> None:
    machine.secrets["password"] = "another"
    machine.write()
    try:
        said = machine.ask("run", "--last", check=False)
    finally:
        machine.secrets["password"] = "of the repository"
        machine.write()
    assert "the password does not open" in said
    assert _running(machine) == machine.images.keys()
    assert "complete in" in machine.ask("run"), "as on any night"


@pytest.mark.usefixtures("app_and_databases")
def test_a_machine_without_its_data_makes_no_backup_and_what_was_laid_out_goes_on(machine: Machine) -> None:
    machine.ask("run")
    waits = machine.base / "backups/waits.json"
    waits.write_text(json.dumps({"since": "2026-11-30T03:00:00+00:00", "laid": ["app"]}))
    assert "its data is not back: a backup would be the latest, and empty" in machine.ask("run", check=False)
    since = machine.base / "data/app/since"
    since.write_text("written after it was laid out")
    try:
        said = machine.ask("restore", "--replace", "--service", "postgresql")
        assert waits.exists(), "one service is not all"
        said = machine.ask("restore", "--replace")
        assert "app         was laid out before it started, and has gone on from there: left alone" in said
        assert since.exists()
        assert not waits.exists()
        machine.ask("restore", "--replace", "--service", "app")
        assert not since.exists(), "by its name it is brought back"
    finally:
        since.unlink(missing_ok=True)
    machine.ask("run")


@dataclass
class OfTheLab(drill.Copy):
    """With the lab's images, so that no registry is asked."""

    images: Mapping[str, str] = field(default_factory=dict)

    def _reference(self, image: str) -> str:
        return self.images[image]

    def _docker(self, *words: str, data: bytes = b"", seconds: float = 120) -> str:
        return "" if words[0] == "pull" else super()._docker(*words, data=data, seconds=seconds)


def test_a_drill_brings_a_run_back_into_a_copy_and_leaves_nothing(
    machine: Machine, toolchain: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", f"{toolchain}/bin:{os.environ['PATH']}")
    fleet = example_fleet()
    sese = next(placement for placement in fleet.placements if placement.host.name == "sese")
    assert sese.backup
    images = {service.image: machine.images[service.name] for service in sese.services if service.name in machine.images}
    to = replace(sese.backup, endpoint=machine.storage.endpoint, region=machine.storage.region, bucket=BUCKET)
    secrets = {
        storage.BACKUPS_ACCESS_KEY.name: SESE.access_key,
        storage.BACKUPS_SECRET_KEY.name: SESE.secret_key,
        to.password.name: "of the repository",
    }
    machine.ask("run")
    copies: list[drill.Copy] = []

    def made(base: Path, values: dict[str, str]) -> drill.Copy:
        copies.append(OfTheLab(ImageLock({}), secrets=values, base=base, images=images))
        return copies[-1]

    kit = {"secrets": {"n8n_encryption_key": {"value": N8N_KEY}}, "backups": kit_repositories.repositories([to], secrets)}
    assert drill.drill(kit, fleet, made) == 0, capfd.readouterr().out
    said = capfd.readouterr().out
    assert f"{ROWS + 1} rows as in the manifest" in said
    assert "20 keys, SHA-256 as in the manifest" in said
    assert "30 points, ids, payloads and vectors as exported" in said
    assert "the point nearest to 1 is 1" in said
    assert "sese: drill passed: run 2" in said
    assert "0.0 h old (RPO, at most 24)" in said
    assert not copies[0].base.exists()
    assert docker("ps", "-aq", "--filter", f"label=vpai.verify={copies[0].run}").stdout == "", "the copy is gone"
    wrong = {**kit, "backups": kit_repositories.repositories([to], {**secrets, to.password.name: "another"})}
    assert drill.drill(wrong, fleet, made) == 1
    assert "sese: drill FAILED" in capfd.readouterr().out
    assert not copies[1].base.exists()


def test_files_of_a_run_are_had_without_touching_what_runs(machine: Machine, tmp_path: Path) -> None:
    started = _started(machine)
    said = machine.ask("extract", "--service", "app", "--to", str(tmp_path / "out"))
    assert (tmp_path / "out/data/app/keys/noise_private.key").read_text() == "of known"
    assert str(tmp_path / "out/data/app/keys/noise_private.key") in said
    assert "is not empty" in machine.ask("extract", "--service", "app", "--to", str(tmp_path / "out"), check=False)
    assert _started(machine) == started


@contextlib.contextmanager
def _changed(machine: Machine, part: str, **changes: Any) -> Iterator[None]:
    before = dict(machine.plan[part])
    machine.plan[part].update(changes)
    machine.write()
    try:
        yield
    finally:
        machine.plan[part] = before
        machine.write()


@contextlib.contextmanager
def _only(machine: Machine, *services: str) -> Iterator[None]:
    """Limit the host to the data of `services`, to save time."""
    before = machine.plan["items"]
    machine.plan["items"] = [item for item in before if item["service"] in services]
    machine.write()
    try:
        yield
    finally:
        machine.plan["items"] = before
        machine.write()


def _started(machine: Machine) -> Mapping[str, str]:
    return {
        service: docker("inspect", "-f", "{{.State.StartedAt}}", machine.container(service)).stdout for service in machine.images
    }
