"""The front page as docs/ shows it: a member's browser, wide and on a phone, while one service is stopped."""

import pytest

from tests.lab.deployment import Deployment
from tests.lab.test_front_page import RED_SECONDS, SITE, states, stopped, verdict
from tests.support.browser import Browser
from tests.support.fleets import PROJECT
from tests.support.waiting import until

STOPPED = "qdrant"
ALERT = f"all('[data-alert=\"sese-{STOPPED}-down\"]')[0].checkVisibility()"


@pytest.mark.parametrize(
    ("picture", "width", "height", "phone"),
    [("front-page", 1280, 1250, False), ("front-page-phone", 390, 1300, True)],
    ids=["wide", "phone"],
)
def test_a_stopped_service_is_red_on_the_page(deployed: Deployment, picture: str, width: int, height: int, phone: bool) -> None:
    with Browser(deployed.lab.operator, SITE) as browser:
        browser.size(width, height, phone=phone)
        browser.open(f"https://{SITE}/")
        until(lambda: set(states(browser).values()) == {"well"}, 180, every=1.0, describe=lambda: str(states(browser)))
        with stopped(deployed, STOPPED):
            until(
                lambda: states(browser)[f"sese/{STOPPED}"] == "stopped", RED_SECONDS, every=1.0, describe=lambda: verdict(browser)
            )
            until(lambda: bool(browser.run(ALERT)), 60, every=1.0, describe=browser.text)
            browser.screenshot(PROJECT / f"docs/{picture}.png")
