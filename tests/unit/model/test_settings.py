"""A setting that is wrong is told with the command that sets it right."""

from typing import Any

import pytest

from model.problem import Problem, Refused
from model.settings import Settings

SOUND: dict[str, Any] = {
    "kind": "production",
    "domain": "vpai.example.org",
    "hosts": {"sese": {"address": "203.0.113.10", "memoryMib": 11264}},
    "knownHosts": "hosts/prod.known_hosts",
    "authorizedKeys": "hosts/prod.authorized_keys",
}
SERVERS = '{"sese": {"address": "203.0.113.10", "memoryMib": 11264, "roles": ["stack", "hub"]}}'
HUB = '{"seko": {"address": "203.0.113.11", "memoryMib": 2048, "roles": ["hub"]}}'


def problem(stack: str = "prod", **changes: Any) -> Problem:
    with pytest.raises(Refused) as caught:
        Settings.parse({**SOUND, **changes}, stack)
    [found] = caught.value.problems
    return found


def test_what_is_left_empty_takes_its_default() -> None:
    assert Settings.parse({**SOUND, "project": "", "timezone": None}, "prod") == Settings.parse(SOUND, "prod")


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({"domain": "no dots"}, "pulumi config set -s prod 'vpai:domain' 'vpai.example.org'"),
        ({"domain": None}, "pulumi config set -s prod 'vpai:domain' 'vpai.example.org'"),
        ({"vpnCidrs": ["100.64.0.0/33"]}, "pulumi config set -s prod --path 'vpai:vpnCidrs[0]' '100.64.0.0/10'"),
        ({"hosts": {"sese": {"address": "a"}}}, "pulumi config set -s prod --path 'vpai:hosts.sese.memoryMib' '11264'"),
        ({"hosts": {"sese": {"memoryMib": 2048}}}, "pulumi config set -s prod --path 'vpai:hosts.sese.address' '203.0.113.10'"),
        (
            {"hosts": {"sese": {"address": "a", "memoryMib": 2048, "firstPort": 0}}},
            "pulumi config set -s prod --path 'vpai:hosts.sese.firstPort' '22'",
        ),
        (
            {"hosts": {"sese": {"address": "a", "memoryMib": 2048, "server": {}}}},
            "set each member with `pulumi config set -s prod --path`; or write in Pulumi.prod.yaml: vpai:hosts.sese.server: {}",
        ),
    ],
)
def test_the_command_that_sets_it_right_is_told(changes: dict[str, Any], command: str) -> None:
    assert problem(**changes).fix == command


@pytest.mark.parametrize(("kind", "example"), [("production", SERVERS), ("lab", SERVERS), ("copy", HUB)])
def test_hosts_are_shown_as_the_kind_of_stack_has_them(kind: str, example: str) -> None:
    stack = "any"
    assert problem(stack, kind=kind, hosts=None).fix.endswith(f"in Pulumi.{stack}.yaml: vpai:hosts: {example}")
    assert problem(stack, kind=kind, domain=None).fix == f"pulumi config set -s {stack} 'vpai:domain' 'vpai.example.org'"


def test_what_is_no_setting_is_told_with_those_that_there_are() -> None:
    found = problem(domian="x")
    assert found.what == "vpai:domian is not a setting"
    assert "kind, project, domain, subdomains, hosts, knownHosts, " in found.fix
    assert found.example == "pulumi config rm -s prod --path 'vpai:domian'"
    found = problem(hosts={"sese": {"address": "a", "memoryMib": 2048, "adress": "b"}})
    assert found.what == "vpai:hosts.sese.adress is not a setting"
    assert "roles, mesh, address, server, firstUser, " in found.fix


def test_a_value_is_told_with_what_is_wrong_about_it_and_what_it_is_for() -> None:
    found = problem(revertSeconds=5)
    assert found.what == "vpai:revertSeconds = 5: Input should be greater than or equal to 10"
    assert found.why == "after how long a change of SSH or firewall that nobody confirmed goes back"
    assert problem(domain=None).what == "vpai:domain is missing"


def test_a_host_that_is_no_mapping_is_told_as_that_host() -> None:
    assert problem(hosts={"sese": "somewhere"}).what.startswith("vpai:hosts.sese = 'somewhere': ")
