"""Certificates as in production: from an ACME authority, with DNS records that OVH publishes as proof.

Renewals under load: tests/prove/test_renewal.py.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from lab import Lab
from lab.layout import DOMAIN
from tests.lab.deployment import Deployment
from tests.support.fleets import inputs

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
    """The certificate that a client gets, verified with its machine's root certificates."""

    issuer: str
    serial: str
    names: frozenset[str]

    @classmethod
    def of(cls, shown: Any) -> "Certificate":
        [issuer] = [value for parts in shown["issuer"] for name, value in parts if name == "commonName"]
        return cls(issuer, shown["serialNumber"], frozenset(name for _, name in shown["subjectAltName"]))


def shown(lab: Lab, host: str, *names: str) -> Mapping[str, Certificate]:
    """The certificates of `names` on `host`, as an outsider gets them."""
    asked = json.dumps(dict.fromkeys(names, lab.addresses.on_internet(host)))
    done = lab.outsider.run(["python3", "-c", _SHOWN], input=asked, timeout=120)
    return {name: Certificate.of(certificate) for name, certificate in json.loads(done.stdout).items()}


@pytest.mark.parametrize("host", HOSTS)
def test_every_site_shows_a_certificate_of_the_authority_that_everybody_trusts(deployed: Deployment, host: str) -> None:
    found = shown(deployed.lab, host, *SITES[host])
    assert {certificate.issuer.partition(" CA ")[0] for certificate in found.values()} == {"Pebble Intermediate"}
    below = {name for name in SITES[host] if host == "sese" and name != DOMAIN}
    assert {name: set(certificate.names) for name, certificate in found.items()} == {
        name: {f"*.{DOMAIN}"} if name in below else {name} for name in SITES[host]
    }
