"""The lab's cloud, asked past the program: what stands in the project of `TOKEN`."""

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
    """One project of it."""

    lab: Lab

    def inventory(self) -> Mapping[str, list[str]]:
        """The names of everything there, by kind; empty kinds left out."""
        found = {kind: sorted(entry["name"] for entry in self.ask("GET", f"/{kind}")[kind]) for kind in _KINDS}
        return {kind: names for kind, names in found.items() if names}

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the API answers."""
        data = ("--json", json.dumps(body)) if body else ()
        command = ("curl", "-sS", "-X", method, "-H", f"Authorization: Bearer {TOKEN}", *data)
        shown = self.lab.operator.run([*command, f"https://api.hetzner.cloud/v1{path}"]).stdout
        return json.loads(shown) if shown else None

    def servers(self) -> list[str]:
        """Containers that play servers."""
        mine = ("--filter", f"label=vpai.lab={self.lab.id}", "--filter", "label=vpai.lab.server")
        return docker("ps", "--all", "--format", "{{.Names}}", *mine).stdout.split()
