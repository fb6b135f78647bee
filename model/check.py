"""What `make smoke` asks of a service besides whether it is healthy: real requests, and the refusals that must be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from model.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Inside:
    """A command inside the running service that ends with 0 even when refused; right when its output has `answer`."""

    subject: str
    expected: str
    """In words; what is shown instead of the output where it is right."""
    command: tuple[str, ...]
    stdin: str = ""
    """May refer to secrets."""
    answer: str
    """A regular expression."""


@dataclass(frozen=True, kw_only=True)
class AtSite:
    """A request to each site that leads to the service, by HTTPS and as a member of the mesh."""

    path: str
    about: str = ""
    """What is told of it behind its URL."""
    expected: str = "200"
    """In words."""
    bearer: Secret | None = None
    body: Mapping[str, object] = field(default_factory=dict)
    """Posted as JSON; empty for a GET."""
    accepted: tuple[int, ...] = (200,)
    """The statuses that are right."""
    answers: Callable[[bytes], bool] = lambda body: True
    """Whether the body is right too, where `expected` says more than a status."""
    billed: bool = False
    """Whether somebody is paid for the answer: it is asked only where that is wanted."""


Check = Inside | AtSite
