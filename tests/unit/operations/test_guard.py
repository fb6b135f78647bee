"""What an up of production refuses, each by itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from model.host import host_of
from operations.deploy import guard
from operations.deploy.guard import Backup, Tree
from operations.deploy.preview_text import Change
from services import alloy, postgresql, redis
from tests.support.fleets import HOST, placement

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
TREE = Tree(commit="a" * 40, committed_at=NOW - timedelta(hours=1), changed=(), pushed=True)
DATA = Change(
    action="delete", urn="urn:pulumi:prod::vpai::vpai:index:ServiceContainer$command:local:Command::sese-postgresql-data"
)
PLACED = (placement(),)
SERVER = Change(action="replace", urn="urn:pulumi:prod::vpai::vpai:index:HetznerServer$hcloud:index/server:Server::app-prod-01")
BACKUP = Backup(service="sese/postgresql", time=NOW - timedelta(hours=25), bytes=4096)


def test_a_pushed_tree_without_changes_passes() -> None:
    assert not [*guard.of_tree(TREE), *guard.of_preview(TREE.commit, NOW, TREE)]


def test_a_dirty_and_unpushed_tree_is_told_both() -> None:
    reported = [problem.what for problem in guard.of_tree(replace(TREE, changed=("services/redis.py",), pushed=False))]
    assert reported == ["not committed: services/redis.py", "the commit aaaaaaaaaaaa is on no remote branch"]


@pytest.mark.parametrize(("commit", "at"), [("b" * 40, NOW), (TREE.commit, TREE.committed_at - timedelta(seconds=1))])
def test_a_preview_older_than_the_commit_or_of_another_is_refused(commit: str, at: datetime) -> None:
    [problem] = guard.of_preview(commit, at, TREE)
    assert "make plan" in problem.example


def test_what_the_policy_pack_refuses_is_refused() -> None:
    assert [problem.what for problem in guard.of_policy(["containers-privileged"])] == ["containers-privileged"]


def test_a_fresh_backup_lets_data_go() -> None:
    assert not list(guard.of_data([DATA], [BACKUP], NOW, (), PLACED))


@pytest.mark.parametrize(
    "backups",
    [
        [],
        [replace(BACKUP, service="sese/n8n")],
        [replace(BACKUP, time=NOW - timedelta(hours=27))],
        [replace(BACKUP, time=NOW + timedelta(minutes=1))],
        [replace(BACKUP, bytes=0)],
    ],
    ids=["none", "another service's", "old", "of the future", "empty"],
)
@pytest.mark.parametrize("action", ["delete", "replace"])
def test_without_a_fresh_backup_data_stays(backups: list[Backup], action: str) -> None:
    [problem] = guard.of_data([replace(DATA, action=action)], backups, NOW, (), PLACED)
    assert "sese-postgresql-data" in problem.what
    assert "MAY_LOSE=sese-postgresql-data" in problem.example
    assert not list(guard.of_data([replace(DATA, action=action)], backups, NOW, ("sese-postgresql-data",), PLACED))


def test_an_update_of_data_directories_takes_nothing_away() -> None:
    assert not list(guard.of_data([replace(DATA, action="update"), replace(DATA, action="create")], [], NOW, (), PLACED))


@pytest.mark.parametrize("kind", ["hcloud:index/server:Server", "hcloud:index/volume:Volume", "pulumi-python:dynamic/s3:Bucket"])
def test_rented_things_hold_data(kind: str) -> None:
    [problem] = guard.of_data([Change(action="replace", urn=f"urn:pulumi:prod::vpai::{kind}::it")], [], NOW, (), PLACED)
    assert "replace it" in problem.what


def test_a_server_takes_along_what_its_services_keep_and_nothing_else_is_asked_for() -> None:
    services = (postgresql.service(), alloy.service((), ()))
    host = replace(placement(*services), host=replace(HOST, name="app-prod-01"))
    directories = [
        replace(SERVER, urn=f"urn:pulumi:prod::vpai::command:local:Command::app-prod-01-{service}-data")
        for service in ("postgresql", "alloy")
    ]
    reported = [problem.what for problem in guard.of_data([SERVER, *directories], [], NOW, (), [host])]
    assert [what.partition(" younger")[0] for what in reported] == [
        "replace app-prod-01 takes data away, and there is no backup of app-prod-01/postgresql",
        "replace app-prod-01-postgresql-data takes data away, and there is no backup of app-prod-01/postgresql",
    ], "where an Alloy read a log to needs no backup"
    backup = replace(BACKUP, service="app-prod-01/postgresql")
    assert not list(guard.of_data([SERVER, *directories], [backup], NOW, (), [host]))
    assert list(guard.of_data([SERVER], [backup], NOW, (), [])), "a server that no host is placed on: nobody knows what it holds"
    removed = replace(directories[0], urn=directories[0].urn.replace("postgresql", "shop"))
    assert list(guard.of_data([removed], [backup], NOW, (), [host])), "nor what a service held that is placed no more"


def test_a_backup_without_a_time_zone_is_none() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Backup.written({"service": "sese/n8n", "time": "2026-11-26T12:00:00", "bytes": 1})
    assert Backup.written({"service": "sese/postgresql", "time": "2026-11-25T12:00:00+01:00", "bytes": 4096}) == replace(
        BACKUP, time=NOW - timedelta(hours=25)
    )


@pytest.mark.parametrize(
    ("resource", "host"),
    [("sese-2-redis-data", "sese-2"), ("sese-redis-data", "sese"), ("sese-2", "sese-2"), ("sese", "sese"), ("seseko-redis", "")],
)
def test_a_resource_belongs_to_the_host_whose_whole_name_it_bears(resource: str, host: str) -> None:
    assert host_of(resource, ["sese", "sese-2"]) == host
    assert host_of(resource, ["sese-2", "sese"]) == host


def test_on_a_host_that_is_switched_off_nothing_is_made_or_removed() -> None:
    """Not what a host that was never deployed lacks, nor what a later commit puts there."""
    waza = replace(placement(redis.service()), host=replace(HOST, name="waza", offline=True))
    urn = "urn:pulumi:prod::vpai::vpai:index:ServiceContainer$docker:index/container:Container::waza-redis"
    new = [replace(DATA, action="create", urn=f"{urn}{number}") for number in range(5)]
    [problem] = guard.of_offline([DATA, *new], (*PLACED, waza))
    assert problem.what.startswith("waza is in vpai:offline, and this would create waza-redis0, create waza-redis1, ")
    assert "2 more there" in problem.what
    assert "vpai:hosts.waza" in problem.example
    assert list(guard.of_offline([replace(new[0], action="delete")], (*PLACED, waza)))
    assert not list(guard.of_offline([DATA], (*PLACED, waza)))
    assert not list(guard.of_offline(new, (*PLACED, replace(waza, host=replace(waza.host, offline=False)))))


def test_nothing_that_is_advised_sets_the_configuration_aside() -> None:
    problems = [*guard.of_tree(replace(TREE, changed=("Pulumi.prod.yaml",), pushed=False))]
    assert len(problems) == 2
    assert not any("stash" in problem.fix + problem.example for problem in problems)
