"""What the servers of a stack share: the deploy key, a private network, a placement group."""

from collections.abc import Mapping
from ipaddress import IPv4Network

import pulumi
import pulumi_hcloud as hcloud

_ZONE = "eu-central"


def provider(name: str, *, token: pulumi.Input[str], endpoint: str = "") -> hcloud.Provider:
    """The provider for the project of `token`. An `endpoint` is for rehearsals: half a second between polls is too slow."""
    return hcloud.Provider(
        name,
        token=pulumi.Output.secret(token),
        endpoint=endpoint or None,
        poll_interval="20ms" if endpoint else None,
        poll_function="constant" if endpoint else None,
    )


class HetznerProject(pulumi.ComponentResource):
    """The shared resources of a stack's servers. `network`: a private network; `spread`: each server on its own hardware."""

    def __init__(
        self,
        name: str,
        *,
        deploy_key: pulumi.Input[str],
        labels: Mapping[str, str],
        network: IPv4Network | None = None,
        spread: bool = False,
        protected: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vpai:index:HetznerProject", name, None, opts)
        self.labels = labels
        mine = pulumi.ResourceOptions(parent=self)
        self.deploy_key_name = deploy_key_name(name)
        """A name that is known beforehand: as an output of the key, it would replace every server along with the key."""
        self.deploy_key = hcloud.SshKey(
            self.deploy_key_name,
            name=self.deploy_key_name,
            public_key=pulumi.Output.from_input(deploy_key).apply(bare),
            labels=labels,
            # Hetzner cannot change a key and refuses a second one of the same name: the old one is deleted first.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.network_id: pulumi.Output[int] | None = None
        self.subnet: hcloud.NetworkSubnet | None = None
        if network:
            private = hcloud.Network(
                f"{name}-private",
                name=f"{name}-private",
                ip_range=str(network),
                labels=labels,
                delete_protection=protected,
                opts=mine,
            )
            self.network_id = private.id.apply(int)
            self.subnet = hcloud.NetworkSubnet(
                f"{name}-private-subnet",
                network_id=self.network_id,
                type="cloud",
                network_zone=_ZONE,
                ip_range=str(network),
                opts=mine,
            )
        self.placement_group_id: pulumi.Output[int] | None = None
        if spread:
            group = hcloud.PlacementGroup(f"{name}-spread", name=f"{name}-spread", type="spread", labels=labels, opts=mine)
            self.placement_group_id = group.id.apply(int)
        self.register_outputs({})


def deploy_key_name(project: str) -> str:
    """The name of the deploy key of `project` at Hetzner."""
    return f"{project}-deploy"


def bare(public_key: str) -> str:
    """The key without its comment: the API drops the comment, so that another comment would replace the key for nothing."""
    return " ".join(public_key.split()[:2])
