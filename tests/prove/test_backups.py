"""Faults of a backup that take their time, writes during one, and a large one. Writes docs/proofs/backups.md."""

import contextlib
import json
import os
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lab.engine import as_root, docker
from lab.providers.lifecycle import Gateway
from lab.storage import ADMIN
from tests.engine.test_backup_program import (
    BUCKET,
    Machine,
    _changed,
    _only,
    _with,
    app_alone,
    databases_alone,
    machine,
)
from tests.prove import proof
from tests.support.waiting import until

__all__ = ["app_alone", "databases_alone", "machine"]
PROGRAM, KEYS = "engine/test_backup_program.py", "engine/test_backup_keys.py"
NOTHING = "nothing: the previous run counts"
ELSEWHERE = (
    (
        "the bucket does not answer",
        PROGRAM,
        NOTHING,
        "`does not answer: no answer within N s`; dumps stay for FROM=staging",
    ),
    ("wrong password", PROGRAM, NOTHING, "`the password does not open`, the recovery kit named"),
    ("the repository is gone", PROGRAM, NOTHING, "`It was there before: somebody deleted it`; none is made anew"),
    (
        "a dump is empty, ends half-way, or is cut short without an error (Dokploy#1382, restic#4251)",
        PROGRAM,
        NOTHING,
        "the item FAILED with pg_dump's words",
    ),
    ("a database that no job knows", PROGRAM, "nothing: it is dumped and restored too", "a warning in the run, and an alert"),
    ("a row is only in SQLite's log", PROGRAM, "nothing", "nothing: it is in the run"),
    ("the upload is killed", PROGRAM, NOTHING, "the unit failed; nothing stays paused; the next run is complete"),
    ("a restore is killed", PROGRAM, "nothing", "`a restore was cut off`: the same command goes on, UNDO=yes goes back"),
    (
        "a snapshot of 2030, or of a clock that was ahead (restic#21956)",
        PROGRAM,
        "nothing",
        "FROM THE FUTURE; not restored",
    ),
    (
        "restore onto an initialised host (self-hosted#1447); owners, modes (all-in-one#7308)",
        PROGRAM,
        "what was written since, by REPLACE=yes",
        "counts as in the manifest, not as fresh",
    ),
    (
        "another n8n key, a newer server, too small a disk (n8n#17816, pg-bkup#222)",
        PROGRAM,
        "nothing",
        "refused before anything stops, each with what to do",
    ),
    ("a thief deletes", KEYS, "nothing", "AccessDenied for every way that was tried"),
    (
        "a thief writes over everything, twice",
        KEYS,
        "nothing",
        "`make rescue`: N objects written over; check --read-data without errors",
    ),
    ("a bit of a pack turns", KEYS, "that pack's data, named", "one of four weekly checks fails; all four read the whole"),
)


@pytest.fixture(scope="module")
def rows() -> Iterator[list[tuple[str, ...]]]:
    """What the tests of this file saw; the page is written when all have."""
    found: list[tuple[str, ...]] = []
    yield found
    if len(found) == 9:
        how = "`lost` is what a restore does not bring back; the last columns of the large ones are seconds and bytes."
        more = [
            *(tuple("tests/prove/test_backups.py" if cell == "here" else cell for cell in row) for row in found),
            *((fault, f"tests/{test}", lost, seen) for fault, test, lost, seen in ELSEWHERE),
        ]
        proof.write("backups", "Faults of a backup", how, ("fault", "test", "lost", "what the operator saw"), more)


def _unharmed(machine: Machine, before: str) -> None:
    """The previous run still counts, and the next one is complete."""
    assert machine.last.read_text() == before
    assert "complete in" in machine.ask("run")


