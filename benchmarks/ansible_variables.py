"""`vpai-python -m benchmarks.ansible_variables`: the services of sese as the variables of ansible/playbook.yml, secrets resolved.

Under another project name, on other networks and without published ports: it stands beside the stack and leaves it alone.
"""

import json
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import PurePosixPath
from typing import Any

from model.network import Network
from model.secret import resolve
from model.service import Reload, Service
from operations.stack import Stack

PROJECT = "vpaibench"
HOST = "sese"
BASE = f"/opt/{PROJECT}"
_SUPERNET = IPv4Network("172.22.0.0/16")


def variables(stack: Stack) -> Mapping[str, Any]:
    """Everything that the playbook's tasks loop over."""
    inputs = stack.inputs
    placement = next(placement for placement in inputs.fleet.placements if placement.host.name == HOST)
    secrets: Mapping[str, str] = stack.outputs["secrets"]
    lock, mirror = inputs.fleet.image_lock, inputs.settings.image_mirror
    images = {service.name: lock.reference(service.image, mirror) for service in placement.services}
    return {
        "networks": [_network(*numbered) for numbered in enumerate(placement.networks, start=1)],
        "directories": [directory for service in placement.services for directory in _directories(service)],
        "files": [file for service in placement.services for file in _files(service, secrets)],
        "images": sorted(set(images.values())),
        "containers": [_container(service, images[service.name]) for service in placement.in_order()],
    }


def _network(number: int, network: Network) -> Mapping[str, Any]:
    cidr = list(_SUPERNET.subnets(new_prefix=24))[number]
    gateway = str(next(cidr.hosts()))
    return {"name": _named(network.name), "internal": network.internal, "subnet": str(cidr), "gateway": gateway}


def _directories(service: Service) -> Iterator[Mapping[str, str]]:
    for volume in service.volumes:
        yield _owned(f"{BASE}/data/{volume.directory}", volume.owner, volume.mode)
    if service.configuration:
        nested = {str(parent) for file in service.configuration.files for parent in PurePosixPath(file.path).parents}
        for path in sorted(nested | {"."}):
            yield _owned(f"{_configuration_directory(service)}/{path}", service.configuration.owner, 0o755)


def _files(service: Service, secrets: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    if service.configuration is None:
        return
    texts = {file.path: (file.content, file.mode) for file in service.configuration.files}
    if service.secret_environment:
        texts["environment"] = ("".join(f"{name}='{value}'\n" for name, value in service.secret_environment.items()), 0o400)
    for path, (text, mode) in texts.items():
        owned = _owned(f"{_configuration_directory(service)}/{path}", service.configuration.owner, mode)
        yield {**owned, "content": resolve(text, secrets)}


def _container(service: Service, image: str) -> Mapping[str, Any]:
    limits, check, configuration = service.limits, service.healthcheck, service.configuration
    binds = [f"{BASE}/data/{volume.directory}:{volume.path}" for volume in service.volumes]
    entrypoint = list(service.entrypoint)
    if configuration:
        binds.append(f"{BASE}/config/{service.name}:{configuration.directory}:ro")
        if service.secret_environment:
            read = f'set -a; . {configuration.directory}/environment; set +a; exec "$@"'
            entrypoint = ["sh", "-c", read, "sh", *entrypoint]
    wanted = {
        "name": _named(service.name),
        "image": image,
        "entrypoint": entrypoint,
        "command": list(service.command),
        "env": dict(service.environment),
        "user": service.user,
        "read_only": service.read_only_root,
        "tmpfs": [f"{path}:rw,noexec,nosuid,nodev,size=64m" for path in service.tmpfs],
        "capabilities": list(service.capabilities),
        "volumes": binds,
        "networks": [{"name": _named(name), "aliases": [service.name]} for name in sorted(service.networks)],
        "memory": f"{limits.memory_mib}M",
        "cpus": limits.cpus,
        "shm_size": f"{limits.shared_memory_mib}M",
        "stop_signal": service.stop_signal,
        "stop_timeout": service.stop_timeout,
        "healthcheck": {
            "test": ["CMD", *check.command],
            "interval": f"{check.interval}s",
            "timeout": f"{check.timeout}s",
            "start_period": f"{check.start_period}s",
            "start_interval": "1s",
            "retries": check.retries,
        },
        "deadline": check.deadline,
    }
    # What is left out keeps the image's own value.
    return {name: value for name, value in wanted.items() if value not in ("", [], {})}


def _configuration_directory(service: Service) -> str:
    """A service that reloads finds the files in force under `current`."""
    assert service.configuration
    current = "/current" if isinstance(service.configuration.on_change, Reload) else ""
    return f"{BASE}/config/{service.name}{current}"


def _owned(path: str, owner: str, mode: int) -> Mapping[str, str]:
    uid, _, gid = owner.partition(":")
    return {"path": path, "owner": uid, "group": gid, "mode": f"{mode:04o}"}


def _named(name: str) -> str:
    return f"{PROJECT}_{name}"


def _as_written(value: Any) -> Any:
    """Texts with braces of their own, such as Grafana's templates, marked as none of Ansible's."""
    if isinstance(value, Mapping):
        return {key: _as_written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_written(item) for item in value]
    return {"__ansible_unsafe": value} if isinstance(value, str) and "{" in value else value


if __name__ == "__main__":
    print(json.dumps(_as_written(variables(Stack("lab")))))
