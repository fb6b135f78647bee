"""Questions to the hosts before `up` changes anything: reachable, known host key, Docker, memory and disk, images."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from components import ssh
from components.mesh import mesh_status
from components.ssh.host_script import NO_ANSWER, SshHost
from model.backup import Nothing
from model.fleet import Fleet
from model.placement import Placement
from model.problem import Problem
from model.service import Configuration, Reload, Service

MINIMUM_FREE_MIB = 1024
_SECONDS = 60
REGISTRY_SECONDS = 40
"""For all of a host's images, which are checked at once."""


def problems(
    fleet: Fleet, ssh_config: str, mirror: str, unknown: Collection[str] = (), *, deployed: Collection[str] = ()
) -> tuple[Problem, ...]:
    """Everything that would make a deployment fail half-way. All hosts but those declared offline are asked at once.

    `unknown` names the irreplaceable secrets that the `up` would generate anew: no host may have data that was written with them.
    `deployed` are the hosts that the state already manages: none may be as its provider handed it over.
    """
    sealed = {placement.host.name: sealed_directories(fleet, placement, unknown) for placement in fleet.placements}

    def ask(placement: Placement) -> list[Problem]:
        host = SshHost(alias=placement.host.name, config=ssh_config)
        images = {fleet.image_lock.reference(service.image, mirror) for service in placement.services}
        lost = sealed.get(host.alias, {})
        staged = ":".join(staged_directories(placement))
        asked = (f"/opt/{fleet.project}", str(MINIMUM_FREE_MIB), str(REGISTRY_SECONDS), ":".join(lost), staged, *sorted(images))
        files = "".join(_asked_of_images(placement, fleet, mirror))
        return list(_host_problems(host, placement, asked, files, lost, deployed=host.alias in deployed))

    directory = Path(ssh_config).parent
    # A server that does not exist yet cannot answer.
    present = [
        placement
        for placement in fleet.placements
        if not placement.host.offline and (not placement.host.rented or ssh.knows_server(directory, placement.host.name))
    ]
    if fleet.hub_elsewhere:
        present.append(Placement(host=fleet.hub_elsewhere, networks=(), services=()))
    with ThreadPoolExecutor() as pool:
        return tuple(problem for found in pool.map(ask, present) for problem in found)


