"""`make replace-host`: puts a fresh machine in the place of a lost host.

The state forgets the host's resources, so that the next `up` creates them on the new machine. Until its data is restored that
machine makes no backup: it would be the latest one, and empty. The mesh's hub gets Headscale's data before anything starts: an
empty Headscale would make every member log in anew.
"""

import base64
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.ssh.host_script import SshHost
from model.host import host_of
from model.placement import Placement
from model.problem import Problem, refuse
from model.urn import resource_name
from operations.stack import CommandFailed, Stack
from stacks.standing import of_pending

HEADSCALE = "headscale"
WAITS = "backups/waits.json"
"""File on a machine without its data yet; the host's backup program reads it (components/scripts/installed/vpai-backup.py)."""
_SCRIPT = "fresh_machine.sh"
_SECONDS = 120
_OF_HUB = "mesh-part"
"""A resource on the hub's disk that is not named after a host."""

Resource = Mapping[str, Any]


def replace_host(stack: Stack, host: str) -> int:
    """Remove the resources of `host` from the state. Raises `Refused` unless a fresh machine answers in its place."""
    placement = placement_of(stack, host)
    machine = stack.machines[host].as_handed_over
    state = stack.standing()
    refuse(of_pending(state) if state else ())
    refuse(_problems(host, machine, looked_at(machine, f"/opt/{stack.inputs.fleet.project}")))
    take_place(stack, placement, machine)
    print("Now:")
    for command in next_steps(stack.name, placement):
        print(f"  {command}")
    return 0


def take_place(stack: Stack, placement: Placement, machine: SshHost) -> None:
    """`replace_host` for a machine that was already checked."""
    host = placement.host.name
    mesh = stack.inputs.fleet.mesh
    is_hub = bool(mesh and mesh.hub == host)
    if placement.backup:
        laid = _of_the_mesh(stack, host) if is_hub else {}
        waits = {"since": datetime.now(UTC).isoformat(timespec="seconds"), "laid": sorted(laid)}
        _unpack(stack, machine, waits, *laid.values())
        for service, (manifest, _) in laid.items():
            print(f"{host}: {service}'s data of the run {manifest['run']} is laid out, compared with its manifest")
    state = json.loads(stack.pulumi("stack", "export"))
    resources = state["deployment"].get("resources", [])
    gone = of_host(resources, host, [host.name for host in stack.inputs.fleet.hosts], hub=is_hub)
    state["deployment"]["resources"] = without(resources, gone)
    stack.pulumi("stack", "import", stdin=json.dumps(state))
    print(f"{host}: the state has forgotten {len(gone)} resources of the machine that was there")


def next_steps(stack: str, placement: Placement) -> Iterator[str]:
    """The operator's next commands."""
    yield f"make up STACK={stack}"
    if placement.backup:
        yield f"make restore STACK={stack} HOST={placement.host.name} REPLACE=yes"


def of_host(resources: Sequence[Resource], host: str, hosts: Collection[str], *, hub: bool) -> frozenset[str]:
    """The URNs of all resources on `host`, found by name."""
    names = {str(resource["urn"]): resource_name(resource) for resource in resources}
    return frozenset(urn for urn, name in names.items() if host_of(name, hosts) == host or (hub and name == _OF_HUB))


def without(resources: Sequence[Resource], gone: Collection[str]) -> list[dict[str, Any]]:
    """`resources` without those that are `gone`, and without references to them."""

    def left(urns: Sequence[str]) -> list[str]:
        return [urn for urn in urns if urn not in gone]

    found = []
    for resource in resources:
        if resource["urn"] in gone:
            continue
        kept = {name: value for name, value in resource.items() if not (name in ("deletedWith", "parent") and value in gone)}
        for name in ("dependencies", "replaceWith"):
            if name in kept:
                kept[name] = left(kept[name] or ())
        if kept.get("propertyDependencies"):
            kept["propertyDependencies"] = {key: left(urns or ()) for key, urns in kept["propertyDependencies"].items()}
        found.append(kept)
    return found


def looked_at(machine: SshHost, base: str) -> Mapping[str, list[str]]:
    """A machine's facts, by kind; raises `Refused` when it does not answer as its provider hands it over."""
    done = machine.run(_SCRIPT, ["look", base], seconds=_SECONDS)
    if done.returncode:
        refuse([_no_fresh_machine(machine, done.stderr.strip() or "no answer")])
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        kind, _, value = line.partition(" ")
        found.setdefault(kind, []).append(value)
    return found


