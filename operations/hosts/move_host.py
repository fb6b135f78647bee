"""`make move-host`: moves a host's data to another machine, which takes its place: the way to a larger machine.

The new machine is prepared and the data is backed up while the old one serves. Then the old machine stops and makes a last
backup; the new machine becomes the host and restores that run. Each step is recorded before the next begins: the same command
continues an interrupted move, UNDO=yes goes back. The old machine keeps its data, with its services stopped.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from components import ssh
from components.ssh.host_script import SshHost
from model import ssh_key
from model.host import SSH_PORT
from model.placement import Placement
from model.problem import Problem, refuse
from model.urn import name_of
from operations.backups.host_program import backup, last_backup, on_host_words, restore
from operations.deploy.live_state import live_state
from operations.deploy.up import Code, nothing_to_do, pack
from operations.hosts.replace_host import looked_at, of_host, placement_of, take_place, without
from operations.stack import PROJECT, CommandFailed, Stack, on_host
from stacks.standing import of_pending

_BASELINE_SECONDS = 1200
_IMAGE_SECONDS = 900
_SPARE_MIB = 1024
STEPS = ("prepared", "copied", "stopped", "switched", "placed", "deployed", "restored")


@dataclass(kw_only=True)
class Move:
    """The recorded state of a move."""

    host: str
    to: str
    key: str
    source: str
    """The host's former address."""
    pins: str
    """The host's former lines in the file of known hosts."""
    done: str = ""
    """The last of `STEPS` that is done."""
    stopped: float = 0
    """When the old machine stopped its services, in seconds since 1970."""
    run: str = ""
    """The old machine's last backup run."""

    def has(self, step: str) -> bool:
        return bool(self.done) and STEPS.index(self.done) >= STEPS.index(step)


@dataclass(frozen=True)
class Notes:
    """Directory of a move's record, with an ssh_config for each of the two machines."""

    directory: Path

    @classmethod
    def of(cls, stack: Stack, host: str) -> "Notes":
        return cls(PROJECT / ".vpai" / stack.name / f"move-{host}")

    @property
    def state(self) -> Path:
        """The state from before it forgot the old machine."""
        return self.directory / "state.json"

    def read(self) -> Move | None:
        path = self.directory / "move.json"
        return Move(**json.loads(path.read_text())) if path.exists() else None

    def write(self, move: Move) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.directory / "move.json.new"
        draft.write_text(json.dumps(asdict(move)))
        draft.replace(self.directory / "move.json")

    def forget(self) -> None:
        for name in ("move.json", "state.json"):
            (self.directory / name).unlink(missing_ok=True)

    def machine(self, stack: Stack, host: str, address: str, pins: str) -> SshHost:
        """SSH access to `host` at `address` with these host keys."""
        place = self.directory / address.replace(":", "-")
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = place / "known_hosts"
        known.write_text(pins)
        moved_host = replace(placement_of(stack, host).host, address=address)
        return SshHost(alias=host, config=str(ssh.write_client_config(place, [moved_host], known)))


def move_host(stack: Stack, host: str, to: str, key: str, *, replace_it: bool, undo: bool) -> int:
    """Move `host` to the machine at the address `to` with the host key `key`; without `replace_it` only show the move."""
    notes = Notes.of(stack, host)
    move = notes.read()
    if undo:
        return _undo(stack, notes, move)
    if move is None:
        move = _judged(stack, notes, host, to, key)
        if not replace_it:
            print("Nothing was stopped, nothing was changed; REPLACE=yes does it.")
            return 3
        notes.write(move)
    elif (to, key) not in ((move.to, move.key), ("", "")):
        refuse([_another(stack, move)])
    return _moved(stack, notes, move)


