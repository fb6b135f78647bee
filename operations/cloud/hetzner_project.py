"""This project's resources in a Hetzner project, whether a state knows them or not."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hcloud import APIException, Client

from components.docker.docker_host import LABEL_STACK
from model.cloud import EXPIRES

# In the order in which they can be deleted; the key is the noun of the hcloud command.
_KINDS = {
    "server": "servers",
    "primary-ip": "primary_ips",
    "firewall": "firewalls",
    "network": "networks",
    "placement-group": "placement_groups",
    "ssh-key": "ssh_keys",
}
_BUSY = ("locked", "resource_in_use")
_DEADLINE_SECONDS = 120


@dataclass(frozen=True)
class Resource:
    """A resource in the project with our label."""

    kind: str
    id: int
    name: str
    stack: str
    expires: str
    """Value of the expiry label; empty when there is none."""
    environment: str = ""
    """The label that names the kind of its stack (model/kind.py); empty when there is none."""

    @property
    def removal(self) -> str:
        """The command that deletes the resource."""
        return f"hcloud {self.kind} delete {self.id}"


def kind(token: str) -> str:
    """The hcloud noun for an engine type: hcloud:index/primaryIp:PrimaryIp is primary-ip."""
    return re.sub("([A-Z])", r"-\1", token.partition("/")[2].partition(":")[0]).lower()


def labelled(client: Client) -> tuple[Resource, ...]:
    """All resources in the project with our label."""
    api: Any = client
    return tuple(
        _resource(kind, resource)
        for kind, table in _KINDS.items()
        for resource in getattr(api, table).get_all(label_selector=LABEL_STACK)
    )


def remove(client: Client, resource: Resource) -> None:
    """Delete the resource, after its running actions have ended."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while True:
        try:
            done: Any = getattr(client, _KINDS[resource.kind]).get_by_id(resource.id).delete()
        except APIException as refused:
            if refused.code not in _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(1)
            continue
        if resource.kind == "server":
            done.wait_until_finished()
        return


def _resource(kind: str, it: Any) -> Resource:
    labels: Mapping[str, str] = it.labels or {}
    return Resource(kind, it.id, str(it.name), labels[LABEL_STACK], labels.get(EXPIRES, ""), labels.get("env", ""))
