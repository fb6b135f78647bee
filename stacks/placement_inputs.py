"""Inputs of a stack's placement besides its settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from model.cost import Prices
from model.image import ImageLock


@dataclass(frozen=True, kw_only=True)
class PlacementInputs:
    """`authority` is the PEM root of the operator's own authority, or empty; `types` are (name, price, MiB) of servers.

    `prices` are those of everything that is rented.
    """

    stack: str
    lock: ImageLock
    authority: str
    types: Sequence[tuple[str, Decimal, int]]
    prices: Prices
