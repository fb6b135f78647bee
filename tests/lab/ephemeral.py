"""A stack that rents its server in the lab's cloud, run from a copy of the project. The lab's own stack is its production."""

import yaml

from lab import Lab
from operations.secrets.fake_secrets import fakes
from tests.lab.cloud import TOKEN
from tests.lab.deployment import Deployment
from tests.support.fleets import PROJECT


class Ephemeral(Deployment):
    """The stack `name`, empty: in the lab's mesh, with its images and authority, fake keys, and a cloud project of its own."""

    def __init__(self, lab: Lab, name: str, **settings: object) -> None:
        self._settings = settings
        super().__init__(lab, name)

    def reset(self) -> None:
        super().reset()
        lab = yaml.safe_load((PROJECT / "Pulumi.lab.yaml").read_text())
        mine = lab["config"]
        mine["vpai:kind"] = "copy"
        mine["vpai:hosts"] = {"seko": mine["vpai:hosts"]["seko"]}
        del mine["vpai:runner"]  # the lab's own stack has joined the operator
        mine["vpai:bucketPrefix"] = f"vpai-{self.stack}"
        for name in fakes():
            mine.pop(f"vpai:{name}", None)
        mine |= {f"vpai:{key}": value for key, value in self._settings.items()}
        (self.directory / f"Pulumi.{self.stack}.yaml").write_text(yaml.safe_dump(lab))
        self.run("pulumi", "stack", "select", "--create", self.stack)
        self.pulumi("config", "set", "--secret", "vpai:hcloud_token", TOKEN)
        self.operate("fake-secrets")

    def remove(self) -> None:
        """Destroy and remove the stack."""
        self.pulumi("destroy", "--yes", "--skip-preview")
        self.run("pulumi", "stack", "rm", "--yes", self.stack)
