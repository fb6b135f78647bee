"""What `tailscale status --json` shows becomes the reason of an error."""

import pytest

from components.mesh.mesh_status import explain

SESE = {"DNSName": "sese.na.vpai.test.", "Online": True}


@pytest.mark.parametrize(
    ("status", "reported"),
    [
        ({"BackendState": "Stopped"}, "this machine is out of the mesh: it is Stopped"),
        ({"BackendState": "NeedsLogin", "Self": {"Expired": True}}, "its key has expired (make renew)"),
        ({"BackendState": "Running", "Peer": None}, "is shown no member sese"),
        ({"BackendState": "Running", "Peer": {"k": SESE | {"Expired": True}}}, "the key of sese has expired (make renew)"),
        ({"BackendState": "Running", "Peer": {"k": SESE | {"Online": False}}}, "sese is offline there"),
        ({"BackendState": "Running", "Peer": {"k": SESE}}, "sese are both in the mesh"),
    ],
)
def test_trouble_is_told_in_one_sentence(status: dict[str, object], reported: str) -> None:
    assert reported in explain(status, "sese")
