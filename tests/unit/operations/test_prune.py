"""What a prune refuses: snapshots that would take the place of the real backups."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from operations.backups.prune import MOST_A_DAY, MOST_OF_DATABASES, objections

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def _snapshot(
    number: int, at: datetime, host: str = "sese", tags: Sequence[str] | None = ("run=x", "complete")
) -> Mapping[str, Any]:
    return {"short_id": f"id{number}", "time": at.isoformat(), "hostname": host, "tags": tags}


NIGHTS = [_snapshot(number, NOW - timedelta(days=number)) for number in range(30)]


def _hourly(runs: int) -> list[Mapping[str, Any]]:
    return [_snapshot(100 + number, NOW - timedelta(minutes=number), tags=("run=x", "databases")) for number in range(runs)]


def test_a_month_of_nights_is_pruned() -> None:
    assert not list(objections("sese", NIGHTS, NOW))
    assert not list(objections("sese", [*NIGHTS, *_hourly(MOST_OF_DATABASES)], NOW)), "with databases every hour"


@pytest.mark.parametrize(
    ("added", "reported"),
    [
        ([_snapshot(99, NOW + timedelta(hours=1))], "snapshots from the future: id99"),
        ([_snapshot(99, NOW, tags=None)], "snapshots that no run made: id99"),
        ([_snapshot(99, NOW, host="elsewhere")], "snapshots that no run made: id99"),
        ([_snapshot(99 + number, NOW) for number in range(MOST_A_DAY)], f"{MOST_A_DAY + 1} runs on 2026-11-29"),
        (_hourly(MOST_OF_DATABASES + 1), f"{MOST_OF_DATABASES + 1} runs on 2026-11-29"),
    ],
)
def test_what_a_thief_could_have_added_stops_it(added: list[Mapping[str, Any]], reported: str) -> None:
    [problem] = objections("sese", [*NIGHTS, *added], NOW)
    assert reported in problem.what