def _moved(stack: Stack, notes: Notes, move: Move) -> int:
    """Do every remaining step."""
    placement = placement_of(stack, move.host)
    target = notes.machine(stack, move.host, move.to, f"{move.host} {move.key}\n").as_handed_over
    if not move.has("prepared"):
        _prepare(stack, placement, target)
        _note(notes, move, "prepared")
    if not move.has("copied"):
        if backup(stack, move.host):
            raise CommandFailed(f"{move.host} could not be backed up; it goes on serving. The same command tries again")
        _note(notes, move, "copied")
    if not move.has("stopped"):
        move.stopped = move.stopped or time.time()
        notes.write(move)
        print(f"{move.host}: stands still from now on", flush=True)
        if last_backup(stack, move.host):
            raise CommandFailed(f"{move.host} could not be backed up; it serves again. The same command tries again")
        move.run = _last_run(stack, move.host)
        _note(notes, move, "stopped")
    if not move.has("switched"):
        _leave_the_mesh(stack, notes, move)
        notes.state.write_text(stack.pulumi("stack", "export"))
        _switch(stack, move.host, move.to, f"{move.host} {move.key}\n")
        _note(notes, move, "switched")
    here = Stack(stack.name)
    if not move.has("placed"):
        take_place(here, placement, target)
        _note(notes, move, "placed")
    if not move.has("deployed"):
        state = here.standing()
        refuse(of_pending(state) if state else ())
        if here.pulumi_live("up", "--yes", "--skip-preview", *pack()):
            raise CommandFailed(f"{move.host} is not deployed yet; fix what is said above, and give the same command again")
        _note(notes, move, "deployed")
    if not move.has("restored"):
        if restore(here, host=move.host, service="", database="", at=move.run, source="bucket", replace=True):
            raise CommandFailed(f"{move.host} has not got its data yet; the same command goes on, UNDO=yes goes back")
        _note(notes, move, "restored")
    notes.forget()
    print(
        f"{move.host}: moved from {move.source} to {move.to}; it stood still for {time.time() - move.stopped:.0f} s. "
        f"The old machine keeps its data and stands still. Commit Pulumi.{stack.name}.yaml and "
        f"{stack.inputs.settings.known_hosts}; what to publish: make dns STACK={stack.name}"
    )
    return 0


def _note(notes: Notes, move: Move, step: str) -> None:
    move.done = step
    notes.write(move)


def _prepare(stack: Stack, placement: Placement, target: SshHost) -> None:
    """Install packages and Docker and pull images: what takes long and disturbs no user."""
    name = placement.host.name
    print(f"{name}: the new machine gets its packages and images", flush=True)
    done = target.run("baseline.sh", [], stack.inputs.host_plans[name].baseline.payload(), seconds=_BASELINE_SECONDS)
    if done.returncode:
        raise CommandFailed(f"the new machine could not be prepared: {done.stderr.strip()}")
    fleet, mirror = stack.inputs.fleet, stack.inputs.settings.image_mirror
    wanted = {service.image for service in placement.services} | ({placement.backup.image} if placement.backup else set())
    for image in sorted(wanted):
        pull = ("sudo", "-n", "docker", "pull", "--quiet", fleet.image_lock.reference(image, mirror))
        # Images that cannot be pulled now are pulled by the `up`.
        subprocess.run(ssh.command(target.config, target.alias, pull), capture_output=True, timeout=_IMAGE_SECONDS)


def _last_run(stack: Stack, host: str) -> str:
    marker = f"/opt/{stack.inputs.fleet.project}/backups/moved.json"
    return str(json.loads(on_host(stack.machines[host], ["sudo", "-n", "cat", marker]))["run"])


def _leave_the_mesh(stack: Stack, notes: Notes, move: Move) -> None:
    """Take the old machine out of the mesh: its name must not lead there. The operator's key still opens it at its address."""
    old = notes.machine(stack, move.host, move.source, move.pins)
    leave = f"ufw allow {SSH_PORT}/tcp && systemd-run --quiet --collect --on-active=2 tailscale down"
    try:
        on_host(old, ["sudo", "-n", "sh", "-c", leave])
    except CommandFailed:
        # An earlier attempt has disconnected it.
        on_host(replace(old, alias=ssh.public_alias(move.host)), ["true"])
    time.sleep(4)
    ssh.hang_up(stack.machines[move.host].config, move.host)


