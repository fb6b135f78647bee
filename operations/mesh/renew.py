"""Renews mesh members whose key has expired: they keep name and address."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from components.docker.docker_host import LABEL_SERVICE
from components.ssh.host_script import SshHost
from operations.stack import CommandFailed, Stack, on_host

_HEADSCALE = f"{LABEL_SERVICE}=headscale"


def renew(stack: Stack) -> None:
    """Ask the hub for every member and renew the expired ones."""
    mesh = stack.inputs.fleet.mesh
    if mesh is None:
        print(f"the stack {stack.name} has no mesh of its own")
        return
    hub = stack.machines[mesh.hub]
    members = _members(hub)
    late = expired(members, time.time())
    for name in late:
        done = hub.run("mesh_hub.sh", ["renew", _HEADSCALE, name], seconds=60)
        if done.returncode:
            raise CommandFailed(f"{hub.alias} (the hub): {name} could not be renewed:\n{done.stderr.strip()}")
        print(f"{name}: had expired, is a member again")
    print(f"{len(members)} members, {len(late)} renewed")


def expired(members: Sequence[Mapping[str, Any]], now: float) -> tuple[str, ...]:
    """Names of expired members in the output of `headscale nodes list -o json`; most keys never expire."""
    return tuple(str(member["given_name"]) for member in members if 0 < ((member.get("expiry") or {}).get("seconds") or 0) < now)


def _members(hub: SshHost) -> Sequence[Mapping[str, Any]]:
    container = on_host(hub, ["docker", "ps", "-q", "--filter", f"label={_HEADSCALE}"]).strip()
    if not container:
        raise CommandFailed(
            f"no Headscale runs on {hub.alias}, so nobody knows who is a member.\n"
            "Start it first: `pulumi up`, or docs/runbooks/mesh.md"
        )
    found: Sequence[Mapping[str, Any]] | None = json.loads(
        on_host(hub, ["docker", "exec", container, "headscale", "nodes", "list", "-o", "json"])
    )
    return found or ()