@pytest.mark.usefixtures("databases_alone")
def test_a_disk_that_is_full_during_a_dump(machine: Machine, rows: list[tuple[str, ...]]) -> None:
    machine.ask("run")
    before, staging = machine.last.read_text(), str(machine.base / "backups/staging")
    as_root(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", staging])
    try:
        said = machine.ask("run", check=False)
    finally:
        as_root(["umount", staging])
    assert "exit code 1" in said
    assert "NOT complete" in said
    assert "No space left on device" in said or "no space left on device" in said, said
    _unharmed(machine, before)
    rows.append(("the disk is full during a dump", "here", NOTHING, "the item FAILED, `No space left on device`"))


@pytest.mark.usefixtures("databases_alone")
def test_a_container_that_restarts_during_a_dump(machine: Machine, tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    machine.ask("run")
    before = machine.last.read_text()
    restart = f'REAL restart -t 0 {machine.container("postgresql")} >/dev/null; REAL "$@"; exit $?'
    said = machine.ask("run", check=False, environment=_with(machine, tmp_path, '*"pg_dump "*', restart))
    assert "exit code 1" in said
    assert "NOT complete" in said
    _unharmed(machine, before)
    rows.append(("the container restarts during a dump", "here", NOTHING, "the item FAILED; the next run waits for health"))


@pytest.mark.usefixtures("app_alone")
def test_a_bucket_that_accepts_and_says_nothing(machine: Machine, rows: list[tuple[str, ...]]) -> None:
    machine.ask("run")
    before = machine.last.read_text()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"s3:http://127.0.0.1:{silent.getsockname()[1]}/{BUCKET}/sese"
        with _changed(machine, "restic", repository=address, patience_seconds=3):
            said = machine.ask("run", check=False)
    assert "no answer within 3 s" in said
    _unharmed(machine, before)
    rows.append(("the bucket accepts and says nothing", "here", NOTHING, "`does not answer` after the patience of the plan"))


@contextlib.contextmanager
def _in_front(machine: Machine, tmp_path: Path, *, full: bool = False, seconds: float = 0) -> Iterator[str]:
    """The repository behind a gateway that is full, or slow."""
    at = urlsplit(machine.storage.endpoint)
    assert at.hostname and at.port
    gateway = Gateway(("127.0.0.1", 0), (at.hostname, at.port), tmp_path / "rules")
    base = gateway.RequestHandlerClass

    class Faulty(base):  # type: ignore[misc,valid-type]
        def do_PUT(self) -> None:  # noqa: N802 - http.server's name
            time.sleep(seconds)
            if not full or "/data/" not in self.path:
                super().do_PUT()
                return
            self.rfile.read(int(self.headers.get("content-length") or 0))
            body = b"<Error><Code>QuotaExceeded</Code><Message>the bucket is full</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    gateway.RequestHandlerClass = Faulty
    threading.Thread(target=gateway.serve_forever, daemon=True).start()
    try:
        yield f"s3:http://127.0.0.1:{gateway.server_address[1]}/{BUCKET}/sese"
    finally:
        gateway.shutdown()
        gateway.server_close()


@pytest.mark.usefixtures("app_alone")
def test_a_bucket_that_is_full(machine: Machine, tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    machine.ask("run")
    before = machine.last.read_text()
    (machine.base / "data/app/news").write_bytes(os.urandom(100_000))
    try:
        with (
            _in_front(machine, tmp_path, full=True) as address,
            _changed(machine, "restic", repository=address, upload_seconds=20),
        ):
            began = time.monotonic()
            said = machine.ask("run", check=False)
            seconds = time.monotonic() - began
    finally:
        (machine.base / "data/app/news").unlink()
    assert "NOT complete" in said
    assert "upload      FAILED" in said
    assert seconds < 120
    assert machine.manifest["items"]["app"]["status"] == "ok", "the dumps are kept"
    _unharmed(machine, before)
    rows.append(("the bucket is full (restic#21904)", "here", NOTHING, "upload FAILED in the plan's time; dumps are kept"))


@pytest.mark.usefixtures("app_alone")
def test_a_lock_that_a_killed_check_has_left(machine: Machine, rows: list[tuple[str, ...]]) -> None:
    """Of another machine's name, as Zerobyte's is: restic takes it for stale after half an hour, and not before."""
    machine.ask("run")
    _kill_a_check(machine)
    assert _locks(machine), "it was killed with the lock in its hands"
    began = time.monotonic()
    with _changed(machine, "restic", upload_seconds=3 * 3600):
        program = machine.started("run")
        said = program.communicate(timeout=3600)[0]
    minutes = (time.monotonic() - began) / 60
    assert program.returncode == 0, said
    assert "complete in" in said
    assert _locks(machine) == []
    rows.append(
        ("a killed check left its lock (zerobyte#830, restic#3219)", "here", "nothing", f"complete, {minutes:.0f} min later")
    )


def _kill_a_check(machine: Machine) -> None:
    """Beside an exclusive lock it is at work on what a slow bucket gives it."""
    name = f"{machine.stack}-check"
    environment = {
        "RESTIC_REPOSITORY": machine.plan["restic"]["repository"],
        "RESTIC_PASSWORD": machine.secrets["password"],
        "AWS_ACCESS_KEY_ID": machine.secrets["access_key"],
        "AWS_SECRET_ACCESS_KEY": machine.secrets["secret_key"],
    }
    options = (word for each, value in environment.items() for word in ("--env", f"{each}={value}"))
    words = ("--network", "host", "--hostname", "zerobyte", "--entrypoint", "/usr/bin/restic", machine.restic)
    # So little may be read in a second that it is still at work when it is killed.
    slow = ("--limit-download", "1", "check", "--read-data")
    docker("run", "--detach", "--name", name, *options, *words, "--option", f"s3.region={machine.storage.region}", *slow)
    try:
        until(lambda: bool(_locks(machine)), 60, describe=lambda: docker("logs", name).stderr)
    finally:
        docker("rm", "--force", name)


def _locks(machine: Machine) -> list[str]:
    listed = machine.storage.as_account(ADMIN).list_objects_v2(Bucket=BUCKET, Prefix="sese/locks/")
    return [content["Key"] for content in listed.get("Contents", ())]


@pytest.mark.usefixtures("app_alone")
def test_a_bucket_that_is_slow(machine: Machine, tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    (machine.base / "data/app/news").write_bytes(os.urandom(1000))
    try:
        with _in_front(machine, tmp_path, seconds=2) as address, _changed(machine, "restic", repository=address):
            assert "complete in" in machine.ask("run")
    finally:
        (machine.base / "data/app/news").unlink()
    rows.append(("the bucket is slow: 2 s for each object", "here", "nothing", "a complete run that took longer"))


@pytest.mark.usefixtures("app_alone")
def test_a_wrong_key_of_the_bucket(machine: Machine, rows: list[tuple[str, ...]]) -> None:
    machine.ask("run")
    before = machine.last.read_text()
    right = machine.secrets["secret_key"]
    machine.secrets["secret_key"] = "another"
    machine.write()
    try:
        with _changed(machine, "restic", patience_seconds=10):
            said = machine.ask("run", check=False)
    finally:
        machine.secrets["secret_key"] = right
        machine.write()
    assert "bucket      FAILED" in said
    _unharmed(machine, before)
    rows.append(("a wrong key of the bucket", "here", NOTHING, "bucket FAILED with the service's words"))


@pytest.mark.usefixtures("databases_alone")
def test_fifty_writes_a_second_wait_little_for_a_run(machine: Machine, rows: list[tuple[str, ...]]) -> None:
    machine.sql("n8n", "CREATE TABLE move AS SELECT n AS id, repeat('x', 200) AS text FROM generate_series(1, 50000) n")
    words = ["docker", "exec", "-i", machine.container("postgresql"), "psql", "-XqU", "postgres", "-d", "n8n"]
    psql = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert psql.stdin and psql.stdout
    psql.stdin.write("\\timing on\n")

    def written(until: float, program: subprocess.Popen[str] | None = None) -> list[float]:
        assert psql.stdin and psql.stdout
        found = []
        while (program.poll() is None) if program else (time.monotonic() < until):
            psql.stdin.write("INSERT INTO move VALUES (0, 'now');\n")
            found.append(float(psql.stdout.readline().split()[1]))
            time.sleep(0.02)
        return found

    quiet = written(time.monotonic() + 10)
    program = machine.started("run")
    during = written(0, program)
    said = program.communicate()[0]
    psql.stdin.close()
    psql.wait()
    assert program.returncode == 0, said
    p95 = [statistics.quantiles(each, n=20)[-1] for each in (quiet, during)]
    machine.ask("restore", "--replace", "--service", "postgresql", "--database", "n8n")  # compares with the manifest
    machine.sql("n8n", "DROP TABLE move")
    seen = f"p95 of {len(quiet)} writes {p95[0]:.1f} ms, of {len(during)} during a run {p95[1]:.1f} ms"
    rows.append(("fifty writes a second during a run", "here", "nothing: one moment, as in the manifest", seen))


@pytest.mark.parametrize("gibibytes", [int(os.environ.get("BACKUP_GIB", "5"))])
def test_a_large_one_holds_the_limit_and_uploads_little_the_second_day(
    machine: Machine, gibibytes: int, rows: list[tuple[str, ...]]
) -> None:
    large = machine.base / "data/app/large"
    with large.open("wb") as out:
        for _ in range(gibibytes * 64):
            out.write(os.urandom(16 << 20))
    try:
        with _only(machine, "app"), _changed(machine, "restic", upload_seconds=3600):
            began = time.monotonic()
            machine.ask("run")
            first = time.monotonic() - began
            with large.open("r+b") as out:
                out.seek(1 << 20)
                out.write(os.urandom(1 << 20))
            began = time.monotonic()
            machine.ask("run")
            second = time.monotonic() - began
            runs = machine.runs()
            began = time.monotonic()
            machine.ask("restore", "--replace", "--service", "app")
            back = time.monotonic() - began
    finally:
        large.unlink(missing_ok=True)
    added = [run["added"] for run in runs[-2:]]
    assert added[1] < 32 << 20
    assert docker("ps", "-aq", "--filter", "name=vpai-backup-").stdout == ""
    seen = (
        f"{first:.0f} s and {added[0] >> 20} MiB, the next day {second:.0f} s and {added[1] >> 20} MiB, back in {back:.0f} s; "
        f"restic within {json.loads((machine.base / 'plan/plan.json').read_text())['restic']['memory_mib']} MiB"
    )
    rows.append((f"{gibibytes} GiB that nothing compresses", "here", "nothing", seen))