def _switch(stack: Stack, host: str, address: str, pins: str) -> None:
    """Write the host's new address and key into the settings."""
    stack.pulumi("config", "set", "--path", f"vpai:hosts.{host}.address", address)
    path = PROJECT / stack.inputs.settings.known_hosts
    others = [line for line in path.read_text().splitlines(keepends=True) if line.split()[:1] != [host]]
    path.write_text("".join(others) + pins)


def _undo(stack: Stack, notes: Notes, move: Move | None) -> int:
    """Make the old machine serve again."""
    if move is None:
        refuse([_nothing_begun(stack)])
    assert move
    old = notes.machine(stack, move.host, move.source, move.pins)
    if move.has("switched") or notes.state.exists():
        old = replace(old, alias=ssh.public_alias(move.host))
        _switch(stack, move.host, move.source, move.pins)
        now = json.loads(stack.pulumi("stack", "export"))
        before = json.loads(notes.state.read_text())["deployment"]["resources"]
        hosts = [host.name for host in stack.inputs.fleet.hosts]
        now["deployment"]["resources"] = as_before(now["deployment"]["resources"], before, move.host, hosts)
        now["deployment"].pop("pending_operations", None)
        stack.pulumi("stack", "import", stdin=json.dumps(now))
    if move.stopped:
        print(on_host(old, on_host_words(stack, "resume")), end="")
    notes.forget()
    print(f"{move.host}: as it was, at {move.source}; now: make up STACK={stack.name}. The machine at {move.to} is of no use")
    return 0


def as_before(now: list[dict[str, Any]], before: list[dict[str, Any]], host: str, hosts: list[str]) -> list[dict[str, Any]]:
    """A state with `host` from `before` and everything else from `now`; `host` will join the mesh anew."""
    ours = of_host(before, host, hosts, hub=False)
    gone = of_host(now, host, hosts, hub=False)
    rejoins = {urn for urn in ours if name_of(urn) in (f"{host}-in-mesh", f"{host}-mesh-only")}
    others = {str(resource["urn"]): resource for resource in without(now, gone)}
    found = [others.pop(str(resource["urn"]), None) if resource["urn"] not in ours else resource for resource in before]
    return without([*(resource for resource in found if resource), *others.values()], rejoins)


def _judged(stack: Stack, notes: Notes, host: str, to: str, key: str) -> Move:
    """A move that may begin; raises `Refused` with every obstacle, and prints what the move will do."""
    placement = placement_of(stack, host)
    state = stack.standing()
    refuse([*(of_pending(state) if state else ()), *_of_words(stack, placement, to, key)])
    pins = _pins(stack, host)
    target = notes.machine(stack, host, to, f"{host} {key}\n").as_handed_over
    base = f"/opt/{stack.inputs.fleet.project}"
    found = looked_at(target, base)
    old = stack.machines[host]
    used = on_host(old, ["sudo", "-n", "du", "-smxc", base, "/var/lib/docker"]).splitlines()
    held, images = (int(line.split()[0]) for line in used[:2])
    refuse([*of_machine(placement, found, held, images), *_of_stack(stack, host)])
    print(
        f"{host}: from {placement.host.address} to {to}: {held} MiB of data and staging, {images} MiB of images; the new machine "
        f"has {found['free'][0]} MiB free and {found['memory'][0]} MiB of memory\n"
        f"  while {host} serves: packages and images onto the new machine, a backup\n"
        f"  while it stands still: a last backup, `up`, restore. What it holds stays on it"
    )
    return Move(host=host, to=to, key=key, source=placement.host.address, pins=pins)


def _pins(stack: Stack, host: str) -> str:
    lines = (PROJECT / stack.inputs.settings.known_hosts).read_text().splitlines(keepends=True)
    return "".join(line for line in lines if line.split()[:1] == [host])