def sealed_directories(fleet: Fleet, placement: Placement, unknown: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """Data directory -> the `unknown` secrets without which it is of no use.

    If the state has none of the fleet's irreplaceable secrets, these are all data directories: databases contain passwords too.
    """
    if not unknown:
        return {}
    every = {secret.name for secret in fleet.secrets() if secret.irreplaceable}
    found = {}
    for service in placement.services:
        own = {secret.name for secret in service.secrets} & set(unknown)
        for volume in service.volumes:
            if (own or every <= set(unknown)) and not isinstance(volume.backup, Nothing):
                found[volume.directory] = tuple(sorted(own or unknown))
    return found


def staged_directories(placement: Placement) -> tuple[str, ...]:
    """The data directories that a backup first copies to the same disk; empty for a host without backups."""
    volumes = (volume for service in placement.services for volume in service.volumes)
    kept = (volume.directory for volume in volumes if not isinstance(volume.backup, Nothing))
    return tuple(dict.fromkeys(kept)) if placement.backup else ()


def _host_problems(
    host: SshHost,
    placement: Placement,
    arguments: Sequence[str],
    files: str,
    sealed: Mapping[str, Sequence[str]],
    *,
    deployed: bool,
) -> Iterator[Problem]:
    done = host.run("preflight.sh", arguments, files, seconds=_SECONDS)
    if done.returncode == NO_ANSWER:
        first = host.as_handed_over.run("preflight.sh", arguments, files, seconds=_SECONDS)
        done = done if first.returncode == NO_ANSWER and "host key verification failed" not in first.stderr.lower() else first
        if first.returncode == 0 and deployed and not placement.host.rented:
            yield another_machine(host.alias)
            return
    if done.returncode and placement.host.rented:
        return  # a killed run may just have made this server: the first contact waits for it, and reports the reason
    if done.returncode:
        changed = "host key verification failed" in done.stderr.lower()
        said = (
            done.stderr.strip()
            or ssh.why_unreachable(Path(host.config).parent, placement.host)
            or "the connection broke; sshd answers again now: run it once more"
        )
        yield (_wrong_key if changed else _unreachable)(placement, said)
        return
    for line in done.stdout.splitlines():
        kind, _, finding = line.partition(" ")
        if kind == "file":
            yield _file_refused(placement, finding)
        elif kind == "data":
            yield _keys_lost(host.alias, f"{arguments[0]}/data/{finding}", sealed[finding])
        else:
            problem_of = {"docker": _docker_down, "disk": _disk_full, "image": _image_missing, "staging": _no_room_for_backups}
            yield problem_of[kind](host.alias, finding)


def _judged_files(placement: Placement) -> Iterator[tuple[Service, Configuration, tuple[str, ...]]]:
    """Services that can check the first of their files, and the command for it. Files with secrets are not checked."""
    for service in placement.services:
        configuration = service.configuration
        if configuration and isinstance(configuration.on_change, Reload) and configuration.on_change.accepts:
            yield service, configuration, configuration.on_change.accepts


def _asked_of_images(placement: Placement, fleet: Fleet, mirror: str) -> Iterator[str]:
    """Input of preflight.sh: for each image, the check of the files that it will run with."""
    for service, configuration, command in _judged_files(placement):
        file, image = configuration.files[0], fleet.image_lock.reference(service.image, mirror)
        size = str(len(file.content.encode()))
        yield "\t".join((service.name, size, file.path, configuration.directory, image, *command)) + "\n" + file.content


def _keys_lost(host: str, directory: str, secrets: Sequence[str]) -> Problem:
    return Problem(
        what=f"{host}: {directory} holds data, and the state has no {', '.join(secrets)}",
        why="new values would be made, with which the data there cannot be read, or not be opened",
        fix="use the state that the data was deployed by (docs/runbooks/state.md); where it is lost, give the values out of the "
        "recovery kit; if the data may go, remove it on the host",
        example=f"pulumi config set --path --secret vpai:kept.{secrets[0]} VALUE",
    )


def _unreachable(placement: Placement, said: str) -> Problem:
    name = placement.host.name
    return Problem(
        what=f"{name} cannot be reached over SSH: {said}",
        why="everything on it is deployed over SSH",
        fix="check the address, that the host runs, and that your key may log in"
        + (
            f"; once deployed it answers in the mesh alone, and {mesh_status.trouble(name)}: docs/runbooks/mesh.md says how to "
            "join, docs/runbooks/locked-out.md how to get in without. A host that is switched off belongs into vpai:offline"
            if placement.host.mesh_domain
            else ""
        ),
        example=f"ssh -v {placement.host.user}@{placement.host.address} -p {placement.host.in_public.port}",
    )


def _wrong_key(placement: Placement, said: str) -> Problem:
    name = placement.host.name
    return Problem(
        what=f"{name} shows another host key than the pinned one: {said}",
        why="somebody may sit in between, and would get every secret",
        fix="compare with the key on the provider's console; only if the host was really reinstalled, change the pin",
        example=f"{name} ssh-ed25519 AAAA...   # one line of the file in vpai:knownHosts",
    )


def another_machine(host: str) -> Problem:
    return Problem(
        what=f"{host} is a machine as its provider hands it over, and the state says that everything stands there",
        why="an up would find nothing to do on it, or fail in the middle",
        fix="if a fresh machine has taken the place of the old one, have the state forget what stood there, then bring the data "
        "back: docs/runbooks/restore.md, 'The machine is gone'; else it is the wrong machine: correct its address",
        example=f"make replace-host HOST={host}",
    )


def _docker_down(host: str, said: str) -> Problem:
    return Problem(
        what=f"{host}: the Docker daemon does not answer: {said}",
        why="containers and networks are made by it",
        fix="start it, and read its journal if it does not stay up",
        example=f"ssh {host} sudo systemctl restart docker; ssh {host} journalctl -u docker -n 50",
    )


def _disk_full(host: str, finding: str) -> Problem:
    path, _, free = finding.rpartition(" ")
    return Problem(
        what=f"{host}: {path} has {free} MiB left, {MINIMUM_FREE_MIB} are needed",
        why="images and configuration would be written half, and databases stop when the disk is full",
        fix="free space or enlarge the disk",
        example=f"ssh {host} 'sudo du -xhd2 {path} | sort -h | tail'; ssh {host} docker image prune",
    )


def _no_room_for_backups(host: str, finding: str) -> Problem:
    needed, _, free = finding.partition(" ")
    return Problem(
        what=f"{host}: a backup needs up to {needed} MiB beside the data, and {free} MiB are free, what is staged now included",
        why="every night's backup would fail, and a restore has no more room than it",
        fix="enlarge the disk, move to a larger machine (make move-host), or free space",
        example=f"ssh {host} docker image prune -a",
    )


def _image_missing(host: str, finding: str) -> Problem:
    image, _, said = finding.partition(" ")
    return Problem(
        what=f"{host} can get no image {image}: {said}",
        why="the service could not be started",
        fix="where its registry is slow or away: try again, or push the image to a mirror (vpai:imageMirror); else correct its "
        "name or digest in the image lock",
        example=f"docker manifest inspect {image}",
    )


def _file_refused(placement: Placement, finding: str) -> Problem:
    name, _, said = finding.partition(" ")
    [(file, command)] = [
        (asked.files[0], command) for service, asked, command in _judged_files(placement) if service.name == name
    ]
    return Problem(
        what=f"{placement.host.name}: {name} would refuse its new {file.path}: {said}",
        why="the old one would stay in force after half a deployment, or the service would not start again",
        fix=f"correct what services/{name.replace('-', '_')} renders",
        example=" ".join(command),
    )
