"""Certificates as production has them: asked of an ACME authority, proved by records that OVH publishes."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from lab.layout import DOMAIN
from tests.fleets import inputs
from tests.lab.deployment import Deployment
from tests.lab.test_monitoring import SCRAPED, TELEGRAM, Grafana, curl, messages, rule_engine
from tests.waiting import until

HOSTS = ("sese", "seko")
SITES = {
    placement.host.name: [
        site.host.replace("vpai.example.org", DOMAIN)
        for service in placement.services
        if service.configuration
        for site in service.configuration.sites
    ]
    for placement in inputs("prod").fleet.placements
}
OVH = "https://eu.api.ovh.com/__lab"
RENEWED = 60
"""Seconds in which what is due is renewed: Caddy looks every 15, and the proof takes a few."""
RETRIED = 330
"""Seconds in which what was refused is renewed: Caddy waits 1, 2, 2, then 5 minutes from one attempt to the next."""

_SHOWN = """
import json, socket, ssl, sys

shown = {}
for name, address in json.load(sys.stdin).items():
    with socket.create_connection((address, 443), timeout=10) as plain:
        with ssl.create_default_context().wrap_socket(plain, server_hostname=name) as secured:
            shown[name] = secured.getpeercert()
print(json.dumps(shown))
"""


@dataclass(frozen=True)
class Certificate:
    """What a visitor is shown, and verified with the roots of his machine."""

    issuer: str
    serial: str
    names: frozenset[str]

    @classmethod
    def of(cls, shown: Any) -> "Certificate":
        [issuer] = [value for parts in shown["issuer"] for name, value in parts if name == "commonName"]
        return cls(issuer, shown["serialNumber"], frozenset(name for _, name in shown["subjectAltName"]))


def shown(lab: Lab, host: str, *names: str) -> Mapping[str, Certificate]:
    """The certificates of `names` on `host`, as an outsider sees them."""
    asked = json.dumps(dict.fromkeys(names, lab.addresses.on_internet(host)))
    done = lab.outsider.run(["python3", "-c", _SHOWN], input=asked, timeout=120)
    return {name: Certificate.of(each) for name, each in json.loads(done.stdout).items()}


@pytest.mark.parametrize("host", HOSTS)
def test_every_site_shows_a_certificate_of_the_authority_that_everybody_trusts(deployed: Deployment, host: str) -> None:
    found = shown(deployed.lab, host, *SITES[host])
    assert {each.issuer.partition(" CA ")[0] for each in found.values()} == {"Pebble Intermediate"}
    below = {name for name in SITES[host] if host == "sese" and name != DOMAIN}
    assert {name: set(each.names) for name, each in found.items()} == {
        name: {f"*.{DOMAIN}"} if name in below else {name} for name in SITES[host]
    }


@contextmanager
def caddy(stack: Deployment, *changes: tuple[str, str]) -> Iterator[None]:
    """Sese's Caddy on its own Caddyfile with changes, and on its own again afterwards."""
    container = stack.container("caddy")
    text = stack.on_host("docker", "exec", container, "cat", "/etc/caddy/current/Caddyfile")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    load = "cat >/tmp/Caddyfile && caddy reload --force --adapter caddyfile --config /tmp/Caddyfile"
    stack.on_host("docker", "exec", "-i", container, "sh", "-c", load, input=text)
    try:
        yield
    finally:
        stack.on_host("docker", "exec", container, "caddy", "reload", "--force", "--config", "/etc/caddy/current/Caddyfile")


HURRY = ("renew_interval 15s", "renew_interval 15s\n\trenewal_window_ratio 0.999999")
"""What is renewed after 60 days is renewed after eight seconds."""
BRIEF = ("renew_interval 15s", "renew_interval 15s\n\tcert_lifetime 1h")
SECRET = "{file./etc/caddy/current/ovh-application-secret}"
NAME = f"llm.{DOMAIN}"


def test_a_renewal_fails_nobody_and_one_that_ovh_refuses_leaves_the_old_certificate_and_is_told(
    deployed: Deployment, tmp_path: Path
) -> None:
    lab = deployed.lab

    def serial() -> str:
        return shown(lab, "sese", NAME)[NAME].serial

    def renewed(since: str, within: int = RENEWED) -> None:
        until(lambda: serial() != since, within, told=lambda: deployed.operate("logs", "caddy").stdout[-3000:])

    first = serial()
    curl(lab, f"{OVH}/published", 'request = "DELETE"')
    try:
        with deployed.requests() as statuses, caddy(deployed, HURRY, BRIEF):
            renewed(since=first)
        assert len(statuses) > 20
        assert set(statuses) == {"200"}
        assert {record["sub_domain"] for record in json.loads(curl(lab, f"{OVH}/published"))} == {"_acme-challenge"}

        brief = serial()
        curl(lab, f"{OVH}/requests", 'request = "DELETE"')
        with caddy(deployed, HURRY, BRIEF, (SECRET, "0" * 32)):
            until(lambda: 400 in refusals(lab), RENEWED, told=lambda: str(refusals(lab)))
            assert refusals(lab) == {400}
            assert serial() == brief
            # An hour is less than two weeks: who was not renewed in time looks like this one.
            grafana = Grafana(lab, deployed.secrets["grafana_admin_password"])
            curl(lab, TELEGRAM, 'request = "DELETE"')
            with rule_engine(deployed, grafana, "sese-caddy-certificate", tmp_path):
                deployed.on_host("docker", "restart", deployed.container("alloy"))  # it asks every five minutes
                until(lambda: messages(deployed) != [], SCRAPED, every=1.0, told=lambda: "nobody was told")
            assert messages(deployed)[0]["text"].startswith("FIRING [critical] a certificate of sese's Caddy runs out")
            with deployed.requests() as statuses:
                assert serial() == brief
        assert set(statuses) <= {"200"}
    finally:
        last = serial()
        with caddy(deployed, HURRY):
            renewed(since=last, within=RETRIED)


def refusals(lab: Lab) -> set[int]:
    """The statuses of what OVH refused."""
    logged = json.loads(curl(lab, f"{OVH}/requests"))
    return {each["status"] for each in logged if each["host"] == "eu.api.ovh.com" and each["status"] >= 400}
