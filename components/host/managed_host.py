"""A machine under our management: baseline, then SSH and firewall, at the end closed to all but the mesh."""

from collections.abc import Sequence

import pulumi

from components.host import docker_daemon
from components.host.access import Access
from components.host.baseline import Baseline
from components.host.host_access import HostAccess
from components.ssh.host_script import HostScript, SshHost

_BASELINE_TIMEOUT = "20m"
"""A fresh machine downloads its packages, and waits until its own first upgrade releases dpkg's lock."""


class ManagedHost(pulumi.ComponentResource):
    """A host that services can run on. `ready`: it has Docker, the deploying user and a firewall."""

    ready: Sequence[pulumi.Resource]

    def __init__(
        self,
        host: SshHost,
        *,
        baseline: Baseline,
        access: Access,
        revert_seconds: int,
        service_memory_mib: int,
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        declared = {
            "serviceMemoryMib": service_memory_mib,
            "waivers": [waiver.as_input() for waiver in docker_daemon.WAIVERS],
        }
        super().__init__("vpai:index:ManagedHost", host.alias, declared, opts)
        self.ssh = host
        self._access, self._revert_seconds = access, revert_seconds
        prepared = HostScript(
            f"{host.alias}-baseline",
            host,
            "baseline.sh",
            [],
            payload=baseline.payload(),
            stays="the host stays ours: taking its packages, users and rules away would lock its operator out",
            first_contact=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(after),
                custom_timeouts=pulumi.CustomTimeouts(create=_BASELINE_TIMEOUT, update=_BASELINE_TIMEOUT),
            ),
        )
        self.ready = [self._host_access("access", mesh_only=False, depends_on=[prepared])]
        self.register_outputs({})

    def close(self, after: Sequence[pulumi.Resource]) -> None:
        """Close SSH to all but the mesh, as the last step: everything works and the runner is a member."""
        self._host_access("mesh-only", mesh_only=True, depends_on=after)

    def _host_access(self, name: str, *, mesh_only: bool, depends_on: Sequence[pulumi.Resource]) -> HostAccess:
        return HostAccess(
            f"{self.ssh.alias}-{name}",
            host=self.ssh,
            access=self._access,
            mesh_only=mesh_only,
            revert_seconds=self._revert_seconds,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(depends_on)),
        )
