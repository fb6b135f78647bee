"""A host's nightly backup: restic's image, and the plan that the backup program on the host reads."""

from collections.abc import Sequence

import pulumi
import pulumi_docker as docker

from components.docker.configuration_directory import ConfigurationDirectory, version
from components.docker.docker_host import LABEL_SERVICE, DockerHost

_NAME = "backup"


class HostBackup(pulumi.ComponentResource):
    """Image and plan for the timer of components/host/backup.py. The plan comes into force after the resources in `after`."""

    def __init__(
        self,
        host: DockerHost,
        *,
        image: str,
        plan: str,
        secrets: pulumi.Input[str],
        base: str,
        hash_key: pulumi.Input[str],
        after: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vpai:index:HostBackup", host.named(_NAME), None, opts)
        pulled = docker.RemoteImage(host.named("restic"), name=image, keep_locally=True, opts=host.options(self))
        files = {"plan.json": {"content": plan, "mode": "0400"}}
        secret_files = pulumi.Output.from_input(secrets).apply(lambda text: {"secrets.json": {"content": text, "mode": "0400"}})
        owner = "0:0"
        name = pulumi.Output.unsecret(
            pulumi.Output.all(secret_files, hash_key).apply(lambda both: version(files, both[0], owner, both[1]))
        )
        ConfigurationDirectory(
            host.named(f"{_NAME}-plan"),
            host=host.ssh,
            directory=f"{base}/config/{_NAME}",
            files=files,
            secret_files=secret_files,
            owner=owner,
            version=name,
            # No container has this label: `current` moves, and no program has to be told.
            service=f"{LABEL_SERVICE}={_NAME}",
            reload=["true"],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*host.ready, *after, pulled]),
        )
        self.register_outputs({})
