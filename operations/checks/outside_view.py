"""Checks what the Internet sees: every path of every route, requested at its host's public address, from outside the mesh."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from model.fleet import Fleet
from model.placement import Placement
from model.route import Access, Route
from operations.stack import Stack
from operations.web import fetch
from services.caddy.caddyfile import PAGES


@dataclass(frozen=True)
class Question:
    """A GET request from the Internet; `right` tells whether status and body are what the route promises."""

    host: str
    path: str
    expected: str
    right: Callable[[int, bytes], bool]

    def ask(self, stack: Stack, address: str) -> tuple[str, bool]:
        """Send the request to `address`, a host's public address or name; raises `OSError` when nothing answers."""
        # IPv4, where Docker publishes ports. Never the site's name: in the mesh it resolves to a mesh address.
        status, body = fetch(stack, f"https://{self.host}{self.path}", at=socket.gethostbyname(address))
        return str(status), self.right(status, body)


def questions(placement: Placement) -> Iterator[Question]:
    """One question for each path of each route of the host's Caddy."""
    for site in placement.sites():
        for led in site.routes:
            for path in led.route.paths:
                yield Question(site.host, path.removesuffix("*"), *_promise(led.route))


def left_out(fleet: Fleet, placement: Placement) -> str:
    """Why this host cannot be checked from the Internet; empty when it can."""
    if not placement.sites():
        return "it has no site"
    if not fleet.named_in_public:
        return "its sites have names in the mesh alone"
    return "" if placement.host.address else "a rented server, whose public address no setting tells"


def _promise(route: Route) -> tuple[str, Callable[[int, bytes], bool]]:
    if route.access is Access.VPN:
        return "403, members only", lambda status, body: status == 403 and _MEMBERS_ONLY in body
    if route.methods and "GET" not in route.methods:
        return "405", lambda status, _: status == 405
    if route.answer:
        return f"200, {route.answer}", lambda status, body: status == 200 and body == route.answer.encode()
    return "the service's own answer", lambda status, body: status < 500 and _MEMBERS_ONLY not in body and _NOT_SERVED not in body


_MEMBERS_ONLY = PAGES[0].title.encode()
# Services may answer 403 or 404 themselves: Caddy's refusals are recognised by their pages.
_NOT_SERVED = PAGES[-1].text.encode()
