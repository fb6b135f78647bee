"""What a stranger is answered: every path of every route, asked at its host's public address and so from outside of the mesh."""

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
    """A GET of a stranger, and whether status and body are what the route promises."""

    host: str
    path: str
    expected: str
    right: Callable[[int, bytes], bool]

    def ask(self, stack: Stack, address: str) -> tuple[str, bool]:
        """Put at `address`, a host's public address or name; raises `OSError` when nobody answers."""
        # By IPv4, where Docker publishes; and never by the site's name, which in the mesh leads through the mesh.
        status, body = fetch(stack, f"https://{self.host}{self.path}", at=socket.gethostbyname(address))
        return str(status), self.right(status, body)


def questions(placement: Placement) -> Iterator[Question]:
    """One for each path of each route of the host's Caddy."""
    for site in placement.sites():
        for led in site.routes:
            for path in led.route.paths:
                yield Question(site.host, path.removesuffix("*"), *_promise(led.route))


def left_out(fleet: Fleet, placement: Placement) -> str:
    """Why a stranger's questions cannot be put to this host; empty when they can."""
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
# A service may answer 403 or 404 itself: Caddy's refusals are known by their pages.
_NOT_SERVED = PAGES[-1].text.encode()
