"""Monitoring, derived from what stands where: what is collected, what is drawn, what wakes somebody up."""

from collections.abc import Sequence
from dataclasses import replace

from model.names import Names
from model.placement import Placement
from model.service import Configuration, File, Service
from services import diun
from services.monitoring import outside
from services.monitoring.alerts import Alert, alerts
from services.monitoring.collection import Store, bearers, configuration, token_file
from services.monitoring.provisioning import grafana_files, grafana_secrets

__all__ = ["Alert", "alerts", "with_monitoring"]


def with_monitoring(placements: Sequence[Placement], names: Names, authority: str) -> tuple[Placement, ...]:
    """The same placements, their Alloy and Grafana told of every service; it comes last, when all services are known.

    `authority` is the PEM root of the sites' certificates, empty where they are from a public one.
    """

    def configured(placement: Placement, service: Service) -> Service:
        match service.name:
            case "alloy":
                store = Store.of(service.links, names, authority)
                secrets = bearers(placement.services)
                files = (
                    File(path="config.alloy", content=configuration(placement.host.name, placement.services, store)),
                    *(File(path=token_file(bearer), content=f"{bearer}") for bearer in secrets),
                )
                return replace(
                    service,
                    configuration=_with(service, files),
                    secrets=(*service.secrets, *secrets),
                )
            case "grafana":
                there = frozenset(each.name for placement in placements for each in placement.services)
                kept = any(placement.backup for placement in placements)
                files = grafana_files(alerts(placements), there, backed_up=kept)
                return replace(service, configuration=_with(service, files), secrets=(*service.secrets, *grafana_secrets()))
            case "diun":
                images = (each.image for placement in placements for each in placement.services)
                return replace(service, configuration=_with(service, (diun.watched(images),)))
            case "uptime-kuma":
                return outside.configured(service, placements, names.domain, authority)
            case _:
                return service

    return tuple(
        replace(placement, services=tuple(configured(placement, service) for service in placement.services))
        for placement in placements
    )


def _with(service: Service, files: tuple[File, ...]) -> Configuration:
    assert service.configuration
    return replace(service.configuration, files=(*service.configuration.files, *files))
