"""A stack of one server in the lab's cloud, with the real engine and the real provider."""

import json
import textwrap
from pathlib import Path
from typing import Any

from hcloud import Client

from tests.engine.project import Project
from tests.support.hetzner import PUBLIC_KEY, TOKEN, RunningCloud

PROGRAM = """
    import json
    from dataclasses import replace
    from ipaddress import IPv4Address, IPv4Network
    from pathlib import Path
    import pulumi
    from components import ssh
    from components.hetzner import HetznerProject, HetznerServer, ServerContact, provider
    from components.ssh.host_script import HostScript, SshHost
    from model.cloud import CloudServer
    from model.firewall import MESH_SSH, PUBLIC_SSH, Firewall, IngressRule, Target
    from model.host import Host
    from model.route import Access
    from stacks.rented import goes_with

    wanted = json.loads(Path("wanted.json").read_text())
    cloud = provider("hetzner", token=wanted["token"], endpoint=wanted["endpoint"])
    network = IPv4Network(wanted["network"]) if wanted.get("network") else None
    web = IngressRule(port=443, protocol="tcp", access=Access.PUBLIC, target=Target.CONTAINER, reason="web")
    ssh_open = MESH_SSH if wanted.get("mesh") else PUBLIC_SSH
    firewall = Firewall(ssh=ssh_open, openings=(web,) if wanted.get("web", True) else (), has_mesh=False, has_containers=True)
    opts = pulumi.ResourceOptions(providers={"hcloud": cloud})
    project = HetznerProject(wanted.get("name", "app"), deploy_key=wanted["key"], labels=wanted.get("labels", {"stack": "test"}),
                             network=network, spread=wanted.get("spread", False), opts=opts)
    fields = dict(wanted.get("server", {}))
    if address := fields.pop("private_address", None):
        fields["private_address"] = IPv4Address(address)
    rented = CloudServer(**{"name": "app-01", **fields})
    server = HetznerServer(rented, project, firewall=firewall, opts=opts)
    pulumi.export("address", server.address)
    pulumi.export("host_key", server.host_key)
    pulumi.export("id", server.resource.id)
    if contact := wanted.get("contact"):
        user, port = contact["user"], contact["port"]
        host = Host(name=rented.name, address="", rented=rented, user=user, first_user=user, first_port=port, memory_mib=4096)
        config = ssh.write_client_config(Path(".vpai/test"), [host], Path("known_hosts"))
        alias = SshHost(alias=rented.name, config=str(config))
        met = ServerContact(f"{rented.name}-contact", host=alias, server=server.resource.id, address=server.address,
                            host_key=server.host_key, seconds=contact["seconds"],
                            opts=pulumi.ResourceOptions(depends_on=[server.resource], replace_with=[server.resource]))
        goes_with(rented.name, [rented.name], server.resource, met)
        for name in contact.get("stands", ()):
            # As a host that was handed over a moment ago: the machines of this test have no other port.
            HostScript(f"{rented.name}-{name}", alias.as_handed_over, "first_boot.sh", [f"make {name}"],
                       delete=[f"remove {name}"], opts=pulumi.ResourceOptions(depends_on=[met]))
"""


class Rented(Project):
    """A stack whose program reads `wanted.json`."""

    def __init__(self, directory: Path, toolchain: Path, there: RunningCloud, stack: str = "test") -> None:
        super().__init__(directory, toolchain, stack)
        self.cloud = there.cloud
        self.api: Any = Client(token=TOKEN, api_endpoint=there.endpoint)
        self.wanted: dict[str, Any] = {"token": TOKEN, "endpoint": there.endpoint, "key": PUBLIC_KEY}
        (self.directory / "__main__.py").write_text(textwrap.dedent(PROGRAM))

    def want(self, **changes: Any) -> None:
        """Change the program's input."""
        self.wanted |= changes
        (self.directory / "wanted.json").write_text(json.dumps(self.wanted))

    def up(self, *arguments: str, check: bool = True) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", *arguments, check=check).stdout

    def destroy(self) -> None:
        """Destroy the stack and assert that the cloud is empty."""
        self.pulumi("destroy", "--yes", "--skip-preview")
        assert self.cloud.inventory(TOKEN) == {}

    def outputs(self) -> dict[str, str]:
        shown: dict[str, str] = json.loads(self.pulumi("stack", "output", "--json").stdout)
        return shown

    def server(self) -> Any:
        """The only server; None before it is created."""
        return next(iter(self.api.servers.get_all()), None)
