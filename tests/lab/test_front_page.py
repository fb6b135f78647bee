"""The fleet's front page in a real browser: a member sees each service's state within a minute, a client outside sees nothing."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from lab import Lab
from services.monitoring import alerts
from tests.lab.deployment import Deployment
from tests.support.browser import Browser
from tests.support.fleets import inputs
from tests.support.waiting import until

SITE = "vpai.test"
PLACEMENTS = inputs("prod").fleet.placements
EVERY = [(placement.host.name, service.name) for placement in PLACEMENTS for service in placement.services]
FILES = ("/", "/page.css", "/page.js", "/icon.svg")
QUESTIONS = ("/live/services", "/live/alerts")
RED_SECONDS = 60
RED = "rgb(196, 43, 43)"
"""The colour `--down` of page.css."""


@pytest.fixture
def browser(deployed: Deployment) -> Iterator[Browser]:
    """A member's browser, with every service well on the page."""
    with Browser(deployed.lab.operator, SITE) as browser:
        browser.open(f"https://{SITE}/")
        until(lambda: set(states(browser).values()) == {"well"}, 180, every=1.0, describe=lambda: str(states(browser)))
        yield browser


def test_a_stranger_is_refused_every_path_of_the_page(lab: Lab) -> None:
    for path in (*FILES, *QUESTIONS, "/api/v1/query?query=up", "/nothing"):
        assert ask(lab, path, member=False)[0] == 403, path


def test_a_member_is_given_the_files_and_the_two_answers_and_nothing_else(lab: Lab) -> None:
    for path in FILES:
        status, text = ask(lab, path)
        assert (status, bool(text)) == (200, True), path
    for path in QUESTIONS:
        assert json.loads(ask(lab, path)[1])["status"] == "success", path
    asked = '{"query": "up"}'
    for path, words in (
        ("/api/v1/query?query=up", ()),
        ("/api/v1/write", ()),
        ("/api/v1/admin/tsdb/delete_series?match[]=up", ()),
        ("/services.promql", ()),
        ("/front/index.html", ()),
        ("/index.html", ()),
        ("/live/services/../alerts", ("--path-as-is",)),
        ("/live/", ()),
    ):
        assert ask(lab, path, *words)[0] == 404, path
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for path in ("/live/services", "/live/alerts", "/"):
            assert ask(lab, path, "--request", method, "--data", asked)[0] == 405, (method, path)


def test_what_a_member_adds_to_a_question_is_not_asked(lab: Lab) -> None:
    plain = {"running", "healthy", "deployed", "backup", "reports"}

    def values(path: str, *words: str) -> set[str]:
        return {series["metric"]["what"] for series in answer(lab, path, *words)}

    # A host's first backup may have just ended.
    until(lambda: values("/live/services") == plain, 90, every=1.0, describe=lambda: str(values("/live/services")))
    for more in ("?query=up", "?query=up&query=down", "?time=0", "?max_lookback=1ms", "?extra_label=host=nobody"):
        assert values(f"/live/services{more}") == plain, more
    form = ("--request", "GET", "--data", "query=up&extra_label=host=nobody")
    assert values("/live/services", *form) == plain


def test_every_alert_can_be_asked_for_at_once(lab: Lab) -> None:
    known = {alert.uid for alert in alerts(PLACEMENTS)}
    beyond = {series["metric"]["alert"] for series in answer(lab, "/live/alerts")}
    assert beyond <= known


