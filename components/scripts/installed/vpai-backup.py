#!/usr/bin/env python3
"""Backs up what a host holds, and brings it back. Nothing but Python's own library: it works when nothing else does.

    vpai-backup PLAN run                  dump, verify, upload; the timer's call
    vpai-backup PLAN run --databases      PostgreSQL alone, where the settings ask for it every hour
    vpai-backup PLAN run --last           with whatever writes stopped, and the rest after it: the data moves to another machine
    vpai-backup PLAN resume               what a last run has stopped runs again
    vpai-backup PLAN checked              the repository has been read from outside: note when
    vpai-backup PLAN runs                 the runs in the bucket and in the staging directory, as JSON
    vpai-backup PLAN restore ...          bring a run back; without --replace it only says what it would do
    vpai-backup PLAN undo                 what a restore that was cut off replaced comes back
    vpai-backup PLAN extract ...          files of a run into a directory, nothing is replaced
    vpai-backup PLAN follow UNIT          start a unit and print its lines until it ends
    vpai-backup PLAN release              let go of what a killed run left paused

PLAN is a directory with plan.json and secrets.json (model/backup_plan.py). A run is one restic snapshot of the staging
directory: a dump and a line of the manifest for each item. It is stored in one step at the very end; the tag `complete` is on it
when every item is in it.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import IO, Any

LABEL, STACK = "vpai.service", "vpai.stack"
LOG = "last.log"
SPARE_BYTES = 512 << 20
"""What stays free on the disk."""
BUSY_SECONDS = 3600
"""For so long a run waits for the hourly one of the databases."""
DATABASES = "databases"
"""The tag of a run of PostgreSQL alone."""
LOCK_WAIT = "35m"
"""restic takes a lock for stale after half an hour: one that a killed check left behind is waited for."""
FUTURE = timedelta(minutes=10)
"""A snapshot that is more than so much ahead of the clock was not made by this program."""
WRONG_KEY, NO_REPOSITORY, LOCKED = 12, 10, 11
"""restic's exit codes."""
REFUSED = 3
_RUN = r"\d{8}T\d{6}Z"
"""A run's name; to Python it is a moment too."""
_SQLITE = b"SQLite format 3\0"
_SIDE_FILES = ("-wal", "-shm", "-journal")

Json = dict[str, Any]


class Failed(Exception):
    """What did not work, in a sentence for the operator."""


class Busy(Failed):
    """Another one is at work."""


class Host:
    """The plan of a host, its directories, its containers."""

    def __init__(self, directory: Path) -> None:
        self.plan: Json = json.loads((directory / "plan.json").read_text())
        self.secrets: Json = json.loads((directory / "secrets.json").read_text())
        self.name = str(self.plan["host"])
        self.base = Path(self.plan["base"])
        self.backups = self.base / "backups"
        self.staging = self.backups / "staging"
        self.data = self.base / "data"
        self.backups.mkdir(parents=True, exist_ok=True)
        for path in (self.staging, *(self.backups / name for name in ("cache", "tmp", "fetched", "safety"))):
            path.mkdir(mode=0o700, exist_ok=True)
        (self.backups / "tmp").chmod(0o1777)

    @property
    def items(self) -> tuple["Item", ...]:
        kinds: Mapping[str, type[Item]] = {"postgresql": Postgres, "redis": Redis, "qdrant": Qdrant, "files": Files}
        return tuple(kinds[item["kind"]](self, item) for item in self.plan["items"])

    @property
    def waiting(self) -> Path:
        """Stands from a machine's first minute until the data of the one before it is back (operations/hosts/replace_host.py)."""
        return self.backups / "waits.json"

    @property
    def waits(self) -> Json:
        found: Json = json.loads(self.waiting.read_text()) if self.waiting.exists() else {}
        return found

    @property
    def moving(self) -> Path:
        """Stands from the moment in which a last run begins to stop things (operations/hosts/move_host.py)."""
        return self.backups / "moved.json"

    @property
    def moved(self) -> Json:
        found: Json = json.loads(self.moving.read_text()) if self.moving.exists() else {}
        return found

    @property
    def order(self) -> tuple[str, ...]:
        """Services, each after those that it needs."""
        return tuple(service["name"] for service in self.plan["services"])

    def dependants(self, names: Sequence[str]) -> set[str]:
        """Whatever cannot do without one of `names`, however far."""
        found: set[str] = set()
        for service in self.plan["services"]:
            if set(service["needs"]) & {*names, *found}:
                found.add(service["name"])
        return found

    def container(self, service: str, *, running: bool = True) -> str:
        """The id of a service's container, the newest first; waits a minute for one that is just starting."""
        filters: tuple[str, ...] = ("--filter", f"label={STACK}={self.plan['stack']}", "--filter", f"label={LABEL}={service}")
        filters += ("--filter", "status=running") if running else ()
        deadline = time.monotonic() + (60 if running else 0)
        while True:
            if ids := docker("ps", "-aq", "--no-trunc", *filters).split():
                return ids[0]
            if time.monotonic() > deadline:
                raise Failed(f"no {'running ' if running else ''}container of {service}: see `docker ps -a`, and start it")
            time.sleep(1)

    def wait_healthy(self, service: str) -> None:
        deadline = time.monotonic() + next(each["deadline"] for each in self.plan["services"] if each["name"] == service)
        container = self.container(service)
        # One that nothing asks for its health (a drill's, of an image without a shell) is well while it runs.
        form = "{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}"
        while (state := docker("inspect", "-f", form, container).strip()) not in ("healthy", "running"):
            if time.monotonic() > deadline:
                raise Failed(
                    f"{service} is {state} after its restart; its last lines:\n{docker('logs', '--tail', '5', container)}"
                )
            time.sleep(0.5)

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """One run or restore at a time; the hourly run of the databases is waited for."""
        deadline = time.monotonic() + BUSY_SECONDS
        with (self.backups / "lock").open("a+") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    lock.seek(0)
                    if lock.read() != DATABASES or time.monotonic() > deadline:
                        raise Busy("a backup or a restore is at work on this host already; wait for it") from None
                    time.sleep(1)
            lock.truncate(0)
            lock.write(what)
            lock.flush()
            yield

    def address(self, service: str, port: int) -> str:
        """Where a service answers on one of its networks."""
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        return f"http://{docker('inspect', '-f', form, self.container(service)).split()[0]}:{port}"

    def free(self) -> int:
        return shutil.disk_usage(self.backups).free


