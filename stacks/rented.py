"""The servers that a stack rents: checks at Hetzner before `up` changes anything, addresses of existing servers, and the
resources. Only stacks that rent import this module: Hetzner's SDK and client take a quarter of a program's start."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pulumi
from hcloud import Client

from components import ssh
from components.docker.docker_host import LABEL_STACK
from components.hetzner import HetznerProject, HetznerServer, ServerContact, preflight, provider
from components.hetzner.api import NO_ANSWER
from components.hetzner.api import client as api
from components.hetzner.host_key import HOST_KEY_LABEL, HostKey, labelled_host_key
from components.hetzner.project import deploy_key_name
from components.host.firewall import EVERYWHERE
from components.mesh.mesh_member import MeshMember
from components.ssh.host_script import SshHost
from model.cloud import EXPIRES, NEVER, CloudServer, expiry_label
from model.host import host_of
from model.problem import Problem
from stacks.inputs import Inputs


def client(inputs: Inputs) -> Client:
    """A client for the project of the stack's token."""
    return api(inputs.cloud_token)


def note(inputs: Inputs, directory: Path) -> None:
    """Write address and host key of every existing server, and forget servers that are gone: another clone, or a run that was
    killed, may have made or removed them."""
    try:
        servers = client(inputs).servers.get_all(label_selector=f"{LABEL_STACK}={inputs.stack}")
    except NO_ANSWER:
        return  # `problems` reports it
    wanted = {placement.host.name for placement in inputs.fleet.placements if placement.host.rented}
    for server in servers:
        label, net = (server.labels or {}).get(HOST_KEY_LABEL), server.public_net
        if server.name in wanted and label and net and net.ipv4:
            ssh.note_server(directory, str(server.name), str(net.ipv4.ip), labelled_host_key(label))
    for name in wanted - {str(server.name) for server in servers}:
        ssh.forget_server(directory, name)


def problems(inputs: Inputs) -> Iterator[Problem]:
    """Problems: a type that is not available, a key under another name, an invalid token, too many stacks."""
    servers = tuple(placement.host.rented for placement in inputs.fleet.placements if placement.host.rented)
    if not servers:
        return
    key_name = deploy_key_name(inputs.cloud_project)
    yield from preflight.problems(client(inputs), servers, key_name=key_name, public_key=inputs.deploy_key)
    if inputs.settings.expires:
        yield from _too_many(inputs)


def _too_many(inputs: Inputs) -> Iterator[Problem]:
    try:
        living = client(inputs).servers.get_all(label_selector=f"{EXPIRES},{EXPIRES}!={NEVER}")
    except NO_ANSWER:
        return
    stacks = {(server.labels or {}).get(LABEL_STACK, str(server.name)) for server in living}
    most = inputs.settings.most_ephemeral
    if inputs.stack not in stacks and len(stacks) >= most:
        yield Problem(
            what=f"{len(stacks)} stacks that expire have a server already ({', '.join(sorted(stacks))}), and {most} may",
            why="each of them is paid for by the hour, and one that is forgotten for a month",
            fix="destroy one that is not needed, or raise vpai:mostEphemeral",
            example=f"make reap; pulumi destroy --remove -s {min(stacks, default='pr-1')}",
        )


def register(inputs: Inputs, ssh_config: str) -> Mapping[str, Sequence[pulumi.Resource]]:
    """Register the stack's servers; return, by name, the resources that everything on the server waits for."""
    cloud = pulumi.ResourceOptions(providers={"hcloud": provider("hetzner", token=inputs.cloud_token)})
    name = inputs.cloud_project
    key = inputs.deploy_key or HostKey(f"{name}-deploy-key", host=name).public
    labels = {
        LABEL_STACK: inputs.stack,
        "env": inputs.profile.environment,
        "owner": inputs.fleet.project,
        EXPIRES: expiry_label(inputs.settings.expires),
    }
    # Besides the host's own rules, production's cloud firewall allows SSH only from the operator's addresses.
    ssh_from = tuple(map(str, inputs.settings.trusted_addresses)) if inputs.profile.guarded else EVERYWHERE
    project = HetznerProject(name, deploy_key=key, labels=labels, opts=cloud)
    wanted = (placement.host.rented for placement in inputs.fleet.placements)
    return {server.name: [_server(inputs, server, project, ssh_from, ssh_config, cloud)] for server in wanted if server}


def _server(
    inputs: Inputs,
    server: CloudServer,
    project: HetznerProject,
    ssh_from: Sequence[str],
    ssh_config: str,
    cloud: pulumi.ResourceOptions,
) -> ServerContact:
    hetzner_server = HetznerServer(
        server,
        project,
        firewall=inputs.host_plans[server.name].access.firewall,
        ssh_from=ssh_from,
        authorized_keys=inputs.authorized_keys,
        opts=cloud,
    )
    contact = ServerContact(
        f"{server.name}-contact",
        host=SshHost(alias=server.name, config=ssh_config),
        server=hetzner_server.resource.id,
        address=hetzner_server.address,
        host_key=hetzner_server.host_key,
        opts=pulumi.ResourceOptions(depends_on=[hetzner_server.resource], replace_with=[hetzner_server.resource]),
    )
    goes_with(server.name, [host.name for host in inputs.fleet.hosts], hetzner_server.resource, contact)
    return contact


def goes_with(host: str, hosts: Collection[str], server: pulumi.Resource, contact: ServerContact) -> None:
    """Replace and delete every resource on `host` with its server; members of the mesh are still removed one by one.

    Without this the docker provider would not notice a new server, and a destroy would ask a server that is gone.

    The resources are deleted with the contact, which is replaced with the server. Deleting them with the server itself fails: the
    engine (3.259) deletes a server's dependents first, does not yet count the server as gone, and would ask providers that nobody
    has registered yet.
    """

    def transformation(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        elsewhere = args.type_.startswith(("hcloud:", "pulumi:")) or isinstance(args.resource, pulumi.ComponentResource)
        if elsewhere or host_of(args.name, hosts) != host:
            return None
        follows = pulumi.ResourceOptions(replace_with=[server])
        if not isinstance(args.resource, MeshMember):
            follows.deleted_with = contact
        return pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(args.opts, follows))

    pulumi.runtime.register_stack_transformation(transformation)
