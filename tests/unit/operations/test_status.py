"""`make status`: one line a service, what is wrong with it, and the same as JSON."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from components.docker.docker_host import LABEL_SERVICE
from operations import __main__ as operations
from operations.deploy import status
from operations.deploy.status import Deployed, Host, Row, deployed, in_use, rows, summary
from operations.table import collected, table
from tests.support.fleets import PROJECT

GIB = 2**30
IDS = {name: name[0] * 64 for name in ("redis", "n8n", "loki")}
IMAGES = {("sese", name): (f"registry/{name}:1.2", f"registry/{name}@sha256:1") for name in IDS}
STATE = {
    ("sese", name): Deployed(container=identity, image=f"registry/{name}@sha256:1", memory_mib=1024)
    for name, identity in IDS.items()
}


def container(
    name: str, health: str = "healthy", *, identity: str = "", memory: int = GIB, running: bool = True
) -> Mapping[str, Any]:
    return {
        "Id": identity or IDS[name],
        "Config": {"Labels": {LABEL_SERVICE: name}},
        "State": {
            "Running": running,
            "Status": "running" if running else "exited",
            "StartedAt": "2026-11-30T16:00:00.1Z",
            "Health": {"Status": health},
        },
        "HostConfig": {"Memory": memory},
        "RestartCount": 0,
    }


def seen(*containers: Mapping[str, Any], memory: Mapping[str, int] | None = None, state: Any = None) -> list[Row]:
    host = Host(name="sese", containers=containers, memory=memory or {})
    return list(rows([host], STATE if state is None else state, IMAGES))


WELL = tuple(container(name) for name in IDS)


def test_a_service_that_is_as_it_was_deployed_is_a_green_line_with_its_tag_and_memory() -> None:
    found = seen(*WELL, memory={IDS["redis"]: GIB // 2})
    assert [row.cells[1] for row in found] == ["loki", "n8n", "redis"]
    assert found[-1].cells == ("sese", "redis", "1.2", "healthy", "2026-11-30 16:00", "0", "512 of 1024 MiB", "")
    assert found[0].cells[6] == "1024 MiB", "nobody says what it uses"
    assert {row.colour for row in found} == {status._GREEN}
    assert summary(found, 1, []) == "3 services on 1 hosts, all well, none differs from the state"


@pytest.mark.parametrize(
    ("changed", "health", "difference", "colour"),
    [
        (container("redis", "unhealthy"), "unhealthy", "", status._RED),
        (container("redis", running=False), "exited", "", status._RED),
        (container("redis", identity="f" * 64), "healthy", "a container that the state does not know", status._YELLOW),
        (container("redis", memory=2 * GIB), "healthy", "limit 1024 MiB", status._YELLOW),
    ],
    ids=["unhealthy", "stopped", "made by hand", "another limit"],
)
def test_what_is_wrong_with_a_service_is_in_its_line(
    changed: Mapping[str, Any], health: str, difference: str, colour: str
) -> None:
    [row] = [row for row in seen(changed, state={("sese", "redis"): STATE["sese", "redis"]}) if row.cells[3] == health]
    assert (row.cells[7], row.colour) == (difference, colour)


def test_a_container_that_is_gone_has_a_line_too() -> None:
    gone = [row for row in seen(*WELL[1:]) if not row.well]
    assert [row.cells[:4] for row in gone] == [("sese", "redis", "1.2", "gone")]
    assert summary(gone, 2, ["seko"]) == "1 services on 2 hosts, 1 not well, 1 differ from the state, seko does not answer"


def test_a_checkout_with_another_image_says_so_and_shows_no_tag() -> None:
    """The tag is this checkout's, and what runs is another one."""
    [row] = seen(container("redis"), state={("sese", "redis"): Deployed(container=IDS["redis"], image="old", memory_mib=1024)})
    assert (row.cells[2], row.cells[7]) == ("-", "another image than this checkout's")


def test_who_is_near_its_limit_is_yellow() -> None:
    shares = (0.5, 0.89, 0.91, 1.0)
    colours = [seen(WELL[0], memory={IDS["redis"]: int(GIB * share)}, state=STATE)[0].colour for share in shares]
    assert colours == [status._GREEN, status._GREEN, status._YELLOW, status._YELLOW]


def test_memory_is_read_as_docker_writes_it() -> None:
    ids = [letter * 64 for letter in "abcd"]
    amounts = ("17.5MiB / 128MiB", "1.25GiB / 2GiB", "0B / 0B", "-- / --")
    assert in_use("\n".join(f"{identity} {amount}" for identity, amount in zip(ids, amounts, strict=True))) == {
        ids[0]: 18350080,
        ids[1]: 1342177280,
        ids[2]: 0,
    }


def test_the_state_is_read_as_the_engine_exports_it() -> None:
    urn = "urn:pulumi:lab::vpai::x::seko-docker-proxy"
    labels = [{"label": "vpai.stack", "value": "lab"}, {"label": LABEL_SERVICE, "value": "docker-proxy"}]
    resources = [
        {"type": "docker:index/remoteImage:RemoteImage", "urn": urn, "inputs": {"name": "proxy@sha256:1"}},
        {"type": "docker:index/container:Container", "urn": urn, "id": "ab", "inputs": {"labels": labels, "memory": 32}},
    ]
    assert deployed({"deployment": {"resources": resources}}) == {
        ("seko", "docker-proxy"): Deployed(container="ab", image="proxy@sha256:1", memory_mib=32)
    }
    assert deployed({"deployment": {}}) == {}


def test_every_table_of_a_command_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> int:
        print(table(("", "host"), [("ok", "sese")]))
        print("\n1 of 1 checks passed")
        return 3

    assert operations._as_json(run) == 3
    reported = json.loads(capsys.readouterr().out)
    assert reported == {"exit": 3, "tables": [[{"result": "ok", "host": "sese"}]], "text": "1 of 1 checks passed"}
    assert table(("host",), [("sese",)]) == "host\n----\nsese"
    with collected() as tables:
        table(("host",), iter([("sese",)]))
    assert tables == [[{"host": "sese"}]]


def test_each_command_whose_result_is_a_table_takes_json() -> None:
    parser = operations._parser()
    for name in operations.TABLES:
        assert parser.parse_args([name, "--stack", "lab", "--json"]).json
    with pytest.raises(SystemExit):
        parser.parse_args(["recover", "--stack", "lab", "--json"])
    makefile = (PROJECT / "Makefile").read_text()
    assert set(re.findall(r"-m operations (\w+) .*--json", makefile)) == set(operations.TABLES)