def packed(base: Path, listed: Sequence[Mapping[str, Any]], archive: tarfile.TarFile) -> None:
    """Add a run's files of a service below data/ to `archive`, each compared with the manifest's list (`files.json`)."""
    for entry in listed:
        member = tarfile.TarInfo(f"data/{entry['path']}")
        member.uid, member.gid = map(int, str(entry["owner"]).split(":"))
        content = b""
        match entry["type"]:
            case "directory":
                member.type, member.mode = tarfile.DIRTYPE, int(entry["mode"], 8)
            case "link":
                member.type, member.linkname = tarfile.SYMTYPE, entry["to"]
            case _:
                content = (base / entry["path"]).read_bytes()
                member.size, member.mode = len(content), int(entry["mode"], 8)
                if hashlib.sha256(content).hexdigest() != entry["sha256"]:
                    raise CommandFailed(f"{entry['path']} of the run is not as in its manifest")
        archive.addfile(member, io.BytesIO(content))


Laid = tuple[Mapping[str, Any], bytes]
"""The manifest of a run, and a tar of a service's files."""


def _of_the_mesh(stack: Stack, host: str) -> Mapping[str, Laid]:
    """Headscale's data in the latest complete run; raises `Refused` when there is none."""
    from operations.backups.prune import repositories

    [repository] = repositories(stack, host)
    now = datetime.now(UTC)
    runs = [
        snapshot for snapshot in repository.snapshots() if "complete" in (snapshot.get("tags") or ()) and _made(snapshot) <= now
    ]
    if not runs:
        refuse([_no_run(host, repository.to.repository)])
    latest = max(runs, key=_made)["short_id"]
    with tempfile.TemporaryDirectory(prefix="vpai-") as directory:
        include = ("--include", f"/{HEADSCALE}", "--include", "/manifest.json")
        repository.ask("restore", f"{latest}:/backup", "--target", directory, "--quiet", *include)
        manifest = json.loads((Path(directory) / "manifest.json").read_text())
        place = Path(directory) / HEADSCALE
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            packed(place / "data", json.loads((place / "files.json").read_text()), archive)
    return {HEADSCALE: (manifest, buffer.getvalue())}


def _made(snapshot: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(snapshot["time"])


def _unpack(stack: Stack, machine: SshHost, waits: Mapping[str, Any], *laid: Laid) -> None:
    marker = io.BytesIO()
    with tarfile.open(fileobj=marker, mode="w") as archive:
        text = json.dumps(waits).encode()
        member = tarfile.TarInfo(WAITS)
        member.size, member.mode = len(text), 0o644
        archive.addfile(member, io.BytesIO(text))
    base = f"/opt/{stack.inputs.fleet.project}"
    for content in (*(tar for _, tar in laid), marker.getvalue()):
        done = machine.run(_SCRIPT, ["unpack", base], base64.encodebytes(content).decode(), seconds=_SECONDS)
        if done.returncode:
            raise CommandFailed(f"{machine.alias}: {base} could not be written: {done.stderr.strip()}")


def placement_of(stack: Stack, host: str) -> Placement:
    """The host's placement; raises `Refused` for a host that a fresh machine cannot replace."""
    own = {placement.host.name: placement for placement in stack.inputs.fleet.placements}
    machines = [name for name, placement in own.items() if not placement.host.rented]
    if host in machines:
        return own[host]
    rented = f"; {host} is a server that this stack makes: an up with another type, or with --replace, makes it anew"
    refuse(
        [
            Problem(
                what=f"HOST is {host!r}, which is no machine of the stack {stack.name}",
                why="the state forgets what stood on it",
                fix=f"name one of: {', '.join(machines) or 'none is'}{rented if host in own else ''}",
                example=f"make replace-host STACK={stack.name} HOST={machines[0] if machines else 'sese'}",
            )
        ]
    )
    raise AssertionError("refused above")


def _problems(host: str, machine: SshHost, found: Mapping[str, list[str]]) -> Iterator[Problem]:
    for path in found.get("holds", ()):
        yield Problem(
            what=f"{host}: {path} is not empty",
            why="it is no fresh machine: what it holds may be the data, and would be taken for the new one's",
            fix="look whether it is the old machine; if what is there may go, remove it on the machine",
            example=f"ssh -F {machine.config} {machine.alias} rm -r {path}",
        )


def _no_fresh_machine(machine: SshHost, said: str) -> Problem:
    return Problem(
        what=f"{machine.alias}: no machine answers there as its provider hands it over: {said}",
        why="only a fresh one takes the place of a host; one that is ours already needs `make up`",
        fix="give its address and pin its host key, as the provider's console shows it; your key must let its first user in",
        example=f"ssh -F {machine.config} {machine.alias} true",
    )


def _no_run(host: str, repository: str) -> Problem:
    return Problem(
        what=f"{repository} has no complete run",
        why="a hub without its Headscale's data would send every member of the mesh to log in anew",
        fix="look for another repository (make backups); where there is none, every member joins anew: docs/runbooks/mesh.md",
        example=f"make rescue HOST={host} TO=rescued",
    )
