"""Monthly price of what a stack rents."""

from collections.abc import Iterable

from model import cost
from model.bucket import Bucket
from model.cost import Invoice, Kind, Prices, Rented
from model.placement import Placement


def invoice(placements: Iterable[Placement], kept_in: Iterable[Bucket], prices: Prices) -> Invoice:
    """The invoice for the servers of `placements` and the buckets, by `prices`."""
    servers = (placement.host.rented for placement in placements)
    things = [thing for server in servers if server for thing in cost.of_server(server)]
    things += (Rented(kind=Kind.OBJECT_STORAGE, name=bucket.name) for bucket in kept_in)
    return cost.invoice(things, prices)