def of_machine(placement: Placement, found: Mapping[str, list[str]], held: int, images: int) -> Iterator[Problem]:
    """Why a new machine cannot take the host's place. `held`: MiB of data and staged backup; `images`: MiB of images."""
    host = placement.host
    why = "what does not fit would be found out while nothing serves"
    # Space for the data, for the fetched run, and for the run that its own first backup stages.
    needed = 3 * held + images + _SPARE_MIB
    if (free := int(found["free"][0])) < needed:
        yield Problem(
            what=f"the new machine has {free} MiB free, {needed} are needed: {held} three times for data, fetched and staged "
            f"run, {images} for images, {_SPARE_MIB} to spare",
            why=why,
            fix="take one with a larger disk",
        )
    # A machine does not report the memory that its kernel reserves.
    if (memory := int(found["memory"][0])) < host.memory_mib * 9 // 10:
        yield Problem(
            what=f"the new machine has {memory} MiB of memory, {host.memory_mib} are declared",
            why=why,
            fix="take a larger one, or declare less",
            example=f"pulumi config set --path vpai:hosts.{host.name}.memoryMib {memory}",
        )
    if (release := found["release"][0]) != host.release:
        yield Problem(
            what=f"the new machine runs {release}, {host.name} is declared as {host.release}",
            why="its packages, PostgreSQL's locales and sshd differ by release, and nobody has tried this one with the data",
            fix="reinstall it with the same release; change the release by itself, before or after",
        )
    for path in found.get("holds", ()):
        yield Problem(
            what=f"the new machine is not empty: there is {path}",
            why="what it holds would be taken for the host's",
            fix="take a fresh one, or remove what is there",
            example=f"rm -r {path}",
        )


def _of_words(stack: Stack, placement: Placement, to: str, key: str) -> Iterator[Problem]:
    host = placement.host
    example = f"make move-host STACK={stack.name} HOST={host.name} TO=203.0.113.20 KEY='ssh-ed25519 AAAA...'"
    mesh = stack.inputs.fleet.mesh
    if mesh and mesh.hub == host.name:
        yield Problem(
            what=f"{host.name} is the hub of the mesh",
            why="every member looks for it by a public name, and finds the old machine until that has spread",
            fix="make a backup, publish the new address, then as if it had burned: docs/runbooks/restore.md",
        )
    if not placement.backup:
        yield Problem(
            what=f"{host.name} is not backed up, and holds nothing that could move",
            why="a move is a backup and a restore",
            fix="say where the new machine is, and make it the host",
            example=f"make replace-host STACK={stack.name} HOST={host.name}",
        )
    if not to or to == host.address or not _is_address(to):
        yield Problem(
            what=f"TO is {to[:80]!r}, which is {'where it stands' if to and to == host.address else 'no address'}",
            why="the host moves there",
            fix="give the address of the new machine",
            example=example,
        )
    if fault := ssh_key.fault(key):
        yield Problem(
            what=f"KEY {fault}" if key else "KEY is missing",
            why="without it anybody could play the new machine, and would get all data",
            fix="give the host key that the provider's console shows",
            example=example,
        )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        # A host name: letters, digits, hyphens and at least one dot.
        return "." in text and text.replace("-", "").replace(".", "").isalnum()
    return True


def _of_stack(stack: Stack, host: str) -> Iterator[Problem]:
    """Problems of the stack's state: a move recreates the host unchanged, so other changes come before it or after."""
    state = live_state(stack)
    if "all healthy" not in state:
        yield Problem(
            what=state,
            why="what is not well here would be looked for on the new machine",
            fix="fix it first",
            example=f"make status STACK={stack.name}",
        )
    if not nothing_to_do(stack, Code(directory=PROJECT)):
        yield Problem(
            what=f"an up would change the stack {stack.name}",
            why="a move deploys without asking: it must be what stands, on another machine",
            fix="deploy first",
            example=f"make up STACK={stack.name}",
        )


def _another(stack: Stack, move: Move) -> Problem:
    return Problem(
        what=f"{move.host} is on its way to {move.to}",
        why="its data cannot go to two machines",
        fix="go on with that move, or undo it",
        example=f"make move-host STACK={stack.name} HOST={move.host} REPLACE=yes",
    )


def _nothing_begun(stack: Stack) -> Problem:
    return Problem(
        what="no move was begun, or it has come to its end",
        why="only a move that was cut off can be undone",
        fix="move the host back: its old machine is to be a fresh one then",
        example=f"make move-host STACK={stack.name} HOST=sese TO=203.0.113.10 KEY='ssh-ed25519 AAAA...'",
    )
