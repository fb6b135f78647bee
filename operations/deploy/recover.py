"""Makes state and hosts agree again after a killed run."""

import json
import os
import pwd
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components import ssh
from components.docker.docker_host import LABEL_STACK
from components.ssh.host_script import NO_ANSWER, SshHost
from model.host import host_of
from model.problem import Problem, refuse
from model.urn import name_of
from operations.stack import Stack, on_host
from stacks import standing

Orphan = tuple[str, str, str]
"""The command by which Docker removes a resource, its id, and its name."""
_REMOVE_CONTAINER = "rm -f"
_CONTAINER = "docker:index/container:Container"


def recover(stack: Stack, breaks: str = "") -> None:
    """Release the lock, forget pending operations, remove what the state does not know, refresh.

    Raises `Refused`, before any change, when the state is not the one that the hosts were deployed with, or when a run that may
    still be alive holds a lock, unless `breaks` names that lock.
    """
    stack_state = stack.standing()
    if stack_state:
        user, machine = pwd.getpwuid(os.getuid()).pw_name, socket.gethostname()
        dead = {lock.identity: standing.has_ended(lock, user, machine) for lock in stack_state.locks}
        refuse([*standing.problems(stack_state), *standing.of_locks(stack_state, dead, breaks)])
    state = json.loads(stack.pulumi("stack", "export"))
    deployment = state["deployment"]
    pending = deployment.pop("pending_operations", None) or []
    known = {resource.get("id", "") for resource in deployment.get("resources", [])}
    orphans = {host: tuple(_orphans(stack, host, known)) for host in stack.hosts if _has_containers(stack, host)}
    refuse(_of_another_state(stack, orphans, [operation["resource"]["urn"] for operation in pending]))
    if stack_state and stack_state.locks:
        stack.pulumi("cancel", "--yes")
        for lock in stack_state.locks:
            print(f"released the lock of {lock}")
    else:
        print(
            "no lock was held" if stack_state else "whether a lock is held cannot be seen from here: `pulumi cancel` releases it"
        )
    for operation in pending:
        print(f"unfinished: {operation['type']} {operation['resource']['urn'].rpartition('::')[2]}")
    if pending:
        stack.pulumi("stack", "import", stdin=json.dumps(state))
    if stack.inputs.rents:
        _recover_cloud(stack, pending, known)
    for host, found in orphans.items():
        for kind, identity, name in found:
            on_host(host, ["docker", *kind.split(), identity])
            print(f"{host.alias}: removed {name} ({identity[:12]}), which the state does not know")
    if deployment.get("resources"):
        stack.pulumi("refresh", "--yes", "--skip-preview")
    print("recovered; the next `pulumi up` converges")


def _has_containers(stack: Stack, host: SshHost) -> bool:
    """Whether containers of ours may be on the host; prints the reason if not."""
    if _is_silent(stack, host):
        print(f"{host.alias}: its server is still to be made, or to answer; nothing of ours is looked for there")
    elif _is_untouched(host):
        print(f"{host.alias}: as its provider handed it over, nothing of ours runs there")
    elif _has_no_docker(host):
        print(f"{host.alias}: Docker is still to come, nothing of ours runs there")
    else:
        return True
    return False


def _of_another_state(stack: Stack, orphans: Mapping[SshHost, Sequence[Orphan]], pending: Sequence[str]) -> Iterator[Problem]:
    hosts = [host.alias for host in orphans]
    for host, found in orphans.items():
        begun = sum(host_of(name_of(urn), hosts) == host.alias and _CONTAINER in urn for urn in pending)
        unknown = sum(kind == _REMOVE_CONTAINER for kind, _, _ in found)
        yield from of_another_state(stack.name, host.alias, unknown - begun, len(stack.containers(host)))


def of_another_state(stack: str, host: str, unknown: int, all_of_them: int) -> Iterator[Problem]:
    """A state that does not know most of a host's containers is not the one that they were deployed with: another, or an old one.

    `unknown` excludes what the killed run had begun to create.
    """
    if unknown > 1 and unknown * 2 > all_of_them:
        yield Problem(
            what=f"the state of {stack} does not know {unknown} of the {all_of_them} containers on {host}",
            why="recovery removes what the state does not know: with an old state, or that of another backend, all of the stack",
            fix="look where the state is that deployed them (PULUMI_BACKEND_URL), and use that one; where it is lost, bring it "
            "back as docs/runbooks/state.md says",
            example=f"make shell STACK={stack}; pulumi whoami --verbose; pulumi stack history --stack {stack}",
        )


def _recover_cloud(stack: Stack, pending: Sequence[Mapping[str, Any]], known: set[str]) -> None:
    """Delete cloud resources that the killed run began to create and the state does not know; only report other unknown ones."""
    from operations.cloud import hetzner_project as cloud  # imports Hetzner's client
    from stacks import rented

    client = rented.client(stack.inputs)
    begun = {
        (cloud.kind(operation["resource"]["type"]), operation["resource"]["inputs"].get("name"))
        for operation in pending
        if operation["type"] == "creating" and operation["resource"]["type"].startswith("hcloud:")
    }
    for item in cloud.labelled(client):
        if item.stack != stack.name or str(item.id) in known:
            continue
        if (item.kind, item.name) in begun:
            cloud.remove(client, item)
            print(f"Hetzner: removed {item.kind} {item.name} ({item.id}), which the killed run had begun to make")
        else:
            print(f"Hetzner: the state does not know {item.kind} {item.name}; where nothing is to be kept: {item.removal}")


def _is_silent(stack: Stack, host: SshHost) -> bool:
    """Whether the host is rented and answers neither with our SSH settings nor with its provider's."""
    rented = {placement.host.name for placement in stack.placements if placement.host.rented}
    ways = (host.as_handed_over, host)
    return host.alias in rented and all(
        subprocess.run(ssh.command(way.config, way.alias, ("true",)), capture_output=True).returncode == NO_ANSWER for way in ways
    )


def _is_untouched(host: SshHost) -> bool:
    """Whether the machine still accepts its first user, as after a first run that was killed early."""
    first = host.as_handed_over
    return subprocess.run(ssh.command(first.config, first.alias, ("true",)), capture_output=True).returncode == 0


def _has_no_docker(host: SshHost) -> bool:
    """Whether Docker is not installed or not enabled: the killed run had not come that far."""
    done = subprocess.run(
        ssh.command(host.config, host.alias, ("systemctl", "is-enabled", "docker")), capture_output=True, text=True
    )
    return done.stdout.strip() in ("disabled", "not-found")


def _orphans(stack: Stack, host: SshHost, known: set[str]) -> Iterator[Orphan]:
    for container in stack.containers(host):
        if container["Id"] not in known:
            yield _REMOVE_CONTAINER, container["Id"], container["Name"].lstrip("/")
    label = f"label={LABEL_STACK}={stack.name}"
    for identity in on_host(host, ["docker", "network", "ls", "-q", "--no-trunc", "--filter", label]).split():
        if identity not in known:
            network: Mapping[str, Any] = json.loads(on_host(host, ["docker", "network", "inspect", identity]))[0]
            yield "network rm", identity, network["Name"]
