"""Registers the resources of a fleet."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pulumi
import pulumi_random

from components import ssh
from components.destroy_guard import DestroyGuard
from components.docker.docker_host import LABEL_SERVICE, DockerHost
from components.docker.host_backup import HostBackup
from components.docker.service_container import ServiceContainer
from components.host.managed_host import ManagedHost
from components.mesh import mesh_member
from components.mesh.direct_path import DirectPath
from components.mesh.mesh_member import MeshMember
from components.secret_store import SecretStore
from components.ssh.host_script import HostScript, SshHost
from model import backup_plan, mesh
from model.host import host_of
from model.mesh import Mesh
from model.placement import Placement
from model.problem import refuse
from services.headscale import MERGED_DIRECTORY
from stacks import bucket_resources, preflight
from stacks.inputs import Inputs
from stacks.standing import Standing, of_settings, standing

Ready = Sequence[pulumi.Resource]
HEADSCALE = f"{LABEL_SERVICE}=headscale"


def unverified(stack: str, images: Sequence[str]) -> str:
    """Message that names the images that were never verified, and the next step."""
    return (
        f"never verified: {', '.join(images)}. What the services say of them was never compared with them. Where their "
        f"registries can be reached: make verify-images STACK={stack}, and commit images.verified.yaml"
    )


def deploy(inputs: Inputs, project_directory: Path) -> None:
    """Register every resource of the stack. An `up` first asks the hosts, and raises `Refused` before it changes anything."""
    ssh_config = client_config(inputs, project_directory)
    if inputs.unverified:
        pulumi.log.warn(unverified(inputs.stack, inputs.unverified))
    if pulumi.runtime.is_dry_run():
        for problem in inputs.unresolved:
            pulumi.log.warn(str(problem))
    else:
        refuse(inputs.unresolved)
        if inputs.rents:
            from stacks import rented

            rented.note(inputs, project_directory / Path(ssh_config).parent)
            refuse(rented.problems(inputs))
        state = standing(inputs.stack, project=project_directory)
        asked = (inputs.fleet, ssh_config, inputs.settings.image_mirror, unknown(inputs, state))
        refuse(preflight.problems(*asked, deployed=state.hosts if state else ()))
    guard = DestroyGuard() if inputs.profile.guarded else None
    _Deployment(inputs, ssh_config).register()
    bucket_resources.register(inputs.fleet.buckets, inputs.external, inputs.settings)
    if guard:
        guard.register(protect=inputs.settings.protect_data)


def unknown(inputs: Inputs, there: Standing | None) -> frozenset[str]:
    """The irreplaceable secrets that neither the state nor the settings have; raises `Refused` for a renamed project."""
    if there is None:
        return frozenset()  # a backend that cannot be read from here
    refuse(of_settings(there, inputs.fleet.project, guarded=inputs.profile.guarded))
    irreplaceable = {secret.name for secret in inputs.fleet.secrets() if secret.irreplaceable}
    return frozenset(irreplaceable - there.generated - inputs.settings.kept.keys())


def client_config(inputs: Inputs, project_directory: Path) -> str:
    """Write the stack's ssh_config; return its path relative to the project, which is the same on every machine."""
    directory = project_directory / ".vpai" / inputs.stack
    path = ssh.write_client_config(directory, inputs.fleet.hosts, project_directory / inputs.settings.known_hosts)
    return str(path.relative_to(project_directory))


