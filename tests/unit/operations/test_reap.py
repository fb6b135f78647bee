"""What `make reap` decides, over values."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from operations.cloud.hetzner_project import Resource
from operations.cloud.reap import decide
from tests.support.fleets import PROJECT
from tests.support.hetzner import running

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
PAST, FUTURE = "2026-11-26T12.00Z", "2026-11-26T12.01Z"


def _server(stack: str, expires: str, number: int = 1, environment: str = "preprod") -> Resource:
    return Resource("server", number, f"{stack}-{number}", stack, expires, environment)


@pytest.mark.parametrize(
    ("stack", "expires", "expired"),
    [
        ("pr-1", PAST, ("pr-1",)),
        ("pr-1", FUTURE, ()),
        ("pr-1", "", ()),
        ("pr-1", "kept", ()),
        ("pr-1", "tomorrow", ()),
        ("any-name", PAST, ("any-name",)),
    ],
)
def test_only_a_copy_whose_moment_is_over_goes(stack: str, expires: str, expired: tuple[str, ...]) -> None:
    verdict = decide([_server(stack, expires)], [stack], NOW)
    assert (verdict.expired, verdict.orphans) == (expired, ())
    assert bool(verdict.unreadable) == (expires == "tomorrow")


@pytest.mark.parametrize("other", [FUTURE, "kept", "tomorrow"])
def test_one_resource_that_may_stay_keeps_the_stack(other: str) -> None:
    assert decide([_server("pr-1", PAST), _server("pr-1", other, 2)], ["pr-1"], NOW).expired == ()


@pytest.mark.parametrize("expires", [PAST, FUTURE, "", "tomorrow"])
def test_what_no_stack_knows_is_an_orphan_and_destroyed_by_nobody(expires: str) -> None:
    orphan = _server("pr-2", expires, 7)
    verdict = decide([orphan], ["pr-1"], NOW)
    assert (verdict.expired, verdict.orphans) == ((), (orphan,))
    assert orphan.removal == "hcloud server delete 7"


@pytest.mark.parametrize("known", [(), ("second",)])
def test_nothing_of_a_production_is_an_orphan_or_expires_whatever_its_name(known: tuple[str, ...]) -> None:
    verdict = decide([_server("second", PAST, environment="prod")], known, NOW)
    assert (verdict.expired, verdict.orphans) == ((), ())


def test_what_stays_is_no_orphan_where_another_backend_knows_it() -> None:
    assert decide([_server("preprod", "kept")], [], NOW).orphans == ()


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:9/v1"], ids=["a wrong token", "no network"])
@pytest.mark.parametrize("command", [["reap", "--dry-run"], ["cost", "--stack", "prod"]], ids=lambda words: words[0])
def test_a_cloud_that_does_not_answer_is_one_clear_message(command: list[str], endpoint: str, tmp_path: Path) -> None:
    with running() as cloud:
        environment = {
            **os.environ,
            "HCLOUD_ENDPOINT": endpoint or cloud.endpoint,
            "HCLOUD_TOKEN": "wrong",
            "PULUMI_BACKEND_URL": f"file://{tmp_path}",
        }
        words = [sys.executable, "-m", "operations", *command]
        done = subprocess.run(words, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "1 problem; nothing has been touched." in done.stderr
    assert "Hetzner" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("limit", ["a lot", "-1", "nan", "1e999999999"])
def test_a_limit_that_is_no_amount_is_refused(limit: str) -> None:
    words = [sys.executable, "-m", "operations", "cost", "--stack", "prod", f"--limit={limit}"]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"LIMIT is {limit!r}" in done.stderr
    assert "Traceback" not in done.stderr
