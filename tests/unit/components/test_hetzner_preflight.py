"""What is said about servers and keys before anything is touched."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network

import pytest
from hcloud import Client
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType

from components.hetzner.cloud_init import user_data
from components.hetzner.preflight import problems
from model import cloud
from model.cloud import CloudServer
from stacks import rented
from tests.graph.program import built
from tests.support.fleets import RENTED_COPY, RENTED_HOST, inputs
from tests.support.hetzner import PUBLIC_KEY, TOKEN, RunningCloud, running


@pytest.fixture
def there() -> Iterator[RunningCloud]:
    with running() as found:
        yield found


def reported(there: RunningCloud, *servers: CloudServer, token: str = TOKEN) -> list[str]:
    client = Client(token=token, api_endpoint=there.endpoint)
    return [str(problem) for problem in problems(client, servers, key_name="app-deploy", public_key=f"{PUBLIC_KEY} me@here")]


def test_what_can_be_had_is_no_problem(there: RunningCloud) -> None:
    assert reported(there, CloudServer(name="app-01"), CloudServer(name="app-02", type="cax11", location="nbg1")) == []


def test_a_sold_out_type_is_told_with_what_there_is_instead(there: RunningCloud) -> None:
    there.cloud.sold_out.add(("cx23", "fsn1"))
    (said,) = reported(there, CloudServer(name="app-01"))
    assert "a cx23 in fsn1 cannot be had" in said
    assert "sold out" in said
    assert "cx33" in said
    assert "cax21" not in said, "of another architecture"
    assert "hel1, nbg1" in said


def test_a_server_that_stands_needs_no_stock(there: RunningCloud) -> None:
    client = Client(token=TOKEN, api_endpoint=there.endpoint)
    client.servers.create("app-01", ServerType(name="cx23"), Image(name="debian-13"), location=Location(name="fsn1"))
    there.cloud.sold_out.add(("cx23", "fsn1"))
    assert reported(there, CloudServer(name="app-01")) == []


@pytest.mark.parametrize(("kind", "why"), [("cx22", "does not sell it any more"), ("cx99", "no such type")])
def test_a_type_that_is_gone_is_told(there: RunningCloud, kind: str, why: str) -> None:
    (said,) = reported(there, CloudServer(name="app-01", type=kind))
    assert why in said
    assert "cx23" in said


def test_a_key_under_another_name_is_told_with_the_command_that_makes_room(there: RunningCloud) -> None:
    key = Client(token=TOKEN, api_endpoint=there.endpoint).ssh_keys.create("laptop", PUBLIC_KEY)
    (said,) = reported(there)
    assert "'laptop'" in said
    assert f"hcloud ssh-key delete {key.id}" in said


@pytest.fixture
def wired(there: RunningCloud, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What is said of a whole stack, as an `up` asks it."""
    monkeypatch.setenv("HCLOUD_ENDPOINT", there.endpoint)

    def problems_of(stack: str, **changes: str) -> list[str]:
        return [str(problem) for problem in rented.problems(inputs(stack, **changes))]

    return problems_of


def test_the_key_that_production_makes_servers_with_is_the_one_that_is_asked_about(
    there: RunningCloud, wired: Callable[..., list[str]]
) -> None:
    production = inputs("prod", **RENTED_HOST)
    [registered] = built("prod", **RENTED_HOST).of_type("hcloud:index/sshKey:SshKey")
    keys = Client(token=TOKEN, api_endpoint=there.endpoint).ssh_keys
    key = keys.create(registered.inputs["name"], production.deploy_key)
    assert wired("prod", **RENTED_HOST) == []
    key.delete()
    keys.create("laptop", production.deploy_key)
    (said,) = wired("prod", **RENTED_HOST)
    assert "'laptop'" in said
    assert f"which becomes {registered.inputs['name']}," in said


def test_a_copy_that_makes_its_own_key_minds_nobody_elses(there: RunningCloud, wired: Callable[..., list[str]]) -> None:
    Client(token=TOKEN, api_endpoint=there.endpoint).ssh_keys.create("laptop", inputs("prod").deploy_key)
    assert wired("preprod", **RENTED_COPY) == []


def test_the_servers_of_the_stack_are_asked_about(there: RunningCloud, wired: Callable[..., list[str]]) -> None:
    [server] = [placement.host.rented for placement in inputs("prod", **RENTED_HOST).fleet.placements if placement.host.rented]
    there.cloud.sold_out.add((server.type, server.location))
    (said,) = wired("prod", **RENTED_HOST)
    assert f"a {server.type} in {server.location} cannot be had" in said


def test_the_project_of_the_stacks_token_is_asked(there: RunningCloud, wired: Callable[..., list[str]]) -> None:
    another = "u" * len(TOKEN)
    Client(token=another, api_endpoint=there.endpoint).ssh_keys.create("laptop", inputs("prod").deploy_key)
    assert wired("prod", **RENTED_HOST) == []
    (said,) = wired("prod", **{**RENTED_HOST, "hcloud_token": another})
    assert "'laptop'" in said


def test_a_wrong_token_is_told(there: RunningCloud) -> None:
    (said,) = reported(there, token="wrong")
    assert "unable to authenticate" in said


@pytest.mark.parametrize(
    ("server", "what"),
    [
        (CloudServer(name="App_01"), "cannot be a server's name"),
        (CloudServer(name="a", labels={"branch": "feature/x"}), "cannot be the value of the label branch"),
        (CloudServer(name="a", labels={"expires": "2026-11-23T02:55:00Z"}), "cannot be the value"),
        (CloudServer(name="a", labels={"-key": ""}), "cannot be the key"),
        (CloudServer(name="a", private_address=IPv4Address("10.0.0.2")), "not in the private network"),
    ],
)
def test_what_the_api_would_refuse_is_told_before(server: CloudServer, what: str) -> None:
    (problem,) = cloud.problems((server,))
    assert what in problem.what
    assert problem.why
    assert problem.fix


@pytest.mark.parametrize("labels", [{"env": ""}, {"example.org/env": "prod"}, {"a": "x" * 63}])
def test_labels_that_the_api_takes_pass(labels: dict[str, str]) -> None:
    assert list(cloud.label_problems("a", labels)) == []


@pytest.mark.parametrize("network", ["100.64.0.0/24", "172.20.0.0/24"])
def test_a_private_network_stays_clear_of_the_mesh_and_of_docker(network: str) -> None:
    assert any("overlaps" in problem.what for problem in cloud.problems((), IPv4Network(network)))


def test_cloud_init_is_told_the_host_key_and_nothing_else_of_worth() -> None:
    assert user_data("PRIVATE").count("PRIVATE") == 1
    assert "password" not in user_data("KEY")


def test_the_key_that_the_stack_made_is_no_hindrance_to_its_next_up(there: RunningCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the wiring: the name that is asked for is the one under which the program registers the key."""
    monkeypatch.setenv("HCLOUD_ENDPOINT", there.endpoint)
    deployed = inputs("prod", **{**RENTED_HOST, "hcloud_token": TOKEN})
    assert list(rented.problems(deployed)) == []
    (registered,) = [
        resource for resource in built("prod", **RENTED_HOST).resources if resource.type == "hcloud:index/sshKey:SshKey"
    ]
    Client(token=TOKEN, api_endpoint=there.endpoint).ssh_keys.create(registered.inputs["name"], registered.inputs["publicKey"])
    assert list(rented.problems(deployed)) == []
