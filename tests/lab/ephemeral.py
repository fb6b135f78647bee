"""A stack that rents its server, driven from a copy of the project: the lab's cloud, the lab's stack as production."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from lab import Lab
from lab.engine import docker
from tests.fleets import PROJECT
from tests.lab.deployment import Deployment

TOKEN = "v" * 64
_KINDS = ("servers", "ssh_keys", "firewalls", "primary_ips", "networks", "placement_groups", "volumes")


class Ephemeral(Deployment):
    """The stack `name`, empty: a member of the lab's mesh, with the lab's images and authority, in a project of its own."""

    def __init__(self, lab: Lab, name: str, **settings: object) -> None:
        self._settings = settings
        super().__init__(lab, name)

    def reset(self) -> None:
        super().reset()
        lab = yaml.safe_load((PROJECT / "Pulumi.lab.yaml").read_text())
        mine = lab["config"]
        mine["vpai:hosts"] = {"seko": mine["vpai:hosts"]["seko"]}
        del mine["vpai:runner"]  # the operator is a member by the lab's own stack
        mine["vpai:bucketPrefix"] = f"vpai-{self.stack}"
        mine |= {f"vpai:{key}": value for key, value in self._settings.items()}
        (self.directory / f"Pulumi.{self.stack}.yaml").write_text(yaml.safe_dump(lab))
        self.run("pulumi", "stack", "select", "--create", self.stack)
        self.pulumi("config", "set", "--secret", "vpai:hcloud_token", TOKEN)

    def remove(self) -> None:
        """Destroy it, and forget it."""
        self.pulumi("destroy", "--yes", "--skip-preview")
        self.run("pulumi", "stack", "rm", "--yes", self.stack)

    def inventory(self) -> Mapping[str, list[str]]:
        """The names of everything in the cloud's project, by kind; empty kinds left out."""
        found = {kind: sorted(entry["name"] for entry in self.ask("GET", f"/{kind}")[kind]) for kind in _KINDS}
        return {kind: names for kind, names in found.items() if names}

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the cloud's API answers."""
        data = ("--json", json.dumps(body)) if body else ()
        command = ("curl", "-sS", "-X", method, "-H", f"Authorization: Bearer {TOKEN}", *data)
        shown = self.lab.operator.run([*command, f"https://api.hetzner.cloud/v1{path}"]).stdout
        return json.loads(shown) if shown else None

    def servers(self) -> list[str]:
        """Containers that play servers."""
        mine = ("--filter", f"label=vpai.lab={self.lab.id}", "--filter", "label=vpai.lab.server")
        return docker("ps", "--all", "--format", "{{.Names}}", *mine).stdout.split()
