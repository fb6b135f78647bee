"""The rendered Caddyfile is understood by the real Caddy, with either kind of certificate."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from model.network import MESH
from model.service import Access, Site
from services.caddy.caddyfile import AcmeOverOvh, OwnAuthority, render

SITES = (
    Site(host="llm.vpai.test", upstream="litellm", port=4000, access=Access.VPN, reason=""),
    Site(host="open.vpai.test", upstream="other", port=80, access=Access.PUBLIC, reason="shown to the world"),
)
ISSUERS = [
    AcmeOverOvh(email="ops@example.org", credentials="/etc/caddy/current"),
    OwnAuthority(certificate="/a.crt", key="/a.key"),
]


@pytest.fixture(params=ISSUERS, ids=lambda issuer: type(issuer).__name__)
def adapted(request: pytest.FixtureRequest, toolchain: Path, tmp_path: Path) -> Any:
    file = tmp_path / "Caddyfile"
    file.write_text(render(SITES, request.param, [MESH]))
    done = subprocess.run([toolchain / "bin/caddy", "adapt", "--config", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def handlers(adapted: Any, host: str) -> list[Any]:
    """What happens to a request for `host`, in the order Caddy runs it."""
    routes = [route for server in adapted["apps"]["http"]["servers"].values() for route in server["routes"]]
    [route] = [route for route in routes if {"host": [host]} in route.get("match", [])]

    def flatten(routes: list[Any]) -> list[Any]:
        found: list[Any] = []
        for route in routes:
            for handler in route["handle"]:
                found += flatten(handler["routes"]) if handler["handler"] == "subroute" else [(route.get("match"), handler)]
        return found

    return flatten([route])


def test_a_vpn_site_refuses_outsiders_before_anything_answers(adapted: Any) -> None:
    steps = handlers(adapted, "llm.vpai.test")
    kinds = [handler["handler"] for _, handler in steps]
    refusal = kinds.index("error")
    assert steps[refusal][0] == [{"not": [{"remote_ip": {"ranges": ["100.64.0.0/10"]}}]}]
    assert steps[refusal][1]["status_code"] == 403
    assert set(kinds[:refusal]) <= {"headers"}
    assert kinds.index("reverse_proxy") > refusal


def test_a_public_site_answers_everybody(adapted: Any) -> None:
    assert "error" not in [handler["handler"] for _, handler in handlers(adapted, "open.vpai.test")]


def test_no_proxy_is_trusted_with_the_clients_address(adapted: Any) -> None:
    assert "trusted_proxies" not in json.dumps(adapted)
