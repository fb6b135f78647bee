"""Checks of `make smoke` besides the healthcheck: real requests, and requests that must be refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from model.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Inside:
    """A command inside the running service. It exits with 0 even when refused, and passes when its output matches `answer`."""

    subject: str
    expected: str
    """The expected result in words; shown instead of the output when the check passes."""
    command: tuple[str, ...]
    stdin: str = ""
    """May refer to secrets."""
    answer: str
    """A regular expression."""


@dataclass(frozen=True, kw_only=True)
class AtSite:
    """An HTTPS request, as a member of the mesh, to each site that is routed to the service."""

    path: str
    about: str = ""
    """Text that is shown behind the URL."""
    expected: str = "200"
    """The expected result in words."""
    bearer: Secret | None = None
    body: Mapping[str, object] = field(default_factory=dict)
    """Posted as JSON; empty for a GET."""
    accepted: tuple[int, ...] = (200,)
    """HTTP statuses that pass."""
    answers: Callable[[bytes], bool] = lambda body: True
    """Whether the body passes too, where `expected` says more than a status."""
    billed: bool = False
    """Whether the request costs money: such a check runs only where the operator wants it."""


Check = Inside | AtSite
