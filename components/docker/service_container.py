"""A service as a container: image, directories, files, container, and the gate that waits until it is healthy."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import pulumi
import pulumi_docker as docker

from components.docker.configuration_directory import CaddyConfiguration, ConfigurationDirectory, Files, version
from components.docker.docker_host import LABEL_SERVICE, DockerHost
from components.host.docker_daemon import OPEN_FILES
from components.ssh.host_script import HostScript
from model.network import MAGIC_DNS
from model.route import ALL, Site
from model.secret import references, sourced
from model.service import SEEN_WHOLE, TUN, Configuration, Reload, Replacement, Service
from model.waiver import Waiver

Resolve = Callable[[str], pulumi.Output[str]]
"""Replaces the references to secrets in a text by their values."""

# The provider reports these as updated while the container stays as it was (pulumi-docker 5.1).
_SILENTLY_IGNORED = ["healthcheck", "tmpfs", "init", "cpuPeriod", "cpuQuota", "cpus"]
# A limit per user of the host: the provider has none for the processes of one container (CIS Docker 5.29).
_PROCESSES = 4096
# These hold for every service.
STANDING_WAIVERS = (
    Waiver(
        rule="containers-restart",
        subject="unless-stopped",
        reason="a service comes back by itself once what it failed on is fixed; Grafana tells of one that is down",
        until=date(2027, 7, 5),
    ),
)
# Time for calls to the engine besides the gate's deadline.
_GATE_MARGIN_SECONDS = 60


class ServiceContainer(pulumi.ComponentResource):
    """One service on one host. `ready` are the resources that dependents wait for: the service is healthy, its tasks are done."""

    ready: Sequence[pulumi.Resource]

    def __init__(
        self,
        service: Service,
        host: DockerHost,
        *,
        reference: Callable[[str], str],
        base: str,
        hash_key: pulumi.Input[str],
        resolve: Resolve,
        needs: Sequence[pulumi.Resource],
        protect_data: bool,
        delete_data: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vpai:index:ServiceContainer", host.named(service.name), _declared(service, host), opts)
        self._service, self._host = service, host
        self._base, self._resolve = base, resolve
        self._image = self._pulled(service.name, reference(service.image))
        data = self._data(protect_data, delete_data)
        configuration, mount, entrypoint = self._configuration(hash_key)
        self.container = self._container(mount, entrypoint, [*needs, *data, *configuration])
        gate = self._gate()
        self.ready = [gate, *self._tasks([gate], data)]
        self.register_outputs({})

    def _pulled(self, name: str, image: str) -> docker.RemoteImage:
        # keep_locally: a rollback needs no registry. The gate prunes all but the last two images.
        return docker.RemoteImage(self._host.named(name), name=image, keep_locally=True, opts=self._host.options(self))

    def _data(self, protect: bool, delete: bool) -> list[pulumi.Resource]:
        volumes = self._service.volumes
        if not volumes:
            return []
        wanted = [
            word for volume in volumes for word in (volume.owner, f"{volume.mode:04o}", f"{self._base}/data/{volume.directory}")
        ]
        flag = "true" if delete else "false"
        return [
            HostScript(
                self._host.named(f"{self._service.name}-data"),
                self._host.ssh,
                "directories.sh",
                ["apply", flag, *wanted],
                delete=["remove", flag, *wanted],
                opts=pulumi.ResourceOptions(parent=self, protect=protect, depends_on=list(self._host.ready)),
            )
        ]

    def _configuration(
        self, hash_key: pulumi.Input[str]
    ) -> tuple[list[pulumi.Resource], docker.ContainerVolumeArgs | None, Sequence[str]]:
        """The resource that holds the files, their mount, and the entrypoint that reads the environment file."""
        service, configuration = self._service, self._service.configuration
        if configuration is None:
            return [], None, service.entrypoint
        files, secret_files = self._files(configuration)
        # The keyed hash reveals nothing of the secrets inside, and must be readable: it is part of a path.
        name = pulumi.Output.unsecret(
            pulumi.Output.all(secret_files, hash_key).apply(lambda both: version(files, both[0], configuration.owner, both[1]))
        )
        directory = f"{self._base}/config/{service.name}"
        reload = configuration.on_change.command if isinstance(configuration.on_change, Reload) else ()
        arguments: dict[str, Any] = {
            "host": self._host.ssh,
            "directory": directory,
            "files": files,
            "secret_files": secret_files,
            "owner": configuration.owner,
            "version": name,
            "service": f"{LABEL_SERVICE}={service.name}",
            "reload": reload,
            "opts": pulumi.ResourceOptions(parent=self, depends_on=list(self._host.ready)),
        }
        resource_name = self._host.named(f"{service.name}-configuration")
        resource = (
            CaddyConfiguration(resource_name, sites=_sites(configuration.sites), **arguments)
            if configuration.sites
            else ConfigurationDirectory(resource_name, **arguments)
        )
        mounted = directory if reload else pulumi.Output.concat(directory, "/", name)
        mount = docker.ContainerVolumeArgs(host_path=mounted, container_path=configuration.directory, read_only=True)
        return [resource], mount, (*service.with_secrets, *service.entrypoint)

    def _files(self, configuration: Configuration) -> tuple[Files, pulumi.Output[Files]]:
        """The files without secrets, and those with. In one property a secret file would hide every difference."""
        texts = {file.path: (file.content, f"{file.mode:04o}") for file in configuration.files}
        if self._service.secret_environment:
            texts["environment"] = (sourced(self._service.secret_environment), "0400")
        plain = {path: {"content": text, "mode": mode} for path, (text, mode) in texts.items() if not references(text)}
        secret: Mapping[str, Any] = {
            path: {"content": self._resolve(text), "mode": mode} for path, (text, mode) in texts.items() if path not in plain
        }
        return plain, pulumi.Output.from_input(secret)

    def _container(
        self, configuration: docker.ContainerVolumeArgs | None, entrypoint: Sequence[str], depends_on: Sequence[pulumi.Resource]
    ) -> docker.Container:
        service, host = self._service, self._host
        stop_first = service.replacement is Replacement.STOP_FIRST
        data = [
            docker.ContainerVolumeArgs(
                host_path=f"{self._base}/data/{volume.directory}",
                container_path=volume.path,
                read_only=volume.read_only or None,  # an explicit false is a difference at every run
            )
            for volume in service.volumes
        ]
        shown = [
            docker.ContainerVolumeArgs(host_path=mount.path, container_path=mount.container_path, read_only=True)
            for mount in service.host_mounts
        ]
        limits = service.limits
        check = service.healthcheck
        return docker.Container(
            host.named(service.name),
            # A fixed name forbids two containers at once. Without a name the engine adds a random ending.
            name=f"{host.prefix}_{service.name}" if stop_first else None,
            image=self._image.image_id,  # not by name: then every `up` would replace the container
            entrypoints=list(entrypoint) or None,
            command=list(service.command) or None,
            envs=[f"{name}={value}" for name, value in service.environment.items()],
            user=service.user or None,
            read_only=service.read_only_root,
            cgroupns_mode="host" if service.host_cgroups else None,
            init=service.init_process or None,
            tmpfs=dict.fromkeys(service.tmpfs, _tmpfs_options(service)) or None,
            sysctls=dict(service.sysctls) or None,
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"], adds=[f"CAP_{name}" for name in service.capabilities]),
            **_confined(service),
            volumes=[*data, *shown, *([configuration] if configuration else [])],
            # The mesh's resolver: the resolvers of all other containers do not know the mesh's names.
            dns=[str(MAGIC_DNS)] if service.links and not service.uses_mesh_dns else None,
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=host.networks[name].name, aliases=[service.name])
                for name in sorted(service.networks)
            ],
            ports=[
                docker.ContainerPortArgs(internal=port.number, external=port.number, protocol=port.protocol, ip="0.0.0.0")
                for port in service.ports
            ]
            or None,
            memory=limits.memory_mib,
            memory_swap=limits.memory_mib,  # unset, it is a difference at every run
            cpus=str(float(limits.cpus)),  # "1.0", as Docker's provider reads it back; "1" would replace at every run
            shm_size=limits.shared_memory_mib,
            # The daemon's default limit of open files is repeated here: unset, it is read back as a difference.
            ulimits=[
                docker.ContainerUlimitArgs(name=name, soft=limit, hard=limit)
                for name, limit in (("nofile", OPEN_FILES), ("nproc", _PROCESSES))
            ],
            log_driver="json-file",
            log_opts={"max-size": "10m", "max-file": "3"},
            restart="unless-stopped",
            stop_signal=service.stop_signal or None,
            stop_timeout=service.stop_timeout,
            destroy_grace_seconds=service.stop_timeout,
            wait=False,  # the gate waits: the provider's own wait gives no reason and recreates a database that recovers
            must_run=True,
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD", *check.command],
                interval=f"{check.interval}s",
                timeout=f"{check.timeout}s",
                start_period=_duration(check.start_period),
                start_interval="1s",
                retries=check.retries,
            ),
            labels=[docker.ContainerLabelArgs(label=label, value=value) for label, value in host.labels(service.name).items()],
            opts=host.options(
                self,
                depends_on=list(depends_on),
                delete_before_replace=stop_first,
                replace_on_changes=_SILENTLY_IGNORED,
            ),
        )

    def _gate(self) -> HostScript:
        service = self._service
        deadline = service.healthcheck.deadline
        return HostScript(
            self._host.named(f"{service.name}-healthy"),
            self._host.ssh,
            "healthy.sh",
            self.container.id.apply(
                lambda container: [container, str(deadline), f"{self._base}/images/{service.name}"],
            ),
            stays="it only waits",
            triggers=[self.container.id],
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=pulumi.CustomTimeouts(create=f"{deadline + _GATE_MARGIN_SECONDS}s"),
            ),
        )

    def _tasks(self, gate: Sequence[pulumi.Resource], data: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        """The service's tasks. They run again when the service's data directory is replaced."""
        return [
            HostScript(
                self._host.named(task.name),
                self._host.ssh,
                "task.sh",
                [f"{LABEL_SERVICE}={self._service.name}", *task.command],
                payload=self._resolve(task.stdin),
                stays="what it made is in the data of the service",
                triggers=[resource.id for resource in data if isinstance(resource, pulumi.CustomResource)],
                opts=pulumi.ResourceOptions(parent=self, depends_on=list(gate)),
            )
            for task in self._service.tasks
        ]


def _declared(service: Service, host: DockerHost) -> Mapping[str, Any]:
    """Fields of the service that no resource below it shows. The policy pack reads them."""
    return {
        "host": host.ssh.alias,
        "ports": {f"{port.number}/{port.protocol}": port.reason for port in service.ports},
        "waivers": [waiver.as_input() for waiver in (*STANDING_WAIVERS, *service.all_waivers)],
    }


def _sites(sites: Sequence[Site]) -> Mapping[str, str]:
    return {
        site.host + ("" if led.route.paths == (ALL,) else f" {' '.join(led.route.paths)}"): f"{led.route.access} -> "
        + led.leads_to
        + (f" ({led.route.reason})" if led.route.reason else "")
        for site in sites
        for led in site.routes
    }


def _tmpfs_options(service: Service) -> str:
    """Options of a tmpfs that the service's user owns: Docker makes it 755 from the second start on, whatever `mode` is."""
    user, _, group = service.user.partition(":")
    return "rw,noexec,nosuid,nodev,size=64m" + (f",uid={user},gid={group}" if user else "")


def _confined(service: Service) -> Mapping[str, Any]:
    """Security options of the container: confinement, and what a service with user namespaces needs."""
    if not service.user_namespaces:
        return {"security_opts": ["no-new-privileges:true"]}
    return {
        # Explicit, because the daemon's default is true (components/host/docker_daemon.py).
        "security_opts": ["no-new-privileges:false", "seccomp=unconfined", "apparmor=unconfined"],
        "devices": [docker.ContainerDeviceArgs(host_path=TUN, container_path=TUN, permissions="rwm")],
        "mounts": [
            docker.ContainerMountArgs(
                type="volume",
                target=path,
                volume_options=docker.ContainerMountVolumeOptionsArgs(driver_name="local", driver_options=options),
            )
            for path, options in SEEN_WHOLE.items()
        ],
    }


def _duration(seconds: int) -> str:
    """`seconds` in the form that Docker reads back, so that there is no difference: 120 s is 2m0s."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
