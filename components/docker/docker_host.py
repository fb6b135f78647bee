"""A host with a Docker engine of its own, reached over SSH, and its networks."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_docker as docker

from components.ssh.host_script import SshHost
from model.network import Network

LABEL_STACK, LABEL_SERVICE = "vpai.stack", "vpai.service"
"""On everything we make: `make recover` finds by them what a killed run left behind."""


class DockerHost(pulumi.ComponentResource):
    """The connection to one host and the networks on it; `prefix` names them.

    Nothing is made on it before `ready`: a fresh machine has no Docker yet.
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
        """The name of a resource on this host: two hosts may run the same service."""
        return f"{self.ssh.alias}-{name}"

    def labels(self, service: str = "") -> Mapping[str, str]:
        """Our labels for something on this host."""
        stack = {LABEL_STACK: pulumi.get_stack()}
        return {**stack, LABEL_SERVICE: service} if service else stack

    def options(self, parent: pulumi.Resource, **options: object) -> pulumi.ResourceOptions:
        """Options for a docker resource below `parent` on this host."""
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
