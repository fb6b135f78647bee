"""A server with its firewall and its addresses, and the workarounds for the provider (pulumi-hcloud 1.39).

`location` is set, never `datacenter`, which the API gives up. A new key or another image name would replace the server and all
its data; a private network without `alias_ips` differs at every run. A firewall is made before its server and named in it, never
through `apply_to`: two resources would write one list. The provider never sends an empty rule set.
"""

from collections.abc import Sequence
from datetime import date

import pulumi
import pulumi_hcloud as hcloud

from components.hetzner.cloud_init import user_data
from components.hetzner.host_key import HOST_KEY_LABEL, HostKey, host_key_label
from components.hetzner.project import HetznerProject
from components.host.firewall import cloud_rules
from model import cloud
from model.cloud import CloudServer
from model.firewall import Firewall
from model.problem import refuse
from model.waiver import Waiver

WAIVERS = (
    Waiver(
        rule="secrets-user-data",
        reason="the host key that it starts with, so that the first contact is with this server and nobody else; nothing more",
        until=date(2027, 6, 7),
    ),
)
DESTROY_TIMEOUT = "5m"
"""Time for a deletion. A server that does not shut down by itself may use half of it."""


class HetznerServer(pulumi.ComponentResource):
    """`address` is the public IPv4, `host_key` the key shown at the first contact, `resource` what the services depend on."""

    def __init__(
        self,
        server: CloudServer,
        project: HetznerProject,
        *,
        firewall: Firewall,
        ssh_from: Sequence[str] = (),
        authorized_keys: Sequence[str] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vpai:index:HetznerServer", server.name, {"waivers": [waiver.as_input() for waiver in WAIVERS]}, opts)
        labels = {**project.labels, **server.labels}
        refuse(cloud.label_problems(server.name, labels))
        mine = pulumi.ResourceOptions(parent=self)
        key = HostKey(f"{server.name}-host-key", host=server.name, opts=mine)
        rules = hcloud.Firewall(
            f"{server.name}-firewall",
            name=f"{server.name}-firewall",
            labels=labels,
            rules=[
                hcloud.FirewallRuleArgs(
                    direction="in",
                    protocol=rule.protocol,
                    port=str(rule.port),
                    source_ips=list(rule.sources),
                    description=rule.description,
                )
                for rule in cloud_rules(firewall, ssh_from=ssh_from)
            ],
            opts=mine,
        )
        kept = (
            hcloud.PrimaryIp(
                f"{server.name}-address",
                name=f"{server.name}-address",
                type="ipv4",
                location=server.location,
                auto_delete=False,
                delete_protection=server.protected,
                labels=labels,
                # No assignee: the server refers to the address. A provider that assigns the address would switch the server off.
                opts=pulumi.ResourceOptions(parent=self, protect=server.protected, ignore_changes=["assigneeId", "assigneeType"]),
            )
            if server.keeps_address
            else None
        )
        self.resource = hcloud.Server(
            server.name,
            name=server.name,
            server_type=server.type,
            image=server.image,
            location=server.location,
            # The label has the host key: everybody who may read the project can pin it, on any machine, without the state.
            labels={**labels, HOST_KEY_LABEL: key.public.apply(host_key_label)},
            ssh_keys=[project.deploy_key_name],
            user_data=key.private.apply(lambda private: user_data(private, authorized_keys)),
            backups=server.backups,
            # A larger disk could never become smaller again.
            keep_disk=True,
            delete_protection=server.protected,
            rebuild_protection=server.protected,
            shutdown_before_deletion=True,
            firewall_ids=[rules.id.apply(int)],
            placement_group_id=project.placement_group_id,
            public_nets=[hcloud.ServerPublicNetArgs(ipv4=kept.id.apply(int))] if kept else None,
            networks=_networks(server, project),
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=server.protected,
                ignore_changes=["sshKeys", "userData", "image"],
                depends_on=[project.deploy_key, *([project.subnet] if project.subnet else [])],
                # A name and a kept address can belong to only one server at a time.
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(delete=DESTROY_TIMEOUT),
            ),
        )
        self.address = self.resource.ipv4_address
        self.host_key = key.public
        self.register_outputs({})


def _networks(server: CloudServer, project: HetznerProject) -> list[hcloud.ServerNetworkArgs] | None:
    if not server.private_address or project.network_id is None:
        return None
    return [hcloud.ServerNetworkArgs(network_id=project.network_id, ip=str(server.private_address), alias_ips=[])]
