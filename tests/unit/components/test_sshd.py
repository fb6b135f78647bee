"""The sshd drop-in against dev-sec's ssh-baseline."""

import pytest

from components.host.control import Deviation, Inherent, settings
from components.host.release import Release
from components.host.sshd import CONTROLS, drop_in, effective, socket_drop_in


def directives(release: Release = Release.DEBIAN_13) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in drop_in((804,), "deploy", release, ("203.0.113.7",)).content.splitlines():
        if not line.startswith("#"):
            key, _, value = line.partition(" ")
            found.setdefault(key, []).append(value)
    return found


def test_every_control_of_the_baseline_is_met_or_waived() -> None:
    assert set(CONTROLS) == {f"sshd-{number:02}" for number in range(1, 51) if number != 26}


def test_what_a_control_sets_stands_in_the_drop_in_once() -> None:
    found = directives()
    for key, value in settings(CONTROLS).items():
        assert found[key] == [value]


def test_who_waives_or_inherits_gives_a_reason() -> None:
    for control in CONTROLS.values():
        if isinstance(control, Inherent | Deviation):
            assert control.reason
        assert not (isinstance(control, Inherent) and hasattr(control, "values"))


def test_only_the_deploy_user_logs_in_and_root_never() -> None:
    found = directives()
    assert found["AllowUsers"] == ["deploy"]
    assert found["PermitRootLogin"] == ["no"]
    assert found["AuthorizedKeysFile"] == [".ssh/authorized_keys"]


@pytest.mark.parametrize("release", Release)
def test_key_exchange_is_hybrid_post_quantum(release: Release) -> None:
    for name in directives(release)["KexAlgorithms"][0].split(","):
        assert name.startswith(("mlkem768x25519", "sntrup761x25519"))


def test_the_mesh_and_trusted_addresses_are_never_penalized() -> None:
    assert directives()["PerSourcePenaltyExemptList"] == ["127.0.0.0/8,::1/128,100.64.0.0/10,203.0.113.7"]


def test_openssh_9_6_gets_no_option_it_does_not_know() -> None:
    assert "PerSourcePenaltyExemptList" not in directives(Release.UBUNTU_24_04)
    assert "mlkem" not in str(directives(Release.UBUNTU_24_04))


def test_no_second_sftp_subsystem() -> None:
    """A second definition stops OpenSSH before 9.5, and sshd_config has one."""
    assert "Subsystem" not in directives()


def test_the_effective_configuration_joins_repeated_keys() -> None:
    found = effective((22, 804), "deploy")
    assert found["port"] == "22 804"
    assert found["listenaddress"] == "0.0.0.0:22 0.0.0.0:804 [::]:22 [::]:804"
    assert found["kbdinteractiveauthentication"] == "no"
    assert all(key == key.lower() for key in found)


def test_a_socket_listens_on_our_ports_only() -> None:
    assert socket_drop_in((804,)).content.splitlines() == [
        "[Socket]",
        "ListenStream=",
        "ListenStream=0.0.0.0:804",
        "ListenStream=[::]:804",
        "BindIPv6Only=ipv6-only",
    ]
