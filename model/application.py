"""An application of our own: an image behind a route, with a database or without."""

from dataclasses import dataclass

from model.route import Route
from model.service import Database, Limits, Logs, Metrics, NotCollected


@dataclass(frozen=True, kw_only=True)
class App:
    """One application. An application that owns files or calls other hosts is a `Service` in its own module instead."""

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
    """Its database in PostgreSQL on the same host; the application gets the URL as DATABASE_URL."""
    entrypoint: tuple[str, ...] = ()
    """The image's own entrypoint. A database needs it: a command in front of it reads the password, which `docker inspect` must
    not show."""
    command: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
