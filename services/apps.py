"""Applications of our own on the server that the stack rents for them: an image behind a route, with or without a database."""

from collections.abc import Iterator

from model.application import App
from model.route import Access, Route
from model.service import Configuration, Database, Healthcheck, Limits, Logs, Metrics, NotCollected, Replacement, Service
from services import caddy
from services.context import Context
from services.networks import BACKEND, FRONTEND, MONITORING

APPS = (
    App(
        name="hello",
        image=caddy.IMAGE,
        route=Route(subdomain="hello", port=8080, access=Access.VPN),
        command=("caddy", "respond", "--listen", ":8080", "--access-log", "hello from app-prod"),
        healthy=("wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"),
        limits=Limits(memory_mib=64, cpus=0.25),
        metrics=NotCollected(reason="it answers one sentence; cAdvisor sees the container, Uptime Kuma the site"),
        logs=Logs.JSON,
        user="20006:20006",
        # The program's file has this capability; without it the program does not start.
        capabilities=("NET_BIND_SERVICE",),
    ),
)
"""The applications that run there. The first is an example, until another replaces it."""


def of_fleet(of: Context) -> tuple[App, ...]:
    """The applications of a fleet: `APPS`, or those that the context names instead."""
    return APPS if of.applications is None else of.applications


def services(of: Context) -> Iterator[Service]:
    """One service for each application."""
    return map(service, of_fleet(of))


def service(app: App) -> Service:
    """The application as a service of the stack."""
    database = app.database
    networks = (
        FRONTEND.name,
        *((BACKEND.name,) if database else ()),
        *((MONITORING.name,) if isinstance(app.metrics, Metrics) else ()),
    )
    return Service(
        name=app.name,
        image=app.image,
        networks=networks,
        limits=app.limits,
        replacement=Replacement.START_FIRST,
        metrics=app.metrics,
        logs=app.logs,
        entrypoint=app.entrypoint,
        command=app.command,
        secret_environment={"DATABASE_URL": _url(database)} if database else {},
        configuration=Configuration(directory=f"/etc/{app.name}", owner=app.user, files=()) if database else None,
        routes=(app.route,),
        needs=("postgresql",) if database else (),
        keeps=database,
        healthcheck=Healthcheck(command=app.healthy, interval=10, timeout=5, retries=3, start_period=30),
        capabilities=app.capabilities,
        user=app.user,
        tmpfs=("/tmp",),
    )


def _url(database: Database) -> str:
    return f"postgresql://{database.user}:{database.password}@postgresql:5432/{database.name}"