def docker(*arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> str:
    """What a docker command prints; raises `Failed` with its errors."""
    done = subprocess.run(
        ["docker", *arguments], input=stdin, capture_output=True, text=True, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        raise Failed(f"docker {' '.join(arguments[:2])} failed ({done.returncode}): {_tail(done.stderr or done.stdout)}")
    return done.stdout


def to_file(command: Sequence[str], path: Path, environment: Mapping[str, str] | None = None) -> None:
    """The output of `command` as a file; one that fails, or prints nothing, leaves none."""
    with path.open("wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})})
    if done.returncode or not path.stat().st_size:
        path.unlink()
        said = _tail(done.stderr.decode(errors="replace")) or "it printed nothing"
        raise Failed(f"the dump failed ({done.returncode}): {said}")


def from_file(command: Sequence[str], path: Path, what: str) -> str:
    """What `command` prints, given the file as its input."""
    with path.open("rb") as source:
        done = subprocess.run(command, stdin=source, capture_output=True)
    if done.returncode:
        raise Failed(f"{what} ({done.returncode}): {_tail(done.stderr.decode(errors='replace') or done.stdout.decode())}")
    return done.stdout.decode()


class Item:
    """The data of one service. `dump` writes below a directory and gives the item's part of the manifest."""

    stops_itself = True
    """Whether the service stands still while its data is replaced."""

    def __init__(self, host: Host, plan: Json) -> None:
        self.host, self.plan = host, plan
        self.service = str(plan["service"])

    @property
    def users(self) -> tuple[str, ...]:
        """The services that work with the data."""
        return (self.service, *self.plan["also"])

    def dump(self, directory: Path) -> Json:
        raise NotImplementedError

    def restore(self, source: Path, manifest: Json, safety: Path, only: str) -> str:
        """Put the data in place of what is there, which goes to `safety` first; what was compared, in a few words."""
        raise NotImplementedError

    def refusals(self, manifest: Json) -> Iterator[str]:
        """Why the data of a run must not be put here."""
        now = self.host.secrets["fingerprints"].get(self.service, {})
        for name, digest in manifest.get("fingerprints", {}).items():
            if now.get(name) != digest:
                yield (
                    f"the data of {self.service} was written with another {name} than this stack has: nothing could read it. "
                    f"Take the value out of the recovery kit: pulumi config set --secret --path 'vpai:kept.{name}', `make up`"
                )

    def newest(self) -> float:
        """When the data that is there was last written to, in seconds since 1970; 0 when there is none."""
        directories = [self.host.data / volume["directory"] for volume in self.plan["volumes"]]
        return max((_lstat(path).st_mtime for root in directories for path in _below(root)), default=0.0)


class Postgres(Item):
    """Each database by pg_dump; its rows are counted in the transaction whose snapshot pg_dump reads."""

    stops_itself = False

    def dump(self, directory: Path) -> Json:
        found = self._databases()
        declared = set(self.plan["databases"])
        if missing := sorted(declared - set(found)):
            raise Failed(f"there is no database {', '.join(missing)}: run `make up`")
        unknown = sorted(set(found) - declared)
        to_file(
            [*self._exec(), "pg_dumpall", "-U", "postgres", "--globals-only", "--no-role-passwords"], directory / "globals.sql"
        )
        return {
            "server": int(self._sql("postgres", "SHOW server_version_num")),
            "databases": {name: self._dump(name, directory / f"{name}.dump") for name in found},
            "warnings": [f"the database {name} is of no service: declare it in services/, or drop it" for name in unknown],
        }

    def _dump(self, database: str, path: Path) -> Json:
        with _Session([*self._exec(interactive=True), *_psql(database)]) as session:
            [snapshot] = session.ask(
                "SET TimeZone='UTC'; SET DateStyle='ISO'; SET extra_float_digits=3; SET bytea_output='hex'; "
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot();"
            )
            command = [*self._exec(), "pg_dump", "-U", "postgres", "-Fc", "-Z0", f"--snapshot={snapshot}", database]
            to_file(command, path)
            tables = _counted(session)
        # The whole of it: --list is content with a dump that ends half-way.
        from_file([*self._exec(interactive=True), "pg_restore", "-f", "/dev/null"], path, "the dump cannot be read back")
        return {"tables": tables, **_file(path)}

    def restore(self, source: Path, manifest: Json, safety: Path, only: str) -> str:
        if (roles := source / "globals.sql").exists():
            # Those that are there already are refused one by one, which is right.
            subprocess.run(
                [*self._exec(interactive=True), *_psql("postgres", stop=False)], stdin=roles.open(), capture_output=True
            )
        there = self._databases()
        rows = 0
        names = [only] if only else list(manifest["databases"])
        for name in names:
            wanted = manifest["databases"][name]
            kept = safety / f"{name}.dump"
            if name in there and not kept.exists():
                to_file([*self._exec(), "pg_dump", "-U", "postgres", "-Fc", "-Z0", name], kept.with_suffix(".partial"))
                kept.with_suffix(".partial").rename(kept)
            self._sql("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE);')
            self._sql("postgres", f'CREATE DATABASE "{name}" TEMPLATE template0;')
            command = [*self._exec(interactive=True), "pg_restore", "-U", "postgres", "--exit-on-error", "--single-transaction"]
            from_file([*command, "-d", name], source / f"{name}.dump", f"the database {name} could not be restored")
            with _Session([*self._exec(interactive=True), *_psql(name)]) as session:
                session.ask("SET TimeZone='UTC'; SET DateStyle='ISO'; SET extra_float_digits=3; SET bytea_output='hex';")
                found = _counted(session)
            if wanted["tables"] and found != wanted["tables"]:
                differing = sorted(
                    table for table in {**found, **wanted["tables"]} if found.get(table) != wanted["tables"].get(table)
                )
                raise Failed(f"{name}: other rows than the manifest says in {', '.join(differing)}")
            self._sql(name, "ANALYZE;")
            rows += sum(int(each.split()[0]) for each in found.values())
        return f"{len(names)} databases, {rows} rows as in the manifest"

    def refusals(self, manifest: Json) -> Iterator[str]:
        yield from super().refusals(manifest)
        server = int(self._sql("postgres", "SHOW server_version_num"))
        if manifest["server"] // 10000 > server // 10000:
            yield (
                f"the data was dumped by PostgreSQL {manifest['server'] // 10000}, here is {server // 10000}: "
                "an older server does not read it. Deploy the newer one first"
            )

    def _databases(self) -> list[str]:
        return self._sql(
            "postgres",
            "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres' ORDER BY 1",
        ).split()

    def _sql(self, database: str, statement: str) -> str:
        command = [*self._exec(interactive=True), *_psql(database)]
        done = subprocess.run(command, input=statement, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"PostgreSQL: {_tail(done.stderr)}")
        return done.stdout.strip()

    def _exec(self, *, interactive: bool = False) -> list[str]:
        return ["docker", "exec", *(("-i",) if interactive else ()), self._container]

    @cached_property
    def _container(self) -> str:
        self.host.wait_healthy(self.service)
        return self.host.container(self.service)


def _psql(database: str, *, stop: bool = True) -> list[str]:
    return ["psql", "-XAtq", "-U", "postgres", "-d", database, *(("-v", "ON_ERROR_STOP=1") if stop else ())]


class _Session:
    """One psql, question after question."""

    _END = "-- end of the answer --"

    def __init__(self, command: Sequence[str]) -> None:
        self._psql = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self) -> "_Session":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._psql.communicate("", timeout=30)

    def ask(self, statements: str) -> list[str]:
        assert self._psql.stdin and self._psql.stdout and self._psql.stderr
        answer: list[str] = []
        with contextlib.suppress(BrokenPipeError):
            self._psql.stdin.write(f"{statements}\n\\echo {self._END}\n")
            self._psql.stdin.flush()
        for line in self._psql.stdout:
            if line.rstrip("\n") == self._END:
                return answer
            answer.append(line.rstrip("\n"))
        raise Failed(f"PostgreSQL: {_tail(self._psql.stderr.read()) or 'the session ended'}")


def _counted(session: _Session) -> dict[str, str]:
    """Each table's number of rows, and the sum of their hashes."""
    tables = session.ask(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 1;"
    )
    question = "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM ONLY {} t;"
    return {table: session.ask(question.format(table))[0] for table in tables}


class Redis(Item):
    """A snapshot as a replica gets it, read back by Redis' own checker."""

    def dump(self, directory: Path) -> Json:
        path = directory / "dump.rdb"
        container = self.host.container(self.service)
        password = {"REDISCLI_AUTH": self.host.secrets["passwords"][self.service]}
        client = ["docker", "exec", "-e", "REDISCLI_AUTH", container, "redis-cli", "-h", "127.0.0.1", "--user", self.plan["user"]]
        to_file([*client, "--rdb", "-"], path, password)
        said = from_file(["docker", "exec", "-i", container, "redis-check-rdb", "/dev/stdin"], path, "the snapshot is damaged")
        keys = next((int(line.split()[1]) for line in said.splitlines() if line.endswith(" keys read")), 0)
        server = self._version(docker("exec", container, "redis-server", "--version"))
        return {"server": server, "keys": keys, **_file(path)}

    def restore(self, source: Path, manifest: Json, safety: Path, only: str) -> str:
        [volume] = self.plan["volumes"]
        place = self.host.data / volume["directory"]
        _set_aside(place, volume, safety / "data")
        owner, group = map(int, volume["owner"].split(":"))
        if (saved := source / "dump.rdb").exists():
            _copy(saved, place / "dump.rdb")
            os.chown(place / "dump.rdb", owner, group)
            (place / "dump.rdb").chmod(0o600)
        elif (moved := source / "data").exists():  # what a restore put aside
            for path in moved.iterdir():
                shutil.copy2(path, place / path.name)
                os.chown(place / path.name, owner, group)
            return "as it was before"
        if (digest := _file(place / "dump.rdb")["sha256"]) != manifest["sha256"]:
            raise Failed(f"the snapshot's SHA-256 is {digest}, not the manifest's")
        return f"{manifest['keys']} keys, SHA-256 as in the manifest"

    def refusals(self, manifest: Json) -> Iterator[str]:
        yield from super().refusals(manifest)
        # Of its image: a server that its data keeps from starting is one that is restored.
        image = docker("inspect", "-f", "{{.Image}}", self.host.container(self.service, running=False)).strip()
        here = self._version(docker("run", "--rm", "--network", "none", "--entrypoint", "redis-server", image, "--version"))
        if _numbers(manifest["server"])[:2] > _numbers(here)[:2]:
            yield f"the snapshot is of Redis {manifest['server']}, here is {here}: an older server does not read it"

    def _version(self, said: str) -> str:
        return next(word.removeprefix("v=") for word in said.split() if word.startswith("v="))


class Qdrant(Item):
    """Every point as a line of JSON, and each put back by its id."""

    stops_itself = False
    _PAGE = 256

    def dump(self, directory: Path) -> Json:
        return {"collections": {name: self._dump(name, directory) for name in self.plan["collections"]}}

    def _dump(self, name: str, directory: Path) -> Json:
        path = directory / f"{name}.jsonl"
        points = 0
        with path.open("w") as out:
            out.write(json.dumps(self._ask("GET", f"/collections/{name}")["config"]["params"]) + "\n")
            for point in self._points(name):
                out.write(json.dumps(point, sort_keys=True) + "\n")
                points += 1
        return {"points": points, **_file(path)}

    def restore(self, source: Path, manifest: Json, safety: Path, only: str) -> str:
        restored = 0
        known = {collection["name"] for collection in self._ask("GET", "/collections")["collections"]}
        for name in manifest["collections"]:
            if name in known and not (safety / f"{name}.jsonl").exists():
                self._dump(name, safety)
            with (source / f"{name}.jsonl").open() as lines:
                parameters = json.loads(next(lines))
                if name not in known:
                    self._ask("PUT", f"/collections/{name}", {"vectors": parameters["vectors"]})
                kept = set()
                page: list[Json] = []
                for line in lines:
                    page.append(json.loads(line))
                    kept.add(page[-1]["id"])
                    if len(page) == self._PAGE:
                        self._put(name, page)
                        page = []
                if page:
                    self._put(name, page)
            surplus = [point["id"] for point in self._points(name, whole=False) if point["id"] not in kept]
            for start in range(0, len(surplus), self._PAGE):
                ids = surplus[start : start + self._PAGE]
                self._ask("POST", f"/collections/{name}/points/delete?wait=true", {"points": ids})
            self._compare(name, source / f"{name}.jsonl")
            restored += len(kept)
        return f"{restored} points, ids, payloads and vectors as exported"

    def _compare(self, name: str, path: Path) -> None:
        count = 0
        found = self._points(name)
        with path.open() as lines:
            next(lines)
            for line in lines:
                wanted, here = json.loads(line), next(found, None)
                count += 1
                if here is None or not _alike(wanted, here):
                    raise Failed(f"{name}: the point {wanted['id']} is not as it was exported")
        if next(found, None) is not None:
            raise Failed(f"{name}: more than the {count} points of the export")

    def _points(self, name: str, *, whole: bool = True) -> Iterator[Json]:
        offset = None
        while True:
            body = {"limit": self._PAGE, "offset": offset, "with_payload": whole, "with_vector": whole}
            page = self._ask("POST", f"/collections/{name}/points/scroll", body)
            for point in page["points"]:
                yield {"id": point["id"], **({"vector": point["vector"], "payload": point.get("payload")} if whole else {})}
            offset = page.get("next_page_offset")
            if offset is None:
                return

    def _put(self, name: str, points: list[Json]) -> None:
        self._ask("PUT", f"/collections/{name}/points?wait=true", {"points": points})

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"api-key": self.host.secrets["passwords"][self.service], "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(  # noqa: S310 - the container's own address
            f"{self._address}{path}", data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
                return json.load(answer)["result"]
        except urllib.error.HTTPError as error:
            raise Failed(
                f"Qdrant answered {error.code} to {method} {path}: {_tail(error.read().decode(errors='replace'))}"
            ) from None
        except OSError as error:
            raise Failed(f"Qdrant did not answer {method} {path}: {error}") from None

    @cached_property
    def _address(self) -> str:
        self.host.wait_healthy(self.service)
        return self.host.address(self.service, self.plan["port"])


class Files(Item):
    """Directories: each file with its SHA-256, mode and owner; SQLite databases by SQLite."""

    def dump(self, directory: Path) -> Json:
        found: list[Json] = []
        tables: Json = {}
        pauses = any(volume["pause"] for volume in self.plan["volumes"])
        # On a machine whose data moves it stands still already.
        container = self.host.container(self.service) if pauses and not self.host.moved else ""
        if container:
            docker("pause", container)
        try:
            for volume in self.plan["volumes"]:
                found += self._copy(volume, directory / "data" / volume["directory"], tables)
        finally:
            if container:
                docker("unpause", container)
        listed = directory / "files.json"
        listed.write_text(json.dumps(found))
        files = [each for each in found if each["type"] == "file"]
        return {"files": len(files), "bytes": sum(file["size"] for file in files), "sqlite": tables, "list": _file(listed)}

    def _copy(self, volume: Json, to: Path, tables: Json) -> Iterator[Json]:
        place = self.host.data / volume["directory"]
        for path in volume["sqlite"]:
            if not (place / path).is_file():
                raise Failed(f"{place / path} is not there: what {self.service} kept in it is gone, or its name has changed")
        for path in _below(place, volume["exclude"]):
            name = path.relative_to(place)
            target = to / name
            try:
                status = path.lstat()
                if stat.S_ISDIR(status.st_mode):
                    target.mkdir(parents=True)
                elif stat.S_ISLNK(status.st_mode):
                    target.symlink_to(path.readlink())
                elif not stat.S_ISREG(status.st_mode):
                    continue  # sockets and pipes are made anew
                elif _is_sqlite(path):
                    tables[str(name)] = _vacuum(path, target)
                elif _beside_sqlite(path):
                    continue
                else:
                    shutil.copyfile(path, target)
            except FileNotFoundError:
                continue  # gone since it was listed
            _as(status, path, target)
            yield _described(target, f"{volume['directory']}/{name}" if str(name) != "." else volume["directory"])

    def restore(self, source: Path, manifest: Json, safety: Path, only: str) -> str:
        # `source` may be what an earlier restore set aside: then it has no list to compare with.
        listed = source / "files.json"
        for volume in self.plan["volumes"]:
            place, saved = self.host.data / volume["directory"], source / "data" / volume["directory"]
            _set_aside(place, volume, safety / "data" / volume["directory"])
            if not saved.exists():
                continue
            for path in sorted(_below(saved), key=lambda path: len(path.parts)):
                target = place / path.relative_to(saved)
                status = path.lstat()
                if stat.S_ISDIR(status.st_mode):
                    target.mkdir(exist_ok=True)
                else:
                    target.unlink(missing_ok=True)
                    if stat.S_ISLNK(status.st_mode):
                        target.symlink_to(path.readlink())
                    else:
                        _copy(path, target)
                _as(status, path, target)
            # What was copied last touched the times of the directories.
            for path in sorted((path for path in _below(saved) if path.is_dir() and not path.is_symlink()), reverse=True):
                os.utime(place / path.relative_to(saved), ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        if not listed.exists():
            return "as it was before"
        wanted = json.loads(listed.read_text())
        for each in wanted:
            found = _described(self.host.data / each["path"], each["path"])
            if found != each:
                raise Failed(f"{each['path']} is not as in the manifest: {found} instead of {each}")
        return f"{manifest['files']} files, SHA-256, owner and mode as in the manifest"


def _set_aside(place: Path, volume: Json, aside: Path) -> None:
    """Move a data directory away, once, and make an empty one of the same owner in its place."""
    if aside.exists():
        shutil.rmtree(place, ignore_errors=True)  # what a restore that was cut off has put there so far
    elif place.exists():
        aside.parent.mkdir(parents=True, exist_ok=True)
        place.rename(aside)
    place.mkdir(parents=True, exist_ok=True)
    os.chown(place, *map(int, volume["owner"].split(":")))
    place.chmod(volume["mode"])


def _below(place: Path, exclude: Sequence[str] = ()) -> Iterator[Path]:
    """Everything in a directory, itself first, without what is excluded; links are not followed."""
    left_out = {place / path for path in exclude}
    if not place.is_dir():
        return
    waiting = [place]
    while waiting:
        path = waiting.pop(0)
        if path in left_out:
            continue
        yield path
        with contextlib.suppress(FileNotFoundError):
            if path.is_dir() and not path.is_symlink():
                waiting += sorted(path.iterdir())


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _beside_sqlite(path: Path) -> bool:
    for ending in _SIDE_FILES:
        database = path.with_name(path.name.removesuffix(ending))
        if path.name.endswith(ending) and database.is_file() and _is_sqlite(database):
            return True
    return False


def _vacuum(path: Path, target: Path) -> Json:
    """A whole copy of a database that is being written to, its rows counted in the copy."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{urllib.parse.quote(str(path))}?mode=ro", uri=True, timeout=30)) as live:
            live.execute("VACUUM INTO ?", (str(target),))
        with contextlib.closing(sqlite3.connect(f"file:{urllib.parse.quote(str(target))}?mode=ro", uri=True)) as copy:
            if (said := copy.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise Failed(f"the copy of {path} is damaged: {said}")
            names = [name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
            counts = {}
            for name in names:
                with contextlib.suppress(sqlite3.OperationalError):  # of a virtual table whose module is not here
                    counts[name] = copy.execute(f"""SELECT count(*) FROM "{name.replace('"', '""')}" """).fetchone()[0]
            return counts
    except sqlite3.Error as error:
        raise Failed(f"SQLite could not copy {path}: {error}") from None


def _as(status: os.stat_result, path: Path, target: Path) -> None:
    """Owner, mode, time and extended attributes as they were."""
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return
    target.chmod(stat.S_IMODE(status.st_mode))
    for name in os.listxattr(path):
        with contextlib.suppress(OSError):
            os.setxattr(target, name, os.getxattr(path, name))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _described(path: Path, name: str) -> Json:
    status = path.lstat()
    shared = {"path": name, "owner": f"{status.st_uid}:{status.st_gid}"}
    if stat.S_ISLNK(status.st_mode):
        return {**shared, "type": "link", "to": str(path.readlink())}
    shared["mode"] = f"{stat.S_IMODE(status.st_mode):04o}"
    if stat.S_ISDIR(status.st_mode):
        return {**shared, "type": "directory"}
    file = _file(path)
    return {**shared, "type": "file", "size": file["bytes"], "sha256": file["sha256"]}


def _copy(path: Path, target: Path) -> None:
    draft = target.with_name(f".{target.name}.restoring")
    shutil.copyfile(path, draft)
    draft.rename(target)


def _file(path: Path) -> Json:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _lstat(path: Path) -> os.stat_result:
    try:
        return path.lstat()
    except FileNotFoundError:
        return os.stat_result((0,) * 10)


def _alike(one: Any, other: Any) -> bool:
    """The same but for the rounding of numbers."""
    if isinstance(one, float) or isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-5)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _tail(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-4:])[-800:]


class Restic:
    """restic in a container of its own for each question: no Docker socket, no root file system to write to, one directory."""

    def __init__(self, host: Host) -> None:
        self._host, self._plan = host, host.plan["restic"]
        self.patience = float(host.plan["restic"]["patience_seconds"])
        """For a first answer of the bucket; restic itself would try for minutes."""
        self.upload = float(host.plan["restic"]["upload_seconds"])
        self._name = f"vpai-backup-{host.plan['stack']}-{host.name}"
        self._keys = Path("/run") / self._name

    def ask(
        self, *arguments: str, mount: str = "", writes: bool = False, seconds: float = 600, out: IO[bytes] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`mount` is a directory of the host, shown as /backup. What takes longer than `seconds` ends with code 124."""
        self.clear()
        self._keys.mkdir(mode=0o700)
        secrets = self._host.secrets
        keys = f"[default]\naws_access_key_id = {secrets['access_key']}\naws_secret_access_key = {secrets['secret_key']}\n"
        for name, text in (("credentials", keys), ("password", secrets["password"])):
            path = self._keys / name
            path.touch(0o400)
            path.write_text(text)
        memory = int(self._plan["memory_mib"])
        environment = {
            "RESTIC_REPOSITORY": self._plan["repository"],
            "RESTIC_PASSWORD_FILE": "/keys/password",
            "AWS_SHARED_CREDENTIALS_FILE": "/keys/credentials",
            "RESTIC_CACHE_DIR": "/cache",
            # Held within its limit: without them it took twice as much.
            "GOGC": "20",
            "GOMEMLIMIT": f"{memory * 7 // 10}MiB",
            "GOMAXPROCS": "1",
        }
        capabilities = ("CHOWN", "DAC_OVERRIDE", "FOWNER") if writes else ("DAC_READ_SEARCH",)
        command = [
            *("docker", "run", "--rm", "--name", self._name, "--pull", "never", "--network", self._plan["network"]),
            *("--read-only", "--cap-drop", "ALL", *(f"--cap-add={name}" for name in capabilities)),
            *("--security-opt", "no-new-privileges:true", "--memory", f"{memory}m", "--memory-swap", f"{memory}m"),
            *("--cpus", "1.0", "--pids-limit", "256", "--log-driver", "none"),
            *("--volume", f"{self._keys}:/keys:ro", "--volume", f"{self._host.backups}/cache:/cache"),
            *("--volume", f"{self._host.backups}/tmp:/tmp"),
            *(("--volume", f"{mount}:/backup{'' if writes else ':ro'}") if mount else ()),
            *(word for name, value in environment.items() for word in ("--env", f"{name}={value}")),
            *("--entrypoint", "/usr/bin/restic", self._plan["image"]),
            *("--option", f"s3.region={self._plan['region']}", "--option", "s3.connections=2", "--cleanup-cache", *arguments),
        ]
        try:
            done = subprocess.run(command, stdout=out or subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds)
            text = subprocess.CompletedProcess(command, done.returncode, (done.stdout or b"").decode(), done.stderr.decode())
        except subprocess.TimeoutExpired as late:
            self.clear()
            said = (late.stderr or b"").decode()
            text = subprocess.CompletedProcess(command, 124, "", f"no answer within {seconds:.0f} s. {said}")
        finally:
            shutil.rmtree(self._keys, ignore_errors=True)
        return text

    def clear(self) -> None:
        """Remove what a run that was killed left: its container and its keys."""
        subprocess.run(["docker", "rm", "--force", self._name], capture_output=True)
        shutil.rmtree(self._keys, ignore_errors=True)

    def must(self, *arguments: str, **options: Any) -> str:
        """What restic prints; raises `Failed` with what is wrong and what to do."""
        done = self.ask(*arguments, **options)
        if done.returncode:
            raise Failed(f"restic {arguments[0]}: {self.explanation(done)}")
        return str(done.stdout)

    def explanation(self, done: subprocess.CompletedProcess[str]) -> str:
        said = _tail(done.stderr or done.stdout)
        repository = self._plan["repository"]
        match done.returncode:
            case 124:
                return f"{repository} does not answer: {said}. Nothing was stored; the dumps stay in {self._host.staging}"
            case code if code == WRONG_KEY:
                return f"the password does not open {repository}; the recovery kit has the one it was made with"
            case code if code == NO_REPOSITORY:
                return f"there is no repository at {repository}: {said}"
            case code if code == LOCKED:
                return f"{repository} is locked by another restic: {said}"
            case code:
                return f"exit code {code}: {said}"

    def open(self, *, known: bool) -> None:
        """Ask the bucket; make the repository when it is not there and never was.

        The question takes away locks that are older than half an hour: of a run, or a check, that was killed.
        """
        done = self.ask("unlock", seconds=self.patience)
        if done.returncode == NO_REPOSITORY and not known:
            self.must("init", seconds=self.patience)
        elif done.returncode == NO_REPOSITORY:
            raise Failed(
                f"{self.explanation(done)}. It was there before: somebody deleted it, or the settings name another one. "
                f"If a new one is wanted, remove {self._host.backups}/last-success.json"
            )
        elif done.returncode:
            raise Failed(self.explanation(done))

    def snapshots(self) -> list[Json]:
        """The runs that are in the repository, the latest last."""
        found: list[Json] = json.loads(self.must("snapshots", "--json", "--host", self._host.name, seconds=2 * self.patience))
        return sorted((run for run in map(_run, found) if run), key=lambda run: str(run["time"]))


def _run(snapshot: Json) -> Json | None:
    tags = dict(tag.partition("=")[::2] for tag in snapshot.get("tags") or ())
    if "run" not in tags:
        return None
    summary = snapshot.get("summary", {})
    made = datetime.fromisoformat(snapshot["time"]).astimezone(UTC)
    return {
        "run": tags["run"],
        "snapshot": snapshot["short_id"],
        "time": made.isoformat(timespec="seconds"),
        "complete": "complete" in tags,
        DATABASES: DATABASES in tags,
        "future": made > datetime.now(UTC) + FUTURE,
        "items": int(tags.get("items", 0)),
        "bytes": summary.get("total_bytes_processed", 0),
        "added": summary.get("data_added_packed", summary.get("data_added", 0)),
        "seconds": int(tags.get("seconds", 0)),
    }


def last_run(host: Host) -> int:
    """Stop whatever writes, back up, stop the stores too; 0 when the run is complete. What fails leaves everything running."""
    if run_name := host.moved.get("run"):
        print(f"{host.name}: the last run is {run_name}; it stands still")
        return 0
    stores = {item.service for item in host.items if not isinstance(item, Files)}
    _write(host.moving, json.dumps({"since": datetime.now(UTC).isoformat(timespec="seconds")}))
    _stop(host, set(host.order) - stores)
    try:
        code = run(host)
    except Failed:
        resume(host)
        raise
    if code:
        resume(host)
        return code
    name = json.loads((host.backups / "last-success.json").read_text())[0]["run"]
    _stop(host, stores)
    _write(host.moving, json.dumps({**host.moved, "run": name}))
    print(f"{host.name}: the last run is {name}; it stands still")
    return 0


def _stop(host: Host, services: set[str]) -> None:
    for service in reversed(host.order):
        if service in services:
            docker("stop", host.container(service, running=False))


def resume(host: Host) -> int:
    """Everything runs again that a last run has stopped."""
    for service in host.order:
        docker("start", host.container(service, running=False))
        host.wait_healthy(service)
    host.moving.unlink(missing_ok=True)
    print(f"{host.name}: {len(host.order)} services run again")
    return 0


class Log:
    """Lines for the journal and for whoever follows."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", buffering=1)

    def __call__(self, line: str) -> None:
        print(line, flush=True)
        self._file.write(f"{line}\n")


def run(host: Host, *, databases: bool = False) -> int:
    """One backup of everything, or of `databases` alone; 0 when it is complete."""
    items = tuple(item for item in host.items if isinstance(item, Postgres) or not databases)
    if databases and not (items and host.plan["hourly"]):
        return 0
    if moved := host.moved.get("run"):
        raise Failed(f"{host.name}: the data has moved to another machine with the run {moved}; this one stands still")
    if since := host.waits.get("since"):
        raise Failed(
            f"{host.name} has taken another machine's place at {since}, and its data is not back: a backup would be the latest, "
            f"and empty. `make restore HOST={host.name} REPLACE=yes`; if none is to come back, remove {host.waiting}"
        )
    report = Log(host.backups / (f"{DATABASES}.log" if databases else LOG))
    began = time.monotonic()
    started = datetime.now(UTC)
    name = started.strftime("%Y%m%dT%H%M%SZ")
    restic = Restic(host)
    last = host.backups / "last-success.json"
    problems: list[str] = []
    report(f"{host.name}: backup {name}")
    answers = False
    try:
        restic.open(known=last.exists())
        answers = True
        report(f"  bucket      answers: {host.plan['restic']['repository']}")
    except Failed as failed:
        # The dumps are made all the same: they are the quick way back.
        problems.append(str(failed))
        report(f"  bucket      FAILED  {failed}")
    partial = host.staging / f"{name}.partial"
    spare = _make_room(host, items, report)
    partial.mkdir(mode=0o700)
    manifest: Json = {
        "format": host.plan["format"],
        "run": name,
        "host": host.name,
        "started": started.isoformat(timespec="seconds"),
    }
    manifest["items"] = {item.service: _dumped(host, item, partial, report) for item in items}
    failed_items = [service for service, entry in manifest["items"].items() if entry["status"] != "ok"]
    problems += [f"{service}: {manifest['items'][service]['problem']}" for service in failed_items]
    warnings = [warning for entry in manifest["items"].values() for warning in entry.get("warnings", ())]
    manifest["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=1))
    stored: Json = {}
    if answers and len(failed_items) < len(items):
        try:
            whole_tag = DATABASES if databases else "complete"
            stored = _upload(host, restic, partial, name, "partial" if problems else whole_tag, began)
            report(f"  upload      ok      {_size(stored['data_added'])} added of {_size(stored['total_bytes_processed'])}")
        except Failed as failed:
            problems.append(str(failed))
            report(f"  upload      FAILED  {failed}")
    if databases:
        shutil.rmtree(partial)  # what is staged is the last run of everything
        return _databases_done(host, problems, time.monotonic() - began, report)
    done = host.staging / name
    partial.rename(done)
    whole = [path for path in sorted(host.staging.iterdir()) if _is_whole(path)]
    for old in host.staging.iterdir():
        if old not in (done, *whole[-1:]):
            shutil.rmtree(old)
    if not problems:
        written = [
            {"service": user, "time": manifest["finished"], "bytes": manifest["items"][item.service]["bytes"], "run": name}
            for item in items
            for user in item.users
        ]
        _write(last, json.dumps(written, indent=1))
    seconds = time.monotonic() - began
    _show_metrics(host, manifest, stored, seconds, failed_items, warnings, spare, complete=not problems)
    for warning in warnings:
        report(f"  warning     {warning}")
    if problems:
        report(f"{host.name}: NOT complete after {seconds:.1f} s; the previous complete run still counts")
        return 1
    _report(host, f"{len(items)} items in {seconds:.0f} s", report)
    report(f"{host.name}: complete in {seconds:.1f} s, snapshot {stored['snapshot_id'][:8]}")
    return 0


def _dumped(host: Host, item: Item, directory: Path, report: Callable[[str], None]) -> Json:
    """One item's part of the manifest: whatever goes wrong with it leaves the others alone."""
    began = time.monotonic()
    place = directory / item.service
    place.mkdir(mode=0o700)
    try:
        entry = item.dump(place)
    except (Failed, OSError, ValueError, KeyError) as error:
        shutil.rmtree(place, ignore_errors=True)
        problem = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        report(f"  {item.service:<11} FAILED  {problem}")
        return {"kind": item.plan["kind"], "status": "failed", "problem": problem, "bytes": 0}
    size = sum(_lstat(path).st_size for path in _below(place) if path.is_file() and not path.is_symlink())
    seconds = time.monotonic() - began
    report(f"  {item.service:<11} ok      {_size(size):>10}  {seconds:6.1f} s")
    image = docker("inspect", "-f", "{{.Image}}", host.container(item.service, running=not host.moved)).strip()
    keys = host.secrets["fingerprints"].get(item.service)
    shared = {"kind": item.plan["kind"], "status": "ok", "image": image, "seconds": round(seconds, 1)}
    return {**entry, **shared, "bytes": size, **({"fingerprints": keys} if keys else {})}


def _databases_done(host: Host, problems: Sequence[str], seconds: float, report: Callable[[str], None]) -> int:
    if problems:
        report(f"{host.name}: the databases are NOT backed up, after {seconds:.1f} s; the previous run still counts")
        return 1
    number = f"vpai_backup_databases_last_success_timestamp_seconds {time.time():.3f}"
    _metrics(host, DATABASES, [f"# TYPE {number.split()[0]} gauge", number])
    report(f"{host.name}: databases complete in {seconds:.1f} s")
    return 0


def _make_room(host: Host, items: Sequence[Item], report: Callable[[str], None]) -> int:
    """Bytes that a run leaves free; below zero, what it may lack."""
    for left in host.staging.glob("*.partial"):
        shutil.rmtree(left)
    directories = {host.data / volume["directory"] for item in items for volume in item.plan["volumes"]}
    needed = sum(_lstat(path).st_size for root in directories for path in _below(root) if not path.is_dir()) + SPARE_BYTES
    if needed > host.free():
        report(f"  disk        {_size(host.free())} free, up to {_size(needed)} needed: the staged runs go first")
        for old in host.staging.iterdir():
            shutil.rmtree(old)
    return host.free() - needed


def _is_whole(staged: Path) -> bool:
    """Whether every item is in a staged run."""
    path = staged / "manifest.json"
    return path.exists() and all(entry["status"] == "ok" for entry in json.loads(path.read_text())["items"].values())


def _upload(host: Host, restic: Restic, staged: Path, name: str, state: str, began: float) -> Json:
    items = sum(path.is_dir() for path in staged.iterdir())
    tags = ("--tag", f"run={name}", "--tag", state, "--tag", f"items={items}", "--tag", f"seconds={time.monotonic() - began:.0f}")
    # Every file is read: a database's copy keeps size and time of the one before it while what is new is in its log.
    options = ("--force", "--read-concurrency", "1", "--retry-lock", LOCK_WAIT, "--json", "--quiet")
    arguments = ("backup", *options, "--host", host.name, *tags, "/backup")
    done = restic.ask(*arguments, mount=str(staged), seconds=restic.upload)
    if done.returncode == LOCKED:
        restic.must("unlock", seconds=restic.patience)
        done = restic.ask(*arguments, mount=str(staged), seconds=restic.upload)
    if done.returncode:  # 3 too: it stores a snapshot of what it could read, perhaps of nothing
        raise Failed(f"restic backup: {restic.explanation(done)}")
    summary: Json = next(each for each in map(json.loads, done.stdout.splitlines()) if each.get("message_type") == "summary")
    return summary


def _report(host: Host, message: str, report: Callable[[str], None]) -> None:
    """Tell the push monitor; that it cannot be reached makes no backup worse, and it will tell of its silence by itself."""
    if not (token := host.secrets["heartbeat"]):
        return
    to = host.plan["heartbeat"]
    # Beside the monitor a host asks it itself: its own Caddy would take it for a stranger.
    address = f"{host.address(to['service'], to['port'])}/api/push/{token}" if "service" in to else f"{to['url']}{token}"
    try:
        question = urllib.parse.urlencode({"status": "up", "msg": message})
        with urllib.request.urlopen(f"{address}?{question}", timeout=20) as answer:  # noqa: S310 - from the plan
            if json.load(answer).get("ok") is not True:
                report("  heartbeat   the monitor does not know this host: run `make up`")
    except (OSError, ValueError) as error:
        report(f"  heartbeat   not delivered: {error}")


def _show_metrics(
    host: Host,
    manifest: Json,
    stored: Json,
    seconds: float,
    failed: Sequence[str],
    warnings: Sequence[str],
    spare: int,
    *,
    complete: bool,
) -> None:
    """For node_exporter's textfile collector; the time of the last success outlives a failure."""
    now = time.time()
    succeeded = host.backups / "last-success.json"
    numbers = {
        "vpai_backup_last_run_timestamp_seconds": now,
        "vpai_backup_last_success_timestamp_seconds": succeeded.stat().st_mtime if succeeded.exists() else 0,
        "vpai_backup_complete": int(complete),
        "vpai_backup_seconds": seconds,
        "vpai_backup_failed_items": len(failed),
        "vpai_backup_warnings": len(warnings),
        "vpai_backup_added_bytes": stored.get("data_added", 0),
        "vpai_backup_spare_bytes": spare,
    }
    lines = [f"# TYPE {name} gauge\n{name} {value:.3f}" for name, value in numbers.items()]
    lines.append("# TYPE vpai_backup_bytes gauge")
    lines += [f'vpai_backup_bytes{{item="{name}"}} {entry["bytes"]}' for name, entry in manifest["items"].items()]
    _metrics(host, "backup", lines)
    if not (Path(host.plan["metrics"]) / "checked.prom").exists():
        checked(host)  # the time until a check is overdue begins with the first run


def checked(host: Host) -> int:
    """The whole repository has been asked, a part of it read, by somebody who is not this host."""
    name = "vpai_backup_checked_timestamp_seconds"
    _metrics(host, "checked", [f"# TYPE {name} gauge", f"{name} {time.time():.3f}"])
    return 0


def _metrics(host: Host, name: str, lines: Sequence[str]) -> None:
    place = Path(host.plan["metrics"])
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o755)
    _write(place / f"{name}.prom", "\n".join(lines) + "\n")


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text)
    draft.chmod(0o644)
    draft.rename(path)


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def runs(host: Host) -> list[Json]:
    """The runs that a restore can take, of the bucket and of the staging directory, the latest last."""
    staged = {path.name for path in host.staging.iterdir() if (path / "manifest.json").exists()}
    return [{**snapshot, "staged": snapshot["run"] in staged} for snapshot in Restic(host).snapshots()]


class Source:
    """A run that can be restored: a directory on the host, or a snapshot that is fetched into one."""

    def __init__(self, host: Host, wanted: str, name: str, service: str = "") -> None:
        self._host, self.snapshot = host, ""
        databases = any(item.service == service and isinstance(item, Postgres) for item in host.items)
        if wanted not in ("bucket", "staging"):
            self.directory = Path(wanted)
            if not (self.directory / "manifest.json").exists():
                raise Failed(f"{wanted} is no run: it has no manifest.json. FROM= is staging, bucket or such a directory")
        elif wanted == "staging":
            staged = sorted(path for path in host.staging.iterdir() if (path / "manifest.json").exists())
            chosen = [path for path in staged if name in ("", path.name)]
            if not chosen:
                raise Failed(f"no such run in {host.staging}; there are: {', '.join(path.name for path in staged) or 'none'}")
            self.directory = chosen[-1]
        else:
            found = Restic(host).snapshots()
            chosen_runs = _chosen(found, name, databases=databases)
            if not chosen_runs:
                known = ", ".join(each["run"] for each in found if each["complete"]) or "none"
                raise Failed(f"no complete run {name or 'in the bucket'}; there are: {known}. `make backups` lists them")
            self.snapshot = chosen_runs[-1]["snapshot"]
            self.directory = host.backups / "fetched" / chosen_runs[-1]["run"]

    @cached_property
    def manifest(self) -> Json:
        if not self.snapshot:
            found: Json = json.loads((self.directory / "manifest.json").read_text())
        else:
            found = json.loads(Restic(self._host).must("dump", self.snapshot, "/backup/manifest.json"))
        return found

    def fetch(self, services: Sequence[str]) -> None:
        """Bring what is needed of a snapshot onto the disk."""
        if not self.snapshot:
            return
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        include = [word for service in services for word in ("--include", f"/{service}")]
        arguments = ("restore", f"{self.snapshot}:/backup", "--target", "/backup", "--include", "/manifest.json", *include)
        restic = Restic(self._host)
        restic.must(*arguments, mount=str(self.directory), writes=True, seconds=restic.upload)

    def forget(self) -> None:
        if self.snapshot:
            shutil.rmtree(self.directory, ignore_errors=True)


def _chosen(found: Sequence[Json], name: str, *, databases: bool) -> list[Json]:
    """The complete runs that `name` means: a run, a snapshot, or the latest one until a moment; none from the future.

    With `databases` those count too that hold nothing else.
    """
    complete = [run for run in found if (run["complete"] or (databases and run[DATABASES])) and not run["future"]]
    if not name:
        return complete
    named = [run for run in complete if name in (run["run"], run["snapshot"])]
    if named or re.fullmatch(_RUN, name):
        return named
    try:
        moment = datetime.fromisoformat(name)
    except ValueError:
        return []
    moment = moment if moment.tzinfo else moment.astimezone()
    return [run for run in complete if datetime.fromisoformat(run["time"]) <= moment]


class Restore:
    """What is to be put in place of what; written to the host, so that one which was cut off goes on or back."""

    def __init__(self, host: Host, wanted: Json) -> None:
        self.host = host
        self.path = host.backups / "restore.json"
        self.wanted = wanted
        self.state: Json = {"wanted": wanted, "done": [], "safety": ""}
        if self.path.exists():
            self.state = json.loads(self.path.read_text())
            if {**self.state["wanted"], "replace": True} != {**wanted, "replace": True}:
                raise Failed(
                    f"a restore was cut off and is not finished: {json.dumps(self.state['wanted'])}. "
                    "The same command again goes on with it; UNDO=yes brings back what it replaced"
                )

    def save(self) -> None:
        _write(self.path, json.dumps(self.state))
        self.path.chmod(0o600)


def restore(host: Host, wanted: Json) -> int:
    """Bring a run back; 0 when everything is as the manifest says and every service is healthy."""
    report = Log(host.backups / LOG)
    began = time.monotonic()
    at = Restore(host, wanted)
    # A run that is made meanwhile does not take the place of the one that it began with.
    source = Source(host, wanted["from"], at.state.get("run") or wanted["run"], wanted["service"])
    manifest = source.manifest
    items = [item for item in host.items if wanted["service"] in ("", *item.users) and item.service in manifest["items"]]
    laid = () if wanted["service"] else host.waits.get("laid", ())
    items = [item for item in items if item.service not in laid]
    _shown(host, manifest, items, report)
    for service in laid:
        report(f"  {service:<11} was laid out before it started, and has gone on from there: left alone")
    refusals = list(_refusals(host, source, items, wanted, begun=bool(at.state["safety"])))
    if refusals:
        for refusal in refusals:
            report(f"refused: {refusal}")
        report("Nothing was stopped, nothing was changed.")
        return REFUSED
    users = {user for item in items for user in item.users}
    stopped = {user for item in items if item.stops_itself for user in item.users} | host.dependants(sorted(users))
    if not at.state["safety"]:
        at.state["run"] = manifest["run"]
        at.state["safety"] = str(host.backups / "safety" / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"))
    safety = Path(at.state["safety"])
    safety.mkdir(mode=0o700, exist_ok=True)
    at.state["stopped"] = sorted(stopped)
    at.save()
    source.fetch([item.service for item in items])
    report(f"  stop        {', '.join(name for name in reversed(host.order) if name in stopped) or 'nothing'}")
    for service in reversed(host.order):
        if service in stopped:
            docker("stop", host.container(service, running=False))
    rows = []
    for item in items:
        if item.service in at.state["done"]:
            continue
        once = time.monotonic()
        kept = safety / item.service
        kept.mkdir(mode=0o700, exist_ok=True)
        try:
            compared = item.restore(source.directory / item.service, manifest["items"][item.service], kept, wanted["database"])
        except (Failed, OSError) as error:
            raise Failed(
                f"{item.service}: {error}\n{', '.join(sorted(stopped))} are stopped. The same command goes on from here; "
                "UNDO=yes brings back what was there before"
            ) from error
        at.state["done"].append(item.service)
        at.save()
        rows.append((item.service, compared, time.monotonic() - once))
        report(f"  {item.service:<11} back    {compared}  {rows[-1][2]:.1f} s")
    _started(host, users | stopped, stopped, report)
    at.path.unlink()
    if not wanted["service"]:
        host.waiting.unlink(missing_ok=True)
    source.forget()
    for old in sorted(safety.parent.iterdir())[:-2]:
        shutil.rmtree(old)
    report(f"{host.name}: {manifest['run']} is back after {time.monotonic() - began:.1f} s; what it replaced is in {safety}")
    return 0


def _started(host: Host, touched: set[str], stopped: set[str], report: Callable[[str], None]) -> None:
    """Everything that was stopped, each after what it needs, with its steps of provisioning: passwords are today's again."""
    for service in host.order:
        if service in stopped:
            docker("start", host.container(service, running=False))
        if service in touched:
            host.wait_healthy(service)
            for task in host.secrets["tasks"].get(service, ()):
                docker("exec", "-i", host.container(service), *task["command"], stdin=task["stdin"])
    report(f"  healthy     {', '.join(service for service in host.order if service in touched)}")


def _shown(host: Host, manifest: Json, items: Sequence[Item], report: Callable[[str], None]) -> None:
    taken = datetime.fromisoformat(manifest["finished"])
    report(f"{host.name}: restore of the run {manifest['run']} of {manifest['host']}, taken {_age(taken)} ago")
    for item in items:
        written = datetime.fromtimestamp(item.newest(), UTC)
        newer = f"; written here until {_age(taken, written)} after it" if written > taken else ""
        report(f"  {item.service:<11} {item.plan['kind']:<10} {_size(manifest['items'][item.service]['bytes']):>10}{newer}")
    for service in sorted(manifest["items"].keys() - {item.service for item in host.items}):
        report(f"  {service:<11} in the run, but no service of this host: left out")


def _refusals(host: Host, source: Source, items: Sequence[Item], wanted: Json, *, begun: bool) -> Iterator[str]:
    """Why not; of a restore that has `begun`, all but the word for it was judged before anything stopped."""
    if not wanted["replace"]:
        yield "everything that was written since the run would be lost; say so with REPLACE=yes"
    if begun:
        return
    manifest = source.manifest
    known = ", ".join(manifest["items"])
    if not items:
        yield f"the run holds nothing of {wanted['service'] or 'this host'}; it has: {known}"
    if manifest["format"] != host.plan["format"]:
        yield f"the run is of format {manifest['format']}, this program reads {host.plan['format']}: deploy an earlier commit"
    if wanted["database"]:
        names = [name for item in items for name in manifest["items"][item.service].get("databases", ())]
        if wanted["database"] not in names:
            yield f"the run has no database {wanted['database']}; it has: {', '.join(names) or 'none in this service'}"
    for item in items:
        entry = manifest["items"][item.service]
        if entry["status"] != "ok":
            yield f"{item.service} failed in this run: {entry['problem']}. Take an earlier one"
            continue
        try:
            yield from item.refusals(entry)
        except Failed as failed:
            yield f"{item.service} cannot be asked for its version: {failed}"
    needed = sum(manifest["items"][item.service]["bytes"] for item in items) * (2 if source.snapshot else 1) + SPARE_BYTES
    if needed > host.free():
        yield f"{_size(needed)} are needed on the disk, {_size(host.free())} are free: make room: docker image prune -a"


def undo(host: Host) -> int:
    """Put back what a restore that was cut off has replaced."""
    report = Log(host.backups / LOG)
    path = host.backups / "restore.json"
    if not path.exists():
        raise Failed("no restore was cut off here: there is nothing to undo")
    state = json.loads(path.read_text())
    safety = Path(state["safety"])
    items = [item for item in host.items if (safety / item.service).exists()]
    users = {user for item in items for user in item.users}
    stopped = {user for item in items if item.stops_itself for user in item.users} | host.dependants(sorted(users))
    # The restore stopped those too whose turn had not come.
    stopped |= set(state["stopped"])
    for service in reversed(host.order):
        if service in stopped:
            docker("stop", host.container(service, running=False))
    with contextlib.ExitStack() as stack:
        aside = host.backups / "safety" / f"{safety.name}.undone"
        stack.callback(shutil.rmtree, aside, ignore_errors=True)
        for item in items:
            kept = safety / item.service
            place = aside / item.service
            place.mkdir(parents=True, exist_ok=True)
            if any(kept.iterdir()):
                item.restore(kept, _bare(kept), place, "")
                report(f"  {item.service:<11} is what it was before the restore")
        _started(host, users | stopped, stopped, report)
        path.unlink()
    report(f"{host.name}: undone")
    return 0


def _bare(kept: Path) -> Json:
    """A manifest for what was set aside: names, and nothing to compare with."""
    return {
        "databases": {path.stem: {"tables": {}} for path in kept.glob("*.dump")},
        "collections": {path.stem: {} for path in kept.glob("*.jsonl")},
    }


def extract(host: Host, wanted: Json) -> int:
    """Files of a run into a directory of the host; nothing that runs is touched."""
    if wanted["to"]:
        _empty(Path(wanted["to"]))
    source = Source(host, wanted["from"], wanted["run"], wanted["service"])
    known = source.manifest["items"]
    if wanted["service"] not in known:
        raise Failed(f"the run holds nothing of {wanted['service']}; it has: {', '.join(known)}")
    target = Path(wanted["to"] or host.backups / "extracted" / f"{source.manifest['run']}-{wanted['service']}")
    _empty(target)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    source.fetch([wanted["service"]])
    place = source.directory / wanted["service"]
    shutil.copytree(place, target, dirs_exist_ok=True, symlinks=True)
    source.forget()
    for path in sorted(_below(target)):
        if path.is_file():
            print(path)
    return 0


def _empty(target: Path) -> None:
    if target.exists() and any(target.iterdir()):
        raise Failed(f"{target} is not empty: name another directory with TO=")


def _age(then: datetime, now: datetime | None = None) -> str:
    minutes = int(((now or datetime.now(UTC)) - then).total_seconds() / 60)
    days, hours = minutes // 1440, minutes // 60
    return f"{days} days" if days > 1 else f"{hours} hours" if hours > 1 else f"{minutes} minutes"


def follow(host: Host, unit: str, start: Sequence[str]) -> int:
    """Start a unit, print what it says until it ends, and end with its exit code; it goes on when nobody listens.

    One that is at work already is listened to: of a command that was cut off and is given again.
    """
    log = host.backups / LOG
    state = subprocess.run(["systemctl", "show", "-p", "ActiveState", "--value", unit], capture_output=True, text=True).stdout
    if state.strip() not in ("active", "activating"):
        log.unlink(missing_ok=True)
        words = start or ["systemctl", "start", "--no-block", unit]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{unit} could not be started: {_tail(done.stderr)}")
    position, deadline = 0, time.monotonic() + 10
    while True:
        shown = subprocess.run(
            ["systemctl", "show", "-p", "ActiveState,ExecMainStatus", unit], capture_output=True, text=True
        ).stdout
        if log.exists():
            with log.open() as file:
                file.seek(position)
                sys.stdout.write(file.read())
                sys.stdout.flush()
                position = file.tell()
        properties = dict(line.partition("=")[::2] for line in shown.splitlines())
        # A unit that was just asked for is not at work yet.
        if properties.get("ActiveState") in ("inactive", "failed") and (log.exists() or time.monotonic() > deadline):
            return int(properties.get("ExecMainStatus") or 0)
        time.sleep(0.3)


def release(host: Host) -> int:
    """Unpause what a killed run left standing still, and remove its container and keys."""
    paused = docker("ps", "-q", "--filter", "status=paused", "--filter", f"label={STACK}={host.plan['stack']}").split()
    for container in paused:
        docker("unpause", container)
    Restic(host).clear()
    return 0


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vpai-backup")
    parser.add_argument("plan", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "runs", "undo", "resume", "release", "checked"):
        sub = commands.add_parser(name)
        if name == "run":
            sub.add_argument("--databases", action="store_true")
            sub.add_argument("--last", action="store_true")
    for name in ("restore", "extract"):
        sub = commands.add_parser(name)
        sub.add_argument("--run", default="")
        sub.add_argument("--from", default="bucket")
        sub.add_argument("--service", default="", required=name == "extract")
        if name == "restore":
            sub.add_argument("--database", default="")
            sub.add_argument("--replace", action="store_true")
        else:
            sub.add_argument("--to", default="")
    sub = commands.add_parser("follow")
    sub.add_argument("unit")
    sub.add_argument("start", nargs="*")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is paused goes on
    arguments = _parsed(words)
    wanted = {name: value for name, value in vars(arguments).items() if name not in ("plan", "command", "unit", "start")}
    os.umask(0o022)
    host = Host(arguments.plan)
    try:
        match arguments.command:
            case "runs":
                print(json.dumps(runs(host)))
                return 0
            case "follow":
                return follow(host, arguments.unit, arguments.start)
            case "release":
                return release(host)
            case "checked":
                return checked(host)
            case "extract":
                with host.alone("extract"):
                    return extract(host, wanted)
            case command:
                with host.alone(DATABASES if wanted.get(DATABASES) else str(command)):
                    match command:
                        case "run" if wanted["last"]:
                            return last_run(host)
                        case "resume":
                            return resume(host)
                        case "run":
                            return run(host, databases=wanted[DATABASES])
                        case "undo":
                            return undo(host)
                        case _:
                            return restore(host, wanted)
    except Failed as failed:
        print(failed, file=sys.stderr)
        if isinstance(failed, Busy) and wanted.get(DATABASES):
            return 0  # the next hour comes
        if arguments.command in ("restore", "undo", "run"):
            with contextlib.suppress(OSError), (host.backups / LOG).open("a") as log:
                log.write(f"{failed}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
