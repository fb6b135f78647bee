"""Where a host's sshd may answer."""

import pytest

from model.host import SSH_PORT, Endpoint, Host

HOST = Host(name="sese", address="203.0.113.10", user="deploy", first_port=2222, mesh_domain="na.vpai.test", memory_mib=1024)


def test_a_host_of_ours_is_asked_in_the_mesh_first_and_a_fresh_one_where_it_was_handed_over() -> None:
    assert [str(endpoint) for endpoint in HOST.endpoints] == ["sese.na.vpai.test:804", "203.0.113.10:804"]
    assert HOST.first_contact == Endpoint(address="203.0.113.10", port=2222)


@pytest.mark.parametrize("address", ["203.0.113.10", ""])
def test_a_host_outside_of_any_mesh_is_asked_in_public_alone(address: str) -> None:
    bare = Host(name="app", address=address, user="deploy", memory_mib=1024)
    assert bare.in_mesh is None
    assert bare.endpoints == (Endpoint(address=address, port=SSH_PORT),)
