"""OpenClaw's page in a real browser, from the VPN, as docs/runbooks/openclaw.md has it: the token, the approval, the page."""

import json
import re

from tests.lab.deployment import Deployment
from tests.support.browser import Browser
from tests.support.fleets import PROJECT
from tests.support.waiting import until

SITE = "javisi.vpai.test"
TOKEN = "all('label').find((at) => at.innerText.includes('Gateway Token')).querySelector('input')"
CONNECT = "all('button').find((at) => at.innerText.trim() === 'Connect').click()"


def test_the_gateways_page_opens_after_the_pairing_that_the_runbook_describes(deployed: Deployment) -> None:
    with Browser(deployed.lab.operator, SITE) as browser:
        browser.open(f"https://{SITE}/overview")
        until(lambda: "Gateway Token" in browser.text(), 60, every=1.0, describe=browser.text)
        enter(browser, deployed.secrets["openclaw_api_key"])
        until(lambda: "pairing required" in browser.text(), 30, every=1.0, describe=browser.text)
        shown = command(deployed, "devices list")
        waiting = shown.partition("Pending")[2].partition("Paired")[0]
        [request] = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", waiting)
        command(deployed, f"devices approve {request}")
        browser.run(CONNECT)
        until(lambda: bool(re.search(r"Health\s+OK", browser.text())), 60, every=1.0, describe=browser.text)
        assert "pairing required" not in browser.text()
        enter(browser, "", connect=False)
        browser.screenshot(PROJECT / "docs/runbooks/openclaw.png")


def enter(browser: Browser, token: str, connect: bool = True) -> None:
    """As a person types it, and presses Connect."""
    setter = "Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set"
    browser.run(f"{setter}.call({TOKEN}, {json.dumps(token)})")
    browser.run(f"{TOKEN}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    if connect:
        browser.run(CONNECT)


def command(stack: Deployment, words: str) -> str:
    """What `make exec SERVICE=openclaw COMMAND=` prints."""
    return stack.operate("exec", "--shell", f"node openclaw.mjs {words}", "openclaw").stdout
