"""What a container may use: memory, capabilities, users, files of its host."""

from collections.abc import Iterator

from model.host import PEOPLE
from model.placement import Placement
from model.problem import Problem
from model.service import Service


def services_are_confined(placement: Placement) -> Iterator[Problem]:
    """Every service has limits on memory and CPU, names its capabilities, and has an image with a version as its tag."""
    for service in placement.services:
        where = f"{placement.host.name}: {service.name}"
        if service.limits.memory_mib <= 0 or service.limits.cpus <= 0:
            yield Problem(
                what=f"{where} has no limit on its memory or its CPUs",
                why="Docker takes 0 for unlimited, and one service could take the host down with it",
                fix="measure what it uses and give it that with headroom",
                example="limits=Limits(memory_mib=256, cpus=0.5)",
            )
        if "ALL" in service.capabilities:
            yield Problem(
                what=f"{where} adds back ALL capabilities",
                why="its root would be the host's in everything but the file system",
                fix="name those that it needs",
                example='capabilities=("CHOWN", "SETGID", "SETUID")',
            )
        _, _, tag = service.image.rpartition("/")[2].partition(":")
        if tag in ("", "latest"):
            yield Problem(
                what=f"{where} runs the image {service.image}, whose version nobody chose",
                why="the next pull brings whatever is newest, and no rollback knows what ran before",
                fix="name the version as the tag; the image lock adds its digest",
                example='image="docker.io/library/redis:8.0-bookworm"',
            )


_OWN_UID = "give it a uid of its own from 20000 on; if its image works as no other, say may=May(share_uid=...)"


def users_are_their_own(placement: Placement) -> Iterator[Problem]:
    """No two services share a uid unless they are parts of one program; none has a person's. A service owns what it writes to."""
    first: dict[int, Service] = {}
    for service in placement.services:
        where = f"{placement.host.name}: {service.name}"
        for uid in service.uids:
            listed = service.may.share_uid == uid
            other = first.setdefault(uid, service)
            parts = {volume.directory for volume in service.volumes if volume.shared} & {
                volume.directory for volume in other.volumes
            }
            if other is not service and not parts and not (listed and other.may.share_uid == uid):
                yield Problem(
                    what=f"{where} runs as user {uid}, as {other.name} does",
                    why="to the kernel they are one: whatever lets one of them out of its own files lets it into the other's",
                    fix=_OWN_UID,
                    example='user="20009:20009", and the same as `owner` of its volumes and its configuration',
                )
            elif not listed and (uid == 0 or uid in PEOPLE):
                yield Problem(
                    what=f"{where} runs as user {uid}, " + ("which is root" if uid == 0 else "which is of those who log in"),
                    why="whatever lets it out of its own files makes it that user of the host",
                    fix=_OWN_UID,
                    example='user="20009:20009", and the same as `owner` of its volumes and its configuration',
                )
        owners = {volume.path: volume.owner for volume in service.volumes if not volume.read_only}
        if service.configuration:
            owners[service.configuration.directory] = service.configuration.owner
        for path, owner in owners.items():
            if int(owner.partition(":")[0]) not in service.uids:
                yield Problem(
                    what=f"{where} runs as user {service.uid}, and its {path} belongs to {owner}",
                    why="it could not read its own files, or another user of the host could write them",
                    fix="make the service's user the owner",
                    example=f'owner="{service.uid}:{service.uid}"',
                )


def hosts_are_shown_with_reason(placement: Placement) -> Iterator[Problem]:
    """A service gets of its host only what its `may` lists, with a reason."""
    for service in placement.services:
        for mount in service.host_mounts:
            if mount.path not in service.may.mount:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} mounts {mount.path} of its host",
                    why="files of the host are outside of every limit: the Docker socket alone makes whoever holds it root",
                    fix="use a Volume or a Configuration; if it must be, say may=May(mount=...), and why",
                    example='Volume(path="/data", directory="redis", owner="999:999", mode=0o755, backup=Files())',
                )
            if not mount.reason:
                yield Problem(
                    what=f"{placement.host.name}: {service.name} mounts {mount.path} of its host without a reason",
                    why="what a container sees of its host is decided and reviewed path by path",
                    fix="fill in `reason`",
                )
        if service.host_cgroups and not service.may.see_control_groups:
            yield Problem(
                what=f"{placement.host.name}: {service.name} sees the control groups of its host",
                why="it could tell every process of every other service apart, for nothing",
                fix="leave host_cgroups off; only a service that measures containers needs it",
            )
        if service.user_namespaces and not service.may.make_namespaces:
            yield Problem(
                what=f"{placement.host.name}: {service.name} makes user namespaces of its own",
                why="for that it runs without seccomp and AppArmor, and its programs may gain privileges",
                fix="leave user_namespaces off; only a service that runs containers of strangers needs it",
            )
