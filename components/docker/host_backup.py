"""A host's nightly backup: restic's image, and the plan that the host's own program reads."""

from collections.abc import Sequence

import pulumi
import pulumi_docker as docker

from components.docker.configuration_directory import ConfigurationDirectory, version
from components.docker.docker_host import LABEL_SERVICE, DockerHost

_NAME = "backup"


class HostBackup(pulumi.ComponentResource):
    """What components/host/backup.py's timer starts, from `after` on: the plan is in force when everything in it stands."""

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
            # No container of that name: `current` moves, and there is nobody to tell.
            service=f"{LABEL_SERVICE}={_NAME}",
            reload=["true"],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*host.ready, *after, pulled]),
        )
        self.register_outputs({})
