"""The current state of a stack's services, as one line."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from components.docker.docker_host import LABEL_SERVICE
from components.ssh.host_script import SshHost
from operations.stack import CommandFailed, Stack

Container = Mapping[str, Any]
"""Output of `docker inspect` for one container."""


def live_state(stack: Stack) -> str:
    """Ask every host of `stack` that is switched on."""

    def ask(host: SshHost) -> tuple[str, Iterable[Container] | None]:
        try:
            return host.alias, stack.containers(host)
        except CommandFailed:
            return host.alias, None

    with ThreadPoolExecutor() as pool:
        return in_words(dict(pool.map(ask, stack.hosts)))


def in_words(hosts: Mapping[str, Iterable[Container] | None]) -> str:
    """One line of text. `hosts`: the containers of each host, None for a host that does not answer."""
    seen = [(name, container) for name, found in hosts.items() for container in found or ()]
    unwell = [
        f"{name}/{service_of(container)} is {state}" for name, container in seen if (state := health(container)) != "healthy"
    ]
    unwell += [f"{name} does not answer" for name, found in hosts.items() if found is None]
    said = f"{len(seen)} services on {len(hosts)} hosts, " + ("all healthy" if not unwell else "; ".join(sorted(unwell)))
    return f"Live: {said}."


def service_of(container: Container) -> str:
    """The name of the service whose container it is."""
    return str(container["Config"]["Labels"][LABEL_SERVICE])


def health(container: Container, unchecked: str = "without a healthcheck") -> str:
    """Docker's words for a container's health, or for why it does not run; `unchecked` for one that has no healthcheck."""
    state = container["State"]
    return str(state.get("Health", {}).get("Status", unchecked) if state["Running"] else state["Status"])
