"""Runs the commands of docs/runbooks/restore.md, as written, in the lab. Those for lost machines: tests/prove."""

import json
import shlex

import pyrage
import pytest

from services import n8n
from tests.lab.deployment import Deployment, health_of, healthy
from tests.lab.test_backups import data, fill
from tests.support import runbook
from tests.support.waiting import until

PAGE = "restore.md"
KNOWN = "SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)) FROM known t"
REPLACE = " REPLACE=yes"


@pytest.fixture(scope="module")
def backed_up(_deployment: Deployment) -> Deployment:
    """A stack with known data and a backup."""
    fill(_deployment)
    _deployment.sql("n8n", "DROP TABLE IF EXISTS known; CREATE TABLE known AS SELECT n FROM generate_series(1, 500) n")
    _deployment.make("backup", "STACK=lab")
    return _deployment


def test_a_dropped_table_is_back_with_its_database_and_by_itself(backed_up: Deployment) -> None:
    stack = backed_up
    assert "complete" in stack.type(runbook.one(PAGE, "make backups STACK=prod"), check=False).stdout
    rows = stack.sql("n8n", KNOWN)
    stack.sql("n8n", "DROP TABLE known")
    line = runbook.one(PAGE, "make restore STACK=prod HOST=sese SERVICE=postgresql DATABASE=n8n")
    shown = stack.type(line, check=False)
    assert shown.returncode and "say so with REPLACE=yes" in shown.stdout, "shown first"
    stack.type(line + REPLACE)
    assert stack.sql("n8n", KNOWN) == rows

    said = stack.type(runbook.one(PAGE, "make restore-files STACK=prod HOST=sese SERVICE=postgresql")).stdout
    dump = next(path for path in said.splitlines() if path.endswith("/n8n.dump"))
    stack.sql("n8n", "DROP TABLE known")
    table = runbook.one(PAGE, "pg_restore -U postgres -t TABLE -d n8n n8n.dump").replace("TABLE", "known")
    container = stack.container("postgresql")
    inside = f"docker exec -i {container} sh -c 'cd /tmp && cat > n8n.dump && {table}; rm n8n.dump' < {shlex.quote(dump)}"
    stack.on_host("sh", "-c", inside)
    assert stack.sql("n8n", KNOWN) == rows
    stack.on_host("rm", "-r", dump.rpartition("/")[0])


def test_a_service_comes_back_alone_and_runs_are_chosen_by_time_and_place(backed_up: Deployment) -> None:
    known = data(backed_up)
    backed_up.type(runbook.one(PAGE, "make restore STACK=prod HOST=seko SERVICE=couchdb") + REPLACE)
    assert data(backed_up) == known
    at = runbook.one(PAGE, "make restore STACK=prod HOST=sese AT=2026-11-29T03:00").replace(
        "2026-11-29T03:00", "2000-01-01T03:00"
    )
    assert "no complete run 2000-01-01T03:00; there are:" in backed_up.type(at, check=False).stdout
    staged = backed_up.type(runbook.one(PAGE, "make restore STACK=prod HOST=sese FROM=staging"), check=False).stdout
    assert "restore of the run" in staged
    assert "Nothing was stopped, nothing was changed." in staged


def test_a_restore_that_was_killed_is_undone(backed_up: Deployment) -> None:
    stack = backed_up
    stack.sql("n8n", "INSERT INTO known VALUES (501)")
    rows = stack.sql("n8n", KNOWN)
    stack.on_host("sh", "-c", _KILLER)
    cut_off = stack.make("restore", "STACK=lab", "HOST=sese", "REPLACE=yes", check=False)
    assert cut_off.returncode, cut_off.stdout
    assert stack.sql("n8n", KNOWN) != rows, "it has replaced the databases by then"
    said = stack.type(runbook.one(PAGE, "make restore STACK=prod HOST=sese UNDO=yes")).stdout
    assert "sese: undone" in said
    until(lambda: healthy(stack.host), 60, describe=lambda: str(health_of(stack.host)))
    assert stack.sql("n8n", KNOWN) == rows
    stack.sql("n8n", "DELETE FROM known WHERE n = 501")


# Kills the restore once PostgreSQL's data, which comes first, is back.
_KILLER = """
nohup sh -c 'until grep -q postgresql /opt/javisi/backups/restore.json 2>/dev/null &&
  grep -q "\\"done\\": \\[\\"postgresql" /opt/javisi/backups/restore.json; do sleep 0.05; done
  systemctl kill -s KILL vpai-restore.service' >/dev/null 2>&1 &
"""


def test_the_kit_opens_every_repository_and_a_new_state_takes_its_values(backed_up: Deployment) -> None:
    stack = backed_up
    identity = pyrage.x25519.Identity.generate()
    (stack.directory / "recovery.key").write_text(f"{identity}\n")
    stack.make("recovery-kit", "STACK=lab", f"RECIPIENT={identity.to_public()}")
    (stack.directory / "recovery-kit-lab.age").rename(stack.directory / "recovery-kit-prod.age")
    line = runbook.one(PAGE, "make recovery-kit STACK=prod CHECK=recovery-kit-prod.age KEY=recovery.key")
    said = stack.type(line).stdout
    assert said.count("  opens  ") == 2, said
    assert "its passphrase opens the state" in said
    kit = json.loads(pyrage.decrypt((stack.directory / "recovery-kit-prod.age").read_bytes(), [identity]))
    value = kit["secrets"][n8n.ENCRYPTION_KEY.name]["value"]
    line = runbook.one(PAGE, "pulumi config set -s prod --secret --path 'vpai:kept.n8n_encryption_key'")
    line = f"printf %s {value} | {line}"
    try:
        stack.run("sh", "-c", line.replace("-s prod", "-s lab"))
        # A given value needs no generator. That n8n does not change shows that the value is the same.
        assert stack.changes() == {n8n.ENCRYPTION_KEY.name: "delete"}
    finally:
        stack.pulumi("config", "rm", "--path", "vpai:kept")


def test_repositories_are_pruned_and_rescued(backed_up: Deployment) -> None:
    stack = backed_up
    assert "read, no errors" in stack.type(runbook.one(PAGE, "make prune STACK=prod")).stdout
    said = stack.type(runbook.one(PAGE, "make rescue STACK=prod HOST=sese TO=rescued")).stdout
    assert "objects" in said and "lost:" not in said
    check = runbook.one(PAGE, "restic -r rescued check --read-data")
    password = stack.secrets["backup_sese_password"]
    assert "no errors were found" in stack.run("env", f"RESTIC_PASSWORD={password}", *check.split()).stdout
    stack.type(runbook.one(PAGE, "make rescue STACK=prod HOST=sese IN_PLACE=yes"))
    stack.run("rm", "-r", "rescued")


def test_what_is_to_be_published_is_said(backed_up: Deployment) -> None:
    assert "singa.vpai.test. 3600 IN A " in backed_up.type(runbook.one(PAGE, "make dns STACK=prod"), check=False).stdout