def test_a_member_sees_every_service_and_a_stopped_one_is_red_within_a_minute(deployed: Deployment, browser: Browser) -> None:
    assert sorted(states(browser)) == sorted(f"{host}/{service}" for host, service in EVERY)
    until(lambda: verdict(browser).startswith("Every service is well"), 60, every=0.5, describe=lambda: verdict(browser))
    assert re.search(r"Last deployment\n.*(ago|just now)", browser.text()), browser.text()
    with stopped(deployed, "diun"):
        begin = time.monotonic()
        until(lambda: states(browser)["sese/diun"] == "stopped", RED_SECONDS, every=0.5, describe=lambda: str(states(browser)))
        print(f"\nred after {time.monotonic() - begin:.1f} s")
        assert colour(browser, "sese", "diun") == RED
        assert verdict(browser).startswith("diun on sese: stopped")
        # Other services may fail a check on a busy machine; none of them has stopped.
        assert [where for where, state in states(browser).items() if state in ("stopped", "gone")] == ["sese/diun"]
        shown = "all('[data-alert=\"sese-diun-down\"]')[0].checkVisibility()"
        until(lambda: bool(browser.run(shown)), 60, every=0.5, describe=browser.text)
        assert "diun on sese does not run" in browser.text()
    until(lambda: states(browser)["sese/diun"] == "well", 120, every=1.0, describe=lambda: str(states(browser)))
    assert colour(browser, "sese", "diun") != RED


def test_without_its_store_the_page_says_that_nothing_is_known(deployed: Deployment, browser: Browser) -> None:
    with stopped(deployed, "victoriametrics"):
        until(lambda: "does not answer" in verdict(browser), 90, every=1.0, describe=lambda: verdict(browser))
        assert states(browser)["sese/victoriametrics"] == "does not answer"
        assert set(states(browser).values()) == {"unknown", "does not answer"}
    until(lambda: set(states(browser).values()) == {"well"}, 240, every=1.0, describe=lambda: str(states(browser)))


def test_without_javascript_the_page_says_what_stands_where(deployed: Deployment) -> None:
    with Browser(deployed.lab.operator, SITE) as browser:
        browser.without_javascript()
        browser.open(f"https://{SITE}/")
        until(lambda: "For members of the VPN" in browser.text(), 20, describe=browser.text)
        assert "need JavaScript" in browser.text()
        for _, service in EVERY:
            assert service in browser.text(), service
        assert "nothing is rented" in browser.text() or "EUR a month" in browser.text()
        assert set(states(browser).values()) == {""}


def test_the_page_fits_a_phone(browser: Browser) -> None:
    browser.size(360, 740, phone=True)
    assert browser.run("document.documentElement.scrollWidth") == 360
    assert browser.run("Math.min(...all('.service h3').map((at) => parseFloat(getComputedStyle(at).fontSize)))") >= 16


def test_a_deployment_of_the_same_page_changes_nothing(deployed: Deployment) -> None:
    assert deployed.changes() == {}


def states(browser: Browser) -> Mapping[str, str]:
    """The displayed state of each service, by "host/service"."""
    name = "`${at.closest('[data-host]').dataset.host}/${at.dataset.service}`"
    found: dict[str, str] = browser.run(
        f"Object.fromEntries(all('[data-service]').map((at) => [{name}, at.querySelector('.state').textContent]))"
    )
    return found


def verdict(browser: Browser) -> str:
    return str(browser.run("document.getElementById('verdict').textContent"))


def colour(browser: Browser, host: str, service: str) -> str:
    card = f'all(\'[data-host="{host}"] [data-service="{service}"]\')[0]'
    return str(browser.run(f"getComputedStyle({card}).borderLeftColor"))


@contextmanager
def stopped(stack: Deployment, service: str) -> Iterator[None]:
    """Stop `service` on the stack's host within the context."""
    stack.on_host("docker", "stop", stack.container(service))
    try:
        yield
    finally:
        stack.on_host("docker", "start", stack.container(service))


def answer(lab: Lab, path: str, *words: str) -> list[Any]:
    """The series in the answer to a query."""
    return list(json.loads(ask(lab, path, *words)[1])["data"]["result"])


def ask(lab: Lab, path: str, *words: str, member: bool = True) -> tuple[int, str]:
    """Status and body: for a member by the mesh, otherwise by the stack's public address."""
    machine = lab.operator if member else lab.outsider
    where = () if member else ("--resolve", f"{SITE}:443:{lab.addresses.on_internet('sese')}")
    # The certificate is another test's subject.
    done = machine.run(["curl", "-sk", "-w", "\\n%{http_code}", "--max-time", "20", *where, *words, f"https://{SITE}{path}"])
    text, _, status = done.stdout.rpartition("\n")
    return int(status), text
