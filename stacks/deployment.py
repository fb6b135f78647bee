"""From a fleet to resources."""

from pathlib import Path

import pulumi
import pulumi_random

from components import ssh
from components.docker_host import DockerHost
from components.host_script import SshHost
from components.secret_store import SecretStore
from components.service_container import ServiceContainer
from model.problem import refuse
from stacks import preflight
from stacks.inputs import Inputs


def deploy(inputs: Inputs, project_directory: Path) -> None:
    """Register every resource of the stack. An `up` first asks the hosts and refuses before anything is touched."""
    ssh_config = client_config(inputs, project_directory)
    if pulumi.runtime.is_dry_run():
        for problem in inputs.unresolved:
            pulumi.log.warn(str(problem))
    else:
        refuse(inputs.unresolved)
        refuse(preflight.problems(inputs.fleet, ssh_config, inputs.settings.image_mirror))
    _resources(inputs, ssh_config)


def client_config(inputs: Inputs, project_directory: Path) -> str:
    """Write the stack's ssh_config; return its path relative to the project, the same on every machine."""
    hosts = [placement.host for placement in inputs.fleet.placements]
    path = ssh.write_client_config(
        project_directory / ".vpai" / inputs.stack, hosts, project_directory / inputs.settings.known_hosts
    )
    return str(path.relative_to(project_directory))


def _resources(inputs: Inputs, ssh_config: str) -> None:
    fleet, settings = inputs.fleet, inputs.settings
    secrets = fleet.secrets()
    store = SecretStore(
        fleet.project,
        secrets,
        external=inputs.external,
        rotations=settings.rotations,
        protect=settings.protect_data,
    )
    hash_key = pulumi_random.RandomPassword("configuration-hash-key", length=32, special=False)
    for placement in fleet.placements:
        host = DockerHost(
            SshHost(alias=placement.host.name, config=ssh_config), prefix=fleet.project, networks=placement.networks
        )
        ready: dict[str, tuple[pulumi.Resource, ...]] = {}
        for service in placement.in_order():
            made = ServiceContainer(
                service,
                host,
                image=fleet.image_lock.reference(service.image, settings.image_mirror),
                base=f"/opt/{fleet.project}",
                hash_key=hash_key.result,
                resolve=store.resolve,
                needs=[resource for need in service.needs for resource in ready[need]],
                protect_data=settings.protect_data,
                delete_data=settings.delete_data,
            )
            ready[service.name] = tuple(made.ready)
    pulumi.export("urls", [f"https://{site.host}" for site in fleet.sites()])
    # What smoke checks and the recovery kit need; encrypted in the state like every secret.
    pulumi.export("secrets", pulumi.Output.secret(dict(store.values)))
    pulumi.export("irreplaceable", {secret.name: secret.irreplaceable for secret in secrets if secret.irreplaceable})
