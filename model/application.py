"""An application of our own: an image behind a route, with a database or without."""

from dataclasses import dataclass

from model.route import Route
from model.service import Database, Limits, Logs, Metrics, NotCollected


@dataclass(frozen=True, kw_only=True)
class App:
    """One application. One that owns files, or calls other hosts, is a `Service` in a module of its own, like every system."""

    name: str
    image: str
    route: Route
    healthy: tuple[str, ...]
    """A command with a tool of the image that fails when the application does not answer on 127.0.0.1."""
    limits: Limits
    metrics: Metrics | NotCollected
    logs: Logs
    user: str
    database: Database | None = None
    """In PostgreSQL on the same server; its address is the application's DATABASE_URL."""
    entrypoint: tuple[str, ...] = ()
    """The image's own, as a database needs it: the password goes past `docker inspect` in front of it."""
    command: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
