"""The lab's fleet with each service several times: what a preview and an `up` without changes take as the catalogue grows.

A copy keeps what makes work for the program, the engine and the providers (environment, files, secrets, data directories,
limits, a gate), and runs an image that sleeps: four real catalogues would measure the machine's memory.
"""

from dataclasses import replace

from model.fleet import Fleet
from model.placement import Placement
from model.service import Healthcheck, Replace, Service

_FIRST_UID = 30000
_IMAGE = "docker.io/library/pause:lab"
_PROBE = Healthcheck(command=("true",), interval=10, timeout=5, retries=3, start_period=0)


def grown(fleet: Fleet, times: int) -> Fleet:
    """`fleet` with `times` of each service, on hosts with as many times the memory."""
    return replace(fleet, placements=tuple(_placement(placement, times) for placement in fleet.placements))


def _placement(placement: Placement, times: int) -> Placement:
    host = replace(placement.host, memory_mib=placement.host.memory_mib * times)
    copied = [(service, f"-{number}") for number in range(2, times + 1) for service in placement.services]
    # Parts of one program share their data, and so their user.
    own = [next((volume.directory for volume in service.volumes if volume.shared), service.name) + n for service, n in copied]
    uids = {name: uid for uid, name in enumerate(dict.fromkeys(own), _FIRST_UID)}
    copies = (_copy(*copy, f"{uids[name]}:{uids[name]}") for copy, name in zip(copied, own, strict=True))
    return replace(placement, host=host, services=(*placement.services, *copies))


def _copy(service: Service, suffix: str, user: str) -> Service:
    configuration = service.configuration and replace(service.configuration, sites=(), on_change=Replace(), owner=user)
    return replace(
        service,
        name=service.name + suffix,
        image=_IMAGE,
        entrypoint=("sleep",),
        command=("infinity",),
        user=user,
        other_users=(),
        needs=tuple(need + suffix for need in service.needs),
        volumes=tuple(replace(volume, directory=volume.directory + suffix, owner=user) for volume in service.volumes),
        configuration=configuration,
        healthcheck=_PROBE,
        stop_signal="SIGKILL",
        credentials=(),
        routes=(),
        ports=(),
        host_mounts=(),
        host_cgroups=False,
        user_namespaces=False,
        databases=(),
        tasks=(),
    )
