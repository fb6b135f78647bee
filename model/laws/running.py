"""Healthchecks, changed files, metrics and logs."""

from collections.abc import Iterator

from model.placement import Placement
from model.problem import Problem
from model.secret import Secret
from model.service import NotCollected, Reload, Service


def healthchecks_are_sound(placement: Placement) -> Iterator[Problem]:
    """Every service is checked, on 127.0.0.1, within the specification's 10 to 30 seconds."""
    for service in placement.services:
        check = service.healthcheck
        if not check.command or any("localhost" in word for word in check.command):
            yield Problem(
                what=f"{placement.host.name}: the healthcheck of {service.name} is empty or asks 'localhost'",
                why="'localhost' is ::1 in Alpine images, where services listen on IPv4 only",
                fix="give a command that asks 127.0.0.1 with a tool of the image",
                example='command=("wget", "-q", "-O", "/dev/null", "http://127.0.0.1:2020/health")',
            )
        if not 10 <= check.interval <= 30:
            yield Problem(
                what=f"{placement.host.name}: {service.name} is checked every {check.interval} s",
                why="the specification asks for 10 to 30 s: rarer hides a fault, more often costs CPU",
                fix="set the interval between 10 and 30",
            )


def files_are_taken_up(placement: Placement) -> Iterator[Problem]:
    """A changed file replaces the service or is reloaded by a command; each path has one content."""
    for service in placement.services:
        if not (configuration := service.configuration):
            continue
        if isinstance(configuration.on_change, Reload) and not configuration.on_change.command:
            yield Problem(
                what=f"{placement.host.name}: {service.name} reloads its files by no command",
                why="it would keep running on the old ones, silently",
                fix="give the command, or let a change replace the service",
                example='on_change=Reload(command=("caddy", "reload", "--config", "/etc/caddy/current/Caddyfile"))',
            )
        paths = [file.path for file in configuration.files]
        for path in sorted({path for path in paths if paths.count(path) > 1}):
            yield Problem(
                what=f"{placement.host.name}: {service.name} has {paths.count(path)} files at {path}",
                why="the last one written would win, by chance",
                fix="keep one of them",
            )


def monitoring_is_declared(placement: Placement) -> Iterator[Problem]:
    """A service without metrics or logs says why; the bearer token of its metrics is one of its own secrets."""
    for service in placement.services:
        for kind in ("metrics", "logs"):
            reported = getattr(service, kind)
            if isinstance(reported, NotCollected) and not reported.reason:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} has no {kind} and does not say why",
                    why="a service that nobody sees fails unseen",
                    fix=f"say where its {kind} are, or give the reason",
                    example="metrics=Metrics(port=8080)" if kind == "metrics" else "logs=Logs.JSON",
                )
        bearer = _bearer(service)
        if bearer and bearer not in service.secrets:
            yield Problem(
                what=f"{placement.host.name}: the metrics of {service.name} want the secret {bearer.name!r}, not declared",
                why="the collector would be refused",
                fix="add it to the service's `secrets`",
            )


def _bearer(service: Service) -> Secret | None:
    return None if isinstance(service.metrics, NotCollected) else service.metrics.bearer
