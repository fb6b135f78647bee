"""`python -m operations.pages.architecture`: draws README's picture of the platform from the catalogue.

The hub is on the left, the stack in the middle, other hosts on the right. The fleet supplies all content: services, who may open
their sites, what is backed up, which host calls which.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from model.backup import Nothing
from model.fleet import Fleet
from model.host import Role
from model.placement import Placement
from model.route import Access
from model.service import Service
from operations.pages.svg import arrow, box, document, heads, text
from operations.reference.catalogue import DOMAIN, ROLES, example_fleet

PICTURE = Path(__file__).parents[2] / "docs/reference/architecture.svg"
_WIDTH = 1180
_TOP = 150
_PUBLIC, _MEMBERS, _QUIET, _SAVED, _OPERATOR = "#c2410c", "#1d4ed8", "#6b7280", "#15803d", "#7e22ce"
_FILL = {_PUBLIC: "#fff7ed", _MEMBERS: "#eff6ff", _QUIET: "#f9fafb"}
_CHIP, _GAP = 30, 8
_WAY_OUT = "\N{NORTH EAST ARROW}"
# Left edge and width in pixels of each column, and the number of services in a row.
_COLUMNS: Mapping[Role | None, tuple[int, int, int]] = {
    Role.HUB: (20, 300, 2),
    Role.STACK: (390, 460, 3),
    None: (900, 260, 2),
}
_TITLES = {
    Role.HUB: "hub of the mesh, vault, status",
    Role.STACK: "the platform",
    Role.WORKSTATION: "workstation at home",
    Role.APPLICATIONS: "applications of our own",
}


def main() -> int:
    """Write the picture."""
    PICTURE.write_text(picture(example_fleet()))
    return 0


def picture(fleet: Fleet) -> str:
    """The SVG. The fleet must have a hub and a stack."""
    hub, stack = (_playing(fleet, role) for role in (Role.HUB, Role.STACK))
    others = [placement for placement in fleet.placements if placement not in (hub, stack)]
    common = frozenset.intersection(*(frozenset(service.name for service in machine.services) for machine in fleet.placements))
    shapes: list[str] = []
    tops: dict[str, float] = {}
    bottoms: dict[str, float] = {}
    next_y = float(_TOP)
    for placement in (hub, stack, *others):
        column = _COLUMNS[Role.HUB if placement is hub else Role.STACK if placement is stack else None]
        top = _TOP if placement in (hub, stack) else next_y
        drawn, bottom = _host(placement, common, column, top)
        shapes += drawn
        tops[placement.host.name], bottoms[placement.host.name] = top, bottom
        if placement in others:
            next_y = bottom + 24
    floor = max(bottoms.values()) + 60
    shapes += _outside(hub, stack, others, tops)
    shapes += _storage(fleet, bottoms, floor)
    height = int(floor) + 110
    background = box(0, 0, _WIDTH, height, "#ffffff", radius=12)
    head = heads((_PUBLIC, _MEMBERS, _QUIET, _SAVED, _OPERATOR))
    return document(_WIDTH, height, "Hosts, services and who reaches them", (head, background, *shapes, *_legend(height - 28)))


def _playing(fleet: Fleet, role: Role) -> Placement:
    return next(placement for placement in fleet.placements if ROLES[placement.host.name] is role)


def _host(placement: Placement, common: frozenset[str], column: tuple[int, int, int], top: float) -> tuple[Sequence[str], float]:
    """A host's box with its services, and the box's lower edge in pixels."""
    left, width, in_a_row = column
    ingress = placement.door.name if placement.door else ""
    own = [service for service in placement.services if service.name not in common and service.name != ingress]
    groups = (
        ("with a site", [service for service in own if service.routes]),
        ("behind them" if ingress else "services", [service for service in own if not service.routes]),
    )
    y, shapes = top + (62 if ingress else 72), list[str]()
    if ingress:
        names = [site.host.removesuffix(f".{DOMAIN}") for site in placement.sites()]
        shapes.append(box(left + 14, y, width - 28, _CHIP, "#e0e7ff", _MEMBERS))
        words = f"Caddy: {len(names)} {'site' if len(names) == 1 else 'sites'}, TLS, access lists"
        shapes.append(text(left + width / 2, y + 20, words, size=13, anchor="middle"))
        y += _CHIP + 24
    for title, services in groups:
        if not services:
            continue
        shapes.append(text(left + 14, y, title, size=12, color=_QUIET))
        y += 8
        chip = (width - 28 - _GAP * (in_a_row - 1)) / in_a_row
        for number, service in enumerate(services):
            row, place = divmod(number, in_a_row)
            shapes += _service(placement, service, left + 14 + place * (chip + _GAP), y + row * (_CHIP + _GAP), chip)
        y += -(-len(services) // in_a_row) * (_CHIP + _GAP) + 14
    shapes.append(text(left + 14, y, f"watched by {', '.join(sorted(common))}", size=11, color=_QUIET))
    bottom = y + 16
    frame = (
        box(left, top, width, bottom - top, "#f8fafc", "#94a3b8", radius=10),
        text(left + 14, top + 25, placement.host.name, size=17, weight=700),
        text(left + 14, top + 44, _TITLES[ROLES[placement.host.name]], size=12, color=_QUIET),
    )
    return [*frame, *shapes], bottom


def _service(placement: Placement, service: Service, x: float, y: float, width: float) -> Iterator[str]:
    public = any(route.access is Access.PUBLIC for route in service.routes)
    color = _PUBLIC if public else _MEMBERS if service.routes else _QUIET
    yield box(x, y, width, _CHIP, _FILL[color], color, radius=6)
    way_out = any(not network.internal for network in placement.networks if network.name in service.networks)
    yield text(x + 10, y + 20, f"{service.name} {_WAY_OUT}" if way_out else service.name, size=13)
    if _is_saved(service):
        yield box(x + width - 16, y + 11, 8, 8, _SAVED, radius=2)


def _is_saved(service: Service) -> bool:
    return any(not isinstance(volume.backup, Nothing) for volume in service.volumes)


def _outside(hub: Placement, stack: Placement, others: Sequence[Placement], tops: Mapping[str, float]) -> Iterator[str]:
    """Arrows: clients and the hosts that they reach, and calls between hosts."""
    middle = {role: column[0] + column[1] / 2 for role, column in _COLUMNS.items()}
    ends = ((Role.HUB, "Internet", _PUBLIC), (Role.STACK, "members of the VPN", _MEMBERS), (None, "you: pulumi up", _OPERATOR))
    for role, words, color in ends:
        yield box(middle[role] - 105, 24, 210, 40, "#ffffff", color, radius=20)
        yield text(middle[role], 49, words, size=15, weight=600, anchor="middle", color=color)
    names = [site.host.removesuffix(f".{DOMAIN}") for site in hub.sites() if site.paths(Access.PUBLIC)]
    yield arrow(((middle[Role.HUB], 64), (middle[Role.HUB], _TOP - 3)), _PUBLIC)
    yield text(middle[Role.HUB] + 10, 100, f"443: {', '.join(names)}", size=12, color=_PUBLIC)
    yield arrow(((middle[Role.STACK], 64), (middle[Role.STACK], _TOP - 3)), _MEMBERS)
    yield text(middle[Role.STACK] + 10, 100, "443, over the mesh: every site", size=12, color=_MEMBERS)
    yield arrow(((middle[None], 64), (middle[None], _TOP - 3)), _OPERATOR)
    yield text(middle[None] + 10, 92, "SSH, over the mesh,", size=12, color=_OPERATOR)
    yield text(middle[None] + 10, 108, "to every host", size=12, color=_OPERATOR)
    calling = {placement.host.name for placement in (hub, *others) if _calls(placement, stack)}
    left, width, _ = _COLUMNS[Role.STACK]
    if hub.host.name in calling:
        yield arrow(((320, _TOP + 77), (left - 3, _TOP + 77)), _MEMBERS)
        yield text(355, _TOP + 68, "mesh", size=12, color=_MEMBERS, anchor="middle")
    for placement in others:
        if placement.host.name in calling:
            y = tops[placement.host.name] + 30
            yield arrow(((900, y), (left + width + 3, y)), _MEMBERS)
            yield text(875, y - 8, "mesh", size=12, color=_MEMBERS, anchor="middle")


def _calls(placement: Placement, other: Placement) -> bool:
    names = {service.name for service in other.services}
    return any(link.service in names for service in placement.services for link in service.links)


def _storage(fleet: Fleet, bottoms: Mapping[str, float], floor: float) -> Iterator[str]:
    """The storage for backups."""
    yield box(20, floor, _WIDTH - 40, 36, "#f0fdf4", _SAVED)
    yield text(
        _WIDTH / 2,
        floor + 23,
        "buckets elsewhere: every night's backup, the state, exports",
        size=14,
        anchor="middle",
        color=_SAVED,
    )
    for placement in fleet.placements:
        column = _COLUMNS.get(ROLES[placement.host.name], _COLUMNS[None])
        if placement.backup:
            x = column[0] + column[1] / 2
            yield arrow(((x, bottoms[placement.host.name]), (x, floor - 3)), _SAVED)


def _legend(y: float) -> Iterator[str]:
    shown = (
        (_PUBLIC, "some paths are public"),
        (_MEMBERS, "for members of the VPN"),
        (_QUIET, "no site"),
    )
    x = 24.0
    for color, words in shown:
        yield box(x, y - 12, 22, 14, _FILL[color], color, radius=4)
        yield text(x + 30, y, words, size=12)
        x += 60 + 7 * len(words)
    yield box(x, y - 9, 8, 8, _SAVED, radius=2)
    yield text(x + 16, y, "backed up", size=12)
    yield text(x + 105, y, f"{_WAY_OUT} may call the Internet", size=12)
    yield text(_WIDTH - 20, y, "drawn from services/ by `make docs`", size=12, color=_QUIET, anchor="end")


if __name__ == "__main__":
    sys.exit(main())
