"""The fleet: every service on its host. A `Fleet` that exists obeys every law."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from model.bucket import Bucket
from model.cost import Invoice
from model.host import Host
from model.image import ImageLock
from model.laws import broken_laws
from model.mesh import Mesh
from model.placement import Placement
from model.problem import refuse
from model.route import Site
from model.secret import Secret
from model.service import Service


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """All hosts with their services. Raises `model.problem.Refused` with every broken law when it is made."""

    project: str
    domain: str
    placements: tuple[Placement, ...]
    mesh: Mesh | None
    """None for a fleet without a mesh, whose hosts answer SSH in public."""
    hub_elsewhere: Host | None = None
    """The mesh's hub where another stack owns it. This stack only adds its part there and takes it out again."""
    named_in_public: bool = True
    """Whether the sites have records in the public DNS; a copy's names are in the mesh alone."""
    image_lock: ImageLock
    buckets: tuple[Bucket, ...] = ()
    invoice: Invoice = field(default_factory=lambda: Invoice(lines=()))
    """Monthly price of everything that the stack rents, by the committed prices."""

    def __post_init__(self) -> None:
        refuse(broken_laws(self.placements))

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Every host that this stack changes, the other stack's hub included."""
        own = tuple(placement.host for placement in self.placements)
        return (*own, self.hub_elsewhere) if self.hub_elsewhere else own

    def services(self) -> Iterator[tuple[Placement, Service]]:
        """Every service with its placement."""
        for placement in self.placements:
            for service in placement.services:
                yield placement, service

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret of the fleet once, by name."""
        found = {secret.name: secret for _, service in self.services() for secret in service.secrets}
        for placement in self.placements:
            for database in placement.databases():
                found[database.password.name] = database.password
            for secret in placement.backup.secrets if placement.backup else ():
                found[secret.name] = secret
        return tuple(found[name] for name in sorted(found))

    def images(self) -> tuple[str, ...]:
        """Every image once, sorted."""
        ours = {service.image for _, service in self.services()}
        return tuple(sorted(ours | {placement.backup.image for placement in self.placements if placement.backup}))

    def sites(self) -> tuple[Site, ...]:
        """Every site of every Caddy."""
        return tuple(site for placement in self.placements for site in placement.sites())
