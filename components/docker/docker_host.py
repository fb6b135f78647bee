"""A host with its own Docker engine, reached over SSH, and the host's networks."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_docker as docker

from components.ssh.host_script import SshHost
from model.network import Network

LABEL_STACK, LABEL_SERVICE = "vpai.stack", "vpai.service"
"""Labels of every Docker object of the stack: `make recover` finds by them what a killed run left behind."""


class DockerHost(pulumi.ComponentResource):
    """The connection to one host and the networks on it. `prefix` starts their names.

    Docker resources wait for `ready`: a fresh machine has no Docker yet.
    """

    def __init__(
        self,
        host: SshHost,
        *,
        prefix: str,
        networks: Sequence[Network],
        ready: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vpai:index:DockerHost", host.alias, None, opts)
        self.ssh = host
        self.prefix = prefix
        self.ready = tuple(ready)
        self.provider = docker.Provider(
            host.alias,
            host=f"ssh://{host.alias}",
            ssh_opts=["-F", host.config],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.networks: Mapping[str, docker.Network] = {network.name: self._network(network) for network in networks}
        self.register_outputs({})

    def named(self, name: str) -> str:
        """The name of a resource on this host. It has the host's alias, because two hosts may run the same service."""
        return f"{self.ssh.alias}-{name}"

    def labels(self, service: str = "") -> Mapping[str, str]:
        """The stack's labels for a Docker object on this host."""
        stack = {LABEL_STACK: pulumi.get_stack()}
        return {**stack, LABEL_SERVICE: service} if service else stack

    def options(self, parent: pulumi.Resource, **options: object) -> pulumi.ResourceOptions:
        """Options for a Docker resource below `parent` on this host."""
        return pulumi.ResourceOptions.merge(
            pulumi.ResourceOptions(parent=parent, provider=self.provider, depends_on=list(self.ready)),
            pulumi.ResourceOptions(**options),  # type: ignore[arg-type]
        )

    def _network(self, network: Network) -> docker.Network:
        return docker.Network(
            self.named(network.name),
            name=f"{self.prefix}_{network.name}",
            driver="bridge",
            internal=network.internal,
            # Subnet and gateway are both set: a gateway that Docker chose is a difference at every refresh.
            ipam_configs=[docker.NetworkIpamConfigArgs(subnet=str(network.cidr), gateway=network.gateway)],
            labels=[docker.NetworkLabelArgs(label=label, value=value) for label, value in self.labels().items()],
            opts=self.options(self, delete_before_replace=True),
        )
