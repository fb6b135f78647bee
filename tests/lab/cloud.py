"""The lab's cloud, asked directly through its API: the resources in the project of `TOKEN`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab import Lab
from lab.engine import docker

TOKEN = "v" * 64
_KINDS = ("servers", "ssh_keys", "firewalls", "primary_ips", "networks", "placement_groups", "volumes")


@dataclass(frozen=True)
class Cloud:
    """One project of the lab's cloud."""

    lab: Lab

    def inventory(self) -> Mapping[str, list[str]]:
        """Names of all resources by kind, without empty kinds."""
        found = {kind: sorted(entry["name"] for entry in self.ask("GET", f"/{kind}")[kind]) for kind in _KINDS}
        return {kind: names for kind, names in found.items() if names}

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The API's answer as JSON."""
        data = ("--json", json.dumps(body)) if body else ()
        command = ("curl", "-sS", "-X", method, "-H", f"Authorization: Bearer {TOKEN}", *data)
        shown = self.lab.operator.run([*command, f"https://api.hetzner.cloud/v1{path}"]).stdout
        return json.loads(shown) if shown else None

    def servers(self) -> list[str]:
        """Names of the containers that act as servers."""
        mine = ("--filter", f"label=vpai.lab={self.lab.id}", "--filter", "label=vpai.lab.server")
        return docker("ps", "--all", "--format", "{{.Names}}", *mine).stdout.split()
