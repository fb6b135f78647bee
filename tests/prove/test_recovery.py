"""Nobody helps: containers that start in the worst order, stores that restart under their clients."""

import time

from tests.lab.deployment import Deployment, health_of, healthy
from tests.support.fleets import inputs
from tests.support.waiting import until

PATIENCE = 480
"""Seconds: twice the longest deadline of a gate, on a machine that other tests keep busy too."""


def test_the_order_in_which_docker_starts_them_does_not_matter(deployed: Deployment) -> None:
    """Docker asks nobody what needs what: here whoever needs something starts first, and what it needs last."""
    [placement] = [placement for placement in inputs("lab").fleet.placements if placement.host.name == deployed.host.name]
    dependants_first = [deployed.container(service.name) for service in reversed(placement.in_order())]
    deployed.on_host("docker", "stop", "--time", "5", *dependants_first)
    for container in dependants_first:
        deployed.on_host("docker", "start", container)
        time.sleep(0.5)  # so that each misses what it needs
    until(lambda: healthy(deployed.host), PATIENCE, describe=lambda: str(health_of(deployed.host)))
    deployed.smoke()


def test_clients_recover_when_their_stores_restart(deployed: Deployment) -> None:
    stores = ("postgresql", "redis", "qdrant", "docker-proxy")
    deployed.on_host("docker", "restart", *(deployed.container(store) for store in stores))
    until(lambda: healthy(deployed.host), PATIENCE, describe=lambda: str(health_of(deployed.host)))
    assert set(health_of(deployed.host).values()) == {"healthy"}
    deployed.smoke()
    assert "credentials are checked as they should be" in deployed.operate("authentication").stdout
