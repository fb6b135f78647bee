"""All that stands in a fleet, as a service is told of it that watches the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

from model.names import Names
from model.placement import Placement


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Every host's services with their links and the place of their backups, and which host the service stands on itself."""

    here: Placement
    placements: Sequence[Placement]
    names: Names
    authority: str
    """The PEM root of the sites' certificates, empty where they are from a public one."""
