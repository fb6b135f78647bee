"""The whole fleet, for a service that watches it."""

from collections.abc import Sequence
from dataclasses import dataclass

from model.names import Names
from model.placement import Placement


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All hosts with their services, links and backups; `here` is the host of the service that gets the overview."""

    here: Placement
    placements: Sequence[Placement]
    names: Names
    authority: str
    """Root of the sites' certificates as PEM; empty where they are from a public authority."""
