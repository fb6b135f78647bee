"""The baseline of a host."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.host import docker_daemon, hardening, sysctl
from components.host.baseline import Baseline, baseline
from components.host.control import Deviation
from model.host import DEPLOY_UID
from model.network import DOCKER_POOL
from model.problem import Refused

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILg7F3+j46hq0MgNVhuGW63tdNpgZLqVh5LC/2SOhv6P someone@laptop"
GOOD: dict[str, Any] = {"user": "deploy", "authorized_keys": [KEY], "timezone": "Europe/Paris", "docker": True}


def content(wanted: Baseline, path: str) -> str:
    return next(file.content for file in wanted.files if file.path == path)


def test_the_payload_has_every_file_and_key() -> None:
    wanted = baseline(**GOOD, dns=["192.0.2.1"])
    lines = [line.split(" ") for line in wanted.payload().splitlines()]
    files = {words[2]: base64.b64decode(words[3]).decode() for words in lines if words[0] == "file"}
    assert files == {file.path: file.content for file in wanted.files}
    user = next(words for words in lines if words[0] == "user")
    assert user[1:4] == ["deploy", str(DEPLOY_UID), "docker"]
    assert base64.b64decode(user[4]).decode() == KEY + "\n"


def test_the_payload_is_the_same_for_the_same_settings() -> None:
    assert baseline(**GOOD).payload() == baseline(**GOOD).payload()


def test_a_host_without_containers_has_no_docker() -> None:
    wanted = baseline(**{**GOOD, "docker": False})
    assert not wanted.groups
    assert "docker" not in " ".join([*wanted.packages, *wanted.packages_if_known, *wanted.units])
    assert docker_daemon.PATH not in {file.path for file in wanted.files}
    assert wanted.sysctls["net.ipv4.ip_forward"] == "0"


def test_forwarding_comes_first_because_it_resets_others() -> None:
    assert next(iter(baseline(**GOOD).sysctls)) == "net.ipv4.ip_forward"


def test_network_and_kernel_parameters_do_not_mix() -> None:
    wanted = baseline(**GOOD)
    assert all(key.startswith("net.") for key in wanted.sysctls)
    assert not any(key.startswith("net.") for key in wanted.kernel_sysctls)


def test_linux_baseline_is_met_or_waived() -> None:
    numbers = {control.removeprefix("sysctl-")[:2] for control in (*sysctl.NETWORK_CONTROLS, *sysctl.KERNEL_CONTROLS)}
    assert numbers == {f"{number:02}" for number in range(1, 35) if number != 18}


def test_cis_section_2_is_met_or_waived() -> None:
    assert set(docker_daemon.CONTROLS) == {f"2.{number}" for number in range(1, 19)}


WAIVED = {
    name: control
    for controls in (docker_daemon.CONTROLS, sysctl.NETWORK_CONTROLS, sysctl.KERNEL_CONTROLS)
    for name, control in controls.items()
    if isinstance(control, Deviation)
}


@pytest.mark.parametrize("waiver", WAIVED.values(), ids=WAIVED)
def test_deviations_give_reasons(waiver: Deviation) -> None:
    assert waiver.reason


def test_the_daemons_networks_are_clear_of_the_declared_ones() -> None:
    daemon = json.loads(docker_daemon.daemon_json(["192.0.2.1"]).content)
    assert daemon["default-address-pools"] == [{"base": str(DOCKER_POOL), "size": 24}]
    assert daemon["dns"] == ["192.0.2.1"]
    assert "ip6tables" not in daemon
    assert "dns" not in json.loads(docker_daemon.daemon_json([]).content)


def test_a_host_restarts_itself_only_in_its_window() -> None:
    path = "/etc/apt/apt.conf.d/60-vpai-upgrades"
    assert 'Automatic-Reboot "false"' in content(baseline(**GOOD), path)
    assert 'Automatic-Reboot-Time "04:30"' in content(baseline(**GOOD, reboot_window="04:30"), path)


def test_the_mesh_and_trusted_addresses_are_never_banned() -> None:
    jail = content(baseline(**GOOD, trusted=["203.0.113.7"]), "/etc/fail2ban/jail.d/60-vpai.local")
    assert "ignoreip = 127.0.0.0/8 ::1 100.64.0.0/10 203.0.113.7\n" in jail


@pytest.mark.parametrize(
    ("setting", "value", "reported"),
    [
        ("user", "root", "the deploy user 'root'"),
        ("authorized_keys", [], "no authorized key"),
        ("authorized_keys", ["ssh-ed25519"], "is not a whole public key"),
        ("authorized_keys", [f'command="x" {KEY}'], "options in front"),
        ("authorized_keys", [f"{KEY}\n{KEY}"], "has blanks or a line's end around it"),
        ("timezone", "paris; reboot", "is not a time zone"),
        ("reboot_window", "25:00", "is not a time of day"),
        ("dns", ["dns.example.org"], "is not an address"),
        ("trusted", ["203.0.113.7/24"], "neither an address nor a range"),
    ],
)
def test_what_would_lock_out_or_break_is_refused(setting: str, value: object, reported: str) -> None:
    with pytest.raises(Refused, match=reported.replace("(", r"\(")):
        baseline(**{**GOOD, setting: value})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(Refused, match="3 problems"):
        baseline(user="root", authorized_keys=[], timezone="?", docker=True)


def test_a_files_digest_follows_its_content() -> None:
    file = baseline(**GOOD).files[0]
    assert file.sha256 != replace(file, content="").sha256


def test_the_page_on_hardening_is_what_the_controls_say() -> None:
    """Write it with `python -m components.host.hardening`."""
    assert (Path(__file__).parents[3] / hardening.DOCUMENT).read_text() == hardening.document()
