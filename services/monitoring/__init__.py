"""Monitoring, derived from the placements: alerts, and the configuration of the services that collect, show and notify."""

from collections.abc import Sequence
from dataclasses import replace

from model.names import Names
from model.overview import Overview
from model.placement import Placement
from model.service import Service
from services.monitoring.alerts import Alert, alerts

__all__ = ["Alert", "alerts", "with_monitoring"]


def with_monitoring(placements: Sequence[Placement], names: Names, authority: str) -> tuple[Placement, ...]:
    """The same placements; the services that watch are configured for every service. Call it last, when all services are known.

    `authority` is the PEM root of the sites' certificates, empty where they are from a public one.
    """

    def completed(placement: Placement, service: Service) -> Service:
        if not service.completed_last:
            return service
        return service.completed_last(service, Overview(here=placement, placements=placements, names=names, authority=authority))

    return tuple(
        replace(placement, services=tuple(completed(placement, service) for service in placement.services))
        for placement in placements
    )
