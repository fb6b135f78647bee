"""The text of the Caddyfile, site by site; tests/engine/test_caddyfile.py asks Caddy itself."""

import re

import pytest

from model.network import MESH
from model.route import Access, Site
from services.caddy.caddyfile import AcmeOverOvh, render
from tests.support.fleets import inputs

TLS = AcmeOverOvh(email="ops@example.org", credentials="/etc/caddy/credentials")
SITES = [
    pytest.param(site, render([site], TLS, (MESH,)), id=f"{placement.host.name}-{site.host}")
    for placement in inputs("prod").fleet.placements
    for site in placement.sites()
]


def block(name: str, text: str) -> str:
    """A site's part of the file, or a snippet's."""
    [found] = re.findall(rf"^{re.escape(name)} \{{$.*?^\}}$", text, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize(("site", "text"), SITES)
def test_strangers_are_refused_before_anything_else_and_let_in_to_declared_paths_alone(site: Site, text: str) -> None:
    steps = [line.strip() for line in block(site.host, text).partition("route {")[2].splitlines()[1:]]
    public = site.paths(Access.PUBLIC)
    allowed = [f"not path {' '.join(public)}"] if public else []
    assert steps[: 4 + len(allowed)] == ["@strangers {", f"not remote_ip {MESH}", *allowed, "}", "error @strangers 403"]


@pytest.mark.parametrize(("site", "text"), SITES)
def test_what_failed_is_logged_without_headers_and_queries(site: Site, text: str) -> None:
    logged = block("(failures)", text)
    hidden = ("request>headers delete", r"request>uri regexp `\?.*` ``", "resp_headers delete")
    assert [line for line in hidden if line not in logged] == []
    assert "import failures" in block(site.host, text)
