"""Each service of the fleet restarted alone: it and all that need it are healthy again. Writes docs/proofs/restarts.md."""

import time
from collections.abc import Iterator

import pytest

from tests.lab.deployment import Deployment, health_of, healthy
from tests.prove import proof
from tests.support.fleets import inputs
from tests.support.waiting import until

Results = list[tuple[str, str, str, str]]
SERVICES = [(placement, service) for placement, service in inputs("lab").fleet.services()]


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    rows: Results = []
    yield rows
    how = (
        "Each service was restarted alone, with SIGKILL: seconds until it was healthy, and until every service of its host was, "
        "all live checks passing."
    )
    proof.write("restarts", "Services restarted", how, ("host", "service", "itself", "its host"), rows)


@pytest.mark.parametrize(
    ("placement", "service"), [pytest.param(*service, id=f"{service[0].host.name}-{service[1].name}") for service in SERVICES]
)
def test_a_restarted_service_and_its_dependants_recover(  # type: ignore[no-untyped-def]
    stack: Deployment, results: Results, placement, service
) -> None:
    machine = next(machine for machine in stack.lab.hosts if machine.name == placement.host.name)
    label = f"label=vpai.service={service.name}"
    container = machine.run(["docker", "ps", "-q", "--filter", "label=vpai.stack=lab", "--filter", label]).stdout.strip()
    start = time.monotonic()
    machine.run(["docker", "restart", "--time", "0", container])
    until(lambda: health_of(machine)[service.name] == "healthy", service.healthcheck.deadline)
    itself = time.monotonic() - start
    until(lambda: healthy(machine), 120)
    everything = time.monotonic() - start
    stack.smoke()
    results.append((placement.host.name, service.name, f"{itself:.1f} s", f"{everything:.1f} s"))
