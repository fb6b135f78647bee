"""`python -m operations.reference.security`: writes the computed part of docs/security.md: what each container reaches."""

import sys
from collections.abc import Iterable
from pathlib import Path

from model.fleet import Fleet
from model.reachability import Reach, reachability
from model.service import Service
from operations.reference.catalogue import example_fleet
from operations.table import markdown

PAGE = Path(__file__).parent.parent.parent / "docs/security.md"
_BEGIN, _END = "<!-- computed: make docs -->\n", "<!-- end of what is computed -->"


def main() -> int:
    """Write the computed part of the page."""
    PAGE.write_text(page(PAGE.read_text(), example_fleet()))
    return 0


def page(text: str, fleet: Fleet) -> str:
    """`text` with its computed part replaced by that of `fleet`."""
    before, _, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    assert end, f"the page has no {_BEGIN.strip()} and {_END}"
    return f"{before}{_BEGIN}\n{_containers(fleet)}\n\n{_END}{after}"


def _containers(fleet: Fleet) -> str:
    rows = reachability(fleet)
    cells = []
    for placement, service in sorted(fleet.services(), key=lambda both: (both[0].host.name, both[1].name)):
        name = f"{placement.host.name}/{service.name}"
        cells.append(
            (
                name,
                str(service.uid),
                _reached(name, rows),
                _host(service),
                ", ".join(sorted(service.referenced_secrets | {secret.name for secret in service.secrets})) or "-",
            )
        )
    return markdown(("container", "user", "reaches", "of its host", "secrets that it holds"), cells)


def _reached(name: str, rows: Iterable[Reach]) -> str:
    host = name.partition("/")[0]
    targets = sorted({row.target.removeprefix(f"{host}/") for row in rows if row.source == name})
    return ", ".join(targets) or "nothing"


def _host(service: Service) -> str:
    shown = [f"writes data/{volume.directory}" for volume in service.volumes if not volume.read_only]
    shown += [f"reads {mount.path}" for mount in service.host_mounts]
    if service.opens_docker:
        shown.append("**is root by Docker's socket**")
    elif "DAC_READ_SEARCH" in service.capabilities and any(mount.path == "/" for mount in service.host_mounts):
        shown.append("**reads every file of every user**")
    return ", ".join(shown) or "-"


if __name__ == "__main__":
    sys.exit(main())
