"""Faults of Hetzner's API and servers, with the real engine: errors explain themselves, and the next `up` converges."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab.providers.hetzner import Fault
from tests.engine.rented import Rented
from tests.support.fleets import DUMMY_SECRETS, OPERATOR_CONFIG, PROJECT, inputs
from tests.support.hetzner import PUBLIC_KEY, TOKEN, running
from tests.support.sshd import ADDRESSES, PORT, USER, Sshds, agent


@pytest.fixture
def stack(tmp_path: Path, toolchain: Path) -> Iterator[Rented]:
    with running(action_seconds=0.01) as running_cloud:
        stack = Rented(tmp_path, toolchain, running_cloud)
        stack.want()
        yield stack


def test_a_busy_api_is_asked_again_and_one_out_of_order_is_told(stack: Rented) -> None:
    stack.cloud.faults.append(Fault("POST /v1/servers", 429, "rate_limit_exceeded", headers={"retry-after": "1"}))
    stack.cloud.faults.append(Fault("POST /v1/firewalls", 502, "bad_gateway"))
    stack.cloud.faults.append(Fault("POST /v1/ssh_keys", 503, "unavailable", "maintenance"))
    refused = stack.up(check=False)
    assert "maintenance (unavailable)" in refused
    stack.up()
    assert stack.server()
    asked = stack.cloud.requests.count
    assert (asked("POST /v1/ssh_keys"), asked("POST /v1/firewalls"), asked("POST /v1/servers")) == (2, 2, 2)


def test_what_is_sold_out_after_it_was_asked_for_comes_with_the_next_up(stack: Rented) -> None:
    stack.cloud.sold_out.add(("cx23", "fsn1"))
    refused = stack.up(check=False)
    assert "error during placement (resource_unavailable" in refused
    stack.cloud.sold_out.clear()
    stack.up()
    assert stack.server()


def test_an_action_that_fails_leaves_no_second_server(stack: Rented) -> None:
    stack.cloud.failing_actions["create_server"] = "unavailable"
    refused = stack.up(check=False)
    assert "Action failed: unavailable" in refused
    stack.cloud.failing_actions.clear()
    stack.up()
    stack.up("--refresh", "--expect-no-changes")
    assert stack.outputs()["address"] == stack.server().public_net.ipv4.ip
    assert stack.cloud.requests.count("POST /v1/servers") == 1
    stack.destroy()


def test_a_server_that_never_answers_is_told_after_the_deadline_and_met_by_the_next_up(tmp_path: Path, toolchain: Path) -> None:
    with (
        agent(tmp_path) as (key, environment),
        Sshds(tmp_path) as machines,
        running(0.01, ADDRESSES, machines) as running_cloud,
    ):
        machines.silent = True
        stack = Rented(tmp_path, toolchain, running_cloud)
        stack.environment |= environment
        stack.want(key=key, contact={"user": USER, "port": PORT, "seconds": 4})
        reported = stack.up(check=False)
        assert "SSH has not answered within 4 s; the last try: 127.77.0.1:804: [Errno 111] Connection refused.\n" in reported
        assert "How to fix it: `pulumi up` again waits once more" in reported
        [server] = running_cloud.cloud.project(stack.wanted["token"]).tables["servers"].values()
        machines.silent = False
        machines.boot(server, stack.server().public_net.ipv4.ip)
        stack.up()
        assert stack.server().id == server["id"], "the same server"
        stack.up("--expect-no-changes")
        stack.destroy()


@pytest.fixture
def production(tmp_path: Path, toolchain: Path) -> Iterator[Rented]:
    """The program itself, with `sese` as a rented server; it is refused before any host is asked."""
    with running() as running_cloud:
        stack = Rented(tmp_path, toolchain, running_cloud, "prod")
        shutil.copy(PROJECT / "__main__.py", stack.directory)
        stack.environment["HCLOUD_ENDPOINT"] = running_cloud.endpoint
        (stack.directory / "images.lock.yaml").write_text(
            yaml.safe_dump(dict.fromkeys(inputs("prod").fleet.images(), f"sha256:{'0' * 64}"))
        )
        (stack.directory / "hosts").mkdir()
        (stack.directory / "hosts/prod.known_hosts").write_text(f"seko {PUBLIC_KEY}\n")
        hosts = {"hosts.sese.server.type": "cx43", "hosts.seko.address": "203.0.113.11", "hosts.seko.memoryMib": "2048"}
        hosts["trustedAddresses[0]"] = "203.0.113.7/32"
        stack.configure({**OPERATOR_CONFIG, **hosts}, {**DUMMY_SECRETS, "hcloud_token": TOKEN})
        stack.pulumi("config", "rm", "--path", "vpai:hosts.waza")
        yield stack


def test_before_anything_is_touched_everything_that_the_cloud_would_refuse_is_told(production: Rented) -> None:
    production.cloud.sold_out.add(("cx43", "fsn1"))
    key = (PROJECT / "tests/authorized_keys").read_text().splitlines()[-1]
    known = production.api.ssh_keys.create("laptop", key)
    reported = production.up(check=False)
    assert "nothing has been touched" in reported
    assert "sese: a cx43 in fsn1 cannot be had" in reported
    assert "in fsn1 there are: cx53" in reported
    assert "cx43 is to be had in: hel1, nbg1" in reported
    assert f"hcloud ssh-key delete {known.id}" in reported
    assert production.cloud.inventory(TOKEN) == {"ssh_keys": ["laptop"]}


def test_a_cloud_that_does_not_answer_is_told_before_anything_is_touched(production: Rented) -> None:
    production.cloud.faults.append(Fault("GET /v1/servers", 503, "unavailable", "maintenance", times=99))
    reported = production.up(check=False)
    assert "Hetzner's cloud does not answer: maintenance (unavailable)" in reported
    reported = production.pulumi("up", "--yes", "--skip-preview", check=False, HCLOUD_ENDPOINT="http://127.0.0.1:9/v1").stdout
    assert "Hetzner's cloud does not answer: " in reported
    assert "Traceback" not in reported
