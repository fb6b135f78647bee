"""The fleet: every service on its host. A `Fleet` that exists obeys every law."""

from collections.abc import Iterator
from dataclasses import dataclass

from model.image import ImageLock
from model.laws import broken_laws
from model.placement import Placement
from model.problem import refuse
from model.secret import Secret
from model.service import Service, Site


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What stands where. Raises `model.problem.Refused` with every broken law when it is made."""

    project: str
    domain: str
    placements: tuple[Placement, ...]
    image_lock: ImageLock
    further_secrets: tuple[Secret, ...] = ()
    """Secrets that must exist although no placed service reads them yet."""

    def __post_init__(self) -> None:
        refuse(broken_laws(self.placements))

    def services(self) -> Iterator[tuple[Placement, Service]]:
        """Every service with its placement."""
        for placement in self.placements:
            for service in placement.services:
                yield placement, service

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret of the fleet once, by name."""
        found = {secret.name: secret for secret in self.further_secrets}
        found |= {secret.name: secret for _, service in self.services() for secret in service.secrets}
        for placement in self.placements:
            for database in placement.databases():
                found[database.password.name] = database.password
        return tuple(found[name] for name in sorted(found))

    def images(self) -> tuple[str, ...]:
        """Every image once, sorted."""
        return tuple(sorted({service.image for _, service in self.services()}))

    def sites(self) -> tuple[Site, ...]:
        """Everything that Caddy leads to."""
        configurations = (service.configuration for _, service in self.services() if service.configuration)
        return tuple(site for configuration in configurations for site in configuration.sites)