class _Deployment:
    """Resources in order: hosts, the hub with its mesh, the members, the services. At the end SSH is closed to the public."""

    def __init__(self, inputs: Inputs, ssh_config: str) -> None:
        self._inputs = inputs
        self._stack, self._fleet, self._settings = inputs.stack, inputs.fleet, inputs.settings
        self._plans = inputs.host_plans
        self._ssh_config = ssh_config
        secrets = self._fleet.secrets()
        self._store = SecretStore(
            self._fleet.project,
            secrets,
            external=inputs.external,
            rotations=self._settings.rotations,
            protect=self._settings.protect_data,
        )
        self._hash_key = pulumi_random.RandomPassword("configuration-hash-key", length=32, special=False)
        self._irreplaceable = {secret.name: secret.irreplaceable for secret in secrets if secret.irreplaceable}

    def register(self) -> None:
        placements = {placement.host.name: placement for placement in self._fleet.placements}
        for placement in placements.values():
            if placement.host.offline:
                _leave_alone(placement.host.name, [host.name for host in self._fleet.hosts])
        contacts = self._rent()
        hosts = {name: self._host(placement, contacts.get(name, ())) for name, placement in placements.items()}
        ready = {name: list(host.ready) for name, host in hosts.items()}
        services: dict[str, Ready] = {}
        members: Mapping[str, MeshMember] = {}
        if self._fleet.mesh and self._fleet.hub_elsewhere:
            members = self._members(self._fleet.mesh, hosts, [self._mesh_part(())])
        elif self._fleet.mesh:
            hub = placements[self._fleet.mesh.hub]
            part, path = self._mesh_part(hosts[hub.host.name].ready), self._direct_path(hub)
            before = {service.name: [path] for service in hub.services}
            services[hub.host.name] = self._services(hub, ready[hub.host.name], {**before, "headscale": [part, path]})
            members = self._members(self._fleet.mesh, hosts, services[hub.host.name])
        for name, placement in placements.items():
            if name not in services:
                # A host joins the mesh before it gets services: at the stack's end the services are removed first, over the mesh.
                services[name] = self._services(placement, [*ready[name], *([members[name]] if members else [])], {})
        if self._fleet.mesh:
            for name, host in hosts.items():
                host.close([*members.values(), *services[name]])
        self._export()

    def _rent(self) -> Mapping[str, Ready]:
        """Register the rented servers; return, by host, the resources that everything on the server waits for."""
        if not self._inputs.rents:
            return {}
        from stacks import rented  # imports Hetzner's SDK and client: a quarter of a program's start

        return rented.register(self._inputs, self._ssh_config)

    def _host(self, placement: Placement, after: Ready) -> ManagedHost:
        plan = self._plans[placement.host.name]
        return ManagedHost(
            self._ssh(placement.host.name),
            baseline=plan.baseline,
            access=plan.access,
            revert_seconds=self._settings.revert_seconds,
            service_memory_mib=placement.host.memory_mib - placement.host.reserve_mib,
            after=after,
        )

    def _services(self, placement: Placement, host_ready: Ready, before: Mapping[str, Ready]) -> Ready:
        """Every service of a host, each after the services that it needs; `before` has further resources to wait for."""
        if not placement.services:
            return host_ready
        ssh_host = self._ssh(placement.host.name)
        host = DockerHost(ssh_host, prefix=self._fleet.project, networks=placement.networks, ready=host_ready)
        ready: dict[str, Ready] = {}
        for service in placement.in_order():
            container = ServiceContainer(
                service,
                host,
                reference=lambda image: self._fleet.image_lock.reference(image, self._settings.image_mirror),
                base=self._base,
                hash_key=self._hash_key.result,
                resolve=self._store.resolve,
                needs=[*(resource for need in service.needs for resource in ready[need]), *before.get(service.name, ())],
                protect_data=self._settings.protect_data,
                delete_data=self._settings.delete_data,
            )
            ready[service.name] = container.ready
        if to := placement.backup:
            image = self._fleet.image_lock.reference(to.image, self._settings.image_mirror)
            HostBackup(
                host,
                image=image,
                plan=backup_plan.plan(placement, stack=self._stack, project=self._fleet.project, image=image),
                secrets=self._store.resolve(backup_plan.secrets(placement)),
                base=self._base,
                hash_key=self._hash_key.result,
                after=[resource for resources in ready.values() for resource in resources],
            )
        return [resource for resources in ready.values() for resource in resources]

    def _mesh_part(self, hub_ready: Ready) -> HostScript:
        """The stack's part of the mesh's policy and of its DNS names."""
        part = {
            "policy": json.loads(mesh.policy(self._fleet.placements)),
            "records": mesh.records(self._fleet.domain, self._fleet.placements, public_too=not self._fleet.named_in_public),
        }
        where = [HEADSCALE, self._mesh_directory, self._stack]
        return HostScript(
            "mesh-part",
            self._hub,
            "mesh_hub.sh",
            ["publish", *where],
            delete=["withdraw", *where],
            payload=json.dumps(part, sort_keys=True),
            opts=pulumi.ResourceOptions(depends_on=list(hub_ready)),
        )

    def _direct_path(self, hub: Placement) -> DirectPath:
        """A check before a container on the hub is replaced: the hub's Caddy and Headscale are the relay."""
        containers = [
            (
                self._fleet.image_lock.reference(service.image, self._settings.image_mirror),
                replace(service, routes=(), ports=()),
                [(port.number, port.protocol) for port in service.ports],
            )
            for service in hub.services
        ]
        return DirectPath(f"{hub.host.name}-direct-path", hub=hub.host.name, guarded=containers)

    def _members(self, of: Mesh, hosts: Mapping[str, ManagedHost], hub_ready: Ready) -> Mapping[str, MeshMember]:
        """Every host, and the runner where the settings name it."""

        def member(alias: str, name: str, tag: str, flags: Sequence[str], after: Ready) -> MeshMember:
            return MeshMember(
                f"{name}-in-mesh",
                alias=alias,
                hub=self._hub,
                service=HEADSCALE,
                parts=self._mesh_directory,
                login_server=of.login_server,
                member_name=name,
                tag=tag,
                flags=flags,
                disposable=self._is_rented(name),
                opts=pulumi.ResourceOptions(depends_on=[*hub_ready, *after]),
            )

        # tailscaled's own rules would let the mesh past UFW and DOCKER-USER (docs/adr/0009-netfilter-off.md).
        joined = {
            name: member(name, name, mesh.tag(name), ["--netfilter-mode=off", "--accept-dns=true"], host.ready)
            for name, host in hosts.items()
        }
        if runner := self._settings.runner:
            joined[runner] = member(mesh_member.RUNNER, runner, mesh.OPERATOR_TAG, ["--accept-dns=true"], ())
        return joined

    def _export(self) -> None:
        pulumi.export("urls", [f"https://{site.host}" for site in self._fleet.sites()])
        if self._inputs.rents:
            pulumi.export("cost", str(self._inputs.fleet.invoice))  # a preview shows the difference to the last deployment
        # For smoke checks and the recovery kit; encrypted in the state like every secret.
        pulumi.export("secrets", pulumi.Output.secret(dict(self._store.values)))
        pulumi.export("irreplaceable", self._irreplaceable)

    def _is_rented(self, member: str) -> bool:
        return any(placement.host.name == member and placement.host.rented for placement in self._fleet.placements)

    @property
    def _hub(self) -> SshHost:
        assert self._fleet.mesh
        return self._ssh(self._fleet.mesh.hub)

    def _ssh(self, host: str) -> SshHost:
        return SshHost(alias=host, config=self._ssh_config)

    @property
    def _base(self) -> str:
        return f"/opt/{self._fleet.project}"

    @property
    def _mesh_directory(self) -> str:
        assert self._fleet.mesh
        return f"/opt/{self._fleet.mesh.project or self._fleet.project}/data/{MERGED_DIRECTORY}"


def _leave_alone(host: str, hosts: Collection[str]) -> None:
    """Keep a host that is switched off as it is: no input of its resources counts as changed."""

    def transformation(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.name == host or host_of(args.name, hosts) != host:
            return None
        unchanged = pulumi.ResourceOptions(ignore_changes=["*"])
        return pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(args.opts, unchanged))

    pulumi.runtime.register_stack_transformation(transformation)
