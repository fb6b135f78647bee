"""Certificates renewed under the deployed stack: no visitor fails; one that OVH refuses is told of, and the old one serves on."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import Lab
from lab.layout import DOMAIN
from tests.lab.deployment import Deployment
from tests.lab.test_certificates import shown
from tests.lab.test_monitoring import SCRAPED, TELEGRAM, Grafana, curl, messages, rule, rule_engine
from tests.support.waiting import until

OVH = "https://eu.api.ovh.com/__lab"
RENEWED = 60
"""Seconds in which what is due is renewed: Caddy looks every 15, and the proof takes a few."""
RETRIED = 330
"""Seconds in which what was refused is renewed: Caddy waits 1, 2, 2, then 5 minutes from one attempt to the next."""


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
        until(lambda: serial() != since, within, describe=lambda: deployed.operate("logs", "caddy").stdout[-3000:])

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
            until(lambda: 400 in refusals(lab), RENEWED, describe=lambda: str(refusals(lab)))
            assert refusals(lab) == {400}
            assert serial() == brief
            # An hour is less than two weeks: who was not renewed in time looks like this one.
            grafana = Grafana(lab, deployed.secrets["grafana_admin_password"])
            curl(lab, TELEGRAM, 'request = "DELETE"')
            with rule_engine(deployed, grafana, rule("sese-caddy-certificate"), tmp_path):
                deployed.on_host("docker", "restart", deployed.container("alloy"))  # it asks every five minutes
                until(lambda: messages(deployed) != [], SCRAPED, every=1.0, describe=lambda: "nobody was told")
            assert messages(deployed)[0]["text"].startswith("FIRING [critical] a certificate of sese's Caddy runs out")
            with deployed.requests() as statuses:
                time.sleep(1)
                assert serial() == brief
        assert set(statuses) == {"200"}
    finally:
        last = serial()
        with caddy(deployed, HURRY):
            renewed(since=last, within=RETRIED)


def refusals(lab: Lab) -> set[int]:
    """The statuses of what OVH refused."""
    logged = json.loads(curl(lab, f"{OVH}/requests"))
    return {each["status"] for each in logged if each["host"] == "eu.api.ovh.com" and each["status"] >= 400}
