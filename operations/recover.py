"""After a killed run: make state and hosts agree again."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components import ssh
from components.docker_host import LABEL_STACK
from components.host_script import NO_ANSWER, SshHost
from operations.stack import CommandFailed, Stack, on_host


def recover(stack: Stack) -> None:
    """Release the lock, forget unfinished operations, remove what the state does not know, refresh."""
    try:
        stack.pulumi("cancel", "--yes")
        print("lock released")
    except CommandFailed:
        print("no lock was held")
    state = json.loads(stack.pulumi("stack", "export"))
    deployment = state["deployment"]
    pending = deployment.pop("pending_operations", None) or []
    for operation in pending:
        print(f"unfinished: {operation['type']} {operation['resource']['urn'].rpartition('::')[2]}")
    if pending:
        stack.pulumi("stack", "import", stdin=json.dumps(state))
    known = {resource.get("id", "") for resource in deployment.get("resources", [])}
    if stack.inputs.rents:
        _recover_cloud(stack, pending, known)
    for host in stack.hosts:
        if _is_silent(stack, host):
            print(f"{host.alias}: its server is still to be made, or to answer; nothing of ours is looked for there")
            continue
        if _is_untouched(host):
            print(f"{host.alias}: as its provider handed it over, nothing of ours runs there")
            continue
        if _has_no_docker(host):
            print(f"{host.alias}: Docker is still to come, nothing of ours runs there")
            continue
        for kind, identity, name in _orphans(stack, host, known):
            on_host(host, ["docker", *kind.split(), identity])
            print(f"{host.alias}: removed {name} ({identity[:12]}), which the state does not know")
    if deployment.get("resources"):
        stack.pulumi("refresh", "--yes", "--skip-preview")
    print("recovered; the next `pulumi up` converges")


def _recover_cloud(stack: Stack, pending: Sequence[Mapping[str, Any]], known: set[str]) -> None:
    """Remove what the killed run had begun to make and its state never heard of; whatever else is unknown is only told."""
    from operations import cloud  # brings Hetzner's client
    from stacks import rented

    client = rented.client(stack.inputs)
    begun = {
        (cloud.kind(operation["resource"]["type"]), operation["resource"]["inputs"].get("name"))
        for operation in pending
        if operation["type"] == "creating" and operation["resource"]["type"].startswith("hcloud:")
    }
    for it in cloud.labelled(client):
        if it.stack != stack.name or str(it.id) in known:
            continue
        if (it.kind, it.name) in begun:
            cloud.remove(client, it)
            print(f"Hetzner: removed {it.kind} {it.name} ({it.id}), which the killed run had begun to make")
        else:
            print(f"Hetzner: the state does not know {it.kind} {it.name}; where nothing is to be kept: {it.removal}")


def _is_silent(stack: Stack, host: SshHost) -> bool:
    """Whether a rented server does not answer, neither as ours nor as its provider handed it over."""
    rented = {placement.host.name for placement in stack.placements if placement.host.rented}
    ways = (host.as_handed_over, host)
    return host.alias in rented and all(
        subprocess.run(ssh.command(way.config, way.alias, ("true",)), capture_output=True).returncode == NO_ANSWER for way in ways
    )


def _is_untouched(host: SshHost) -> bool:
    """Whether the machine still answers its first user, as after a first run that was killed early."""
    first = host.as_handed_over
    return subprocess.run(ssh.command(first.config, first.alias, ("true",)), capture_output=True).returncode == 0


def _has_no_docker(host: SshHost) -> bool:
    """Whether the host had no containers before the run that was killed."""
    done = subprocess.run(
        ssh.command(host.config, host.alias, ("systemctl", "is-enabled", "docker")), capture_output=True, text=True
    )
    return done.stdout.strip() in ("disabled", "not-found")


def _orphans(stack: Stack, host: SshHost, known: set[str]) -> Iterator[tuple[str, str, str]]:
    for container in stack.containers(host):
        if container["Id"] not in known:
            yield "rm -f", container["Id"], container["Name"].lstrip("/")
    label = f"label={LABEL_STACK}={stack.name}"
    for identity in on_host(host, ["docker", "network", "ls", "-q", "--no-trunc", "--filter", label]).split():
        if identity not in known:
            network: Mapping[str, Any] = json.loads(on_host(host, ["docker", "network", "inspect", identity]))[0]
            yield "network rm", identity, network["Name"]
