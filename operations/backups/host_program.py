"""An operator's commands for backups: back up now, list, restore. The program on the host does the work."""

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from components import ssh
from components.host.backup import Schedule
from components.ssh.host_script import SshHost
from model import backup_plan
from model.placement import Placement
from model.problem import Problem, refuse
from operations.backups import second_copy
from operations.stack import CommandFailed, Stack, on_host
from operations.table import table

_PROGRAM = "/usr/local/sbin/vpai-backup"
_RESTORING = "vpai-restore.service"
_LAST = "vpai-backup-last.service"


def backup(stack: Stack, host: str) -> int:
    """Back up every host now, or one, and print its log; 0 when all backups are complete."""
    codes = []
    for placement in _backed_up(stack, host):
        codes.append(_follow(stack, placement, "vpai-backup.service", ()))
    return max(codes)


def backups(stack: Stack, host: str) -> int:
    """List every run in each host's repository; 0 when each host has a complete run of the last 26 hours."""
    rows, late = [], []
    now = datetime.now(UTC)
    for placement in _backed_up(stack, host):
        name = placement.host.name
        try:
            found = json.loads(on_host(stack.machines[name], on_host_words(stack, "runs")))
        except CommandFailed as failed:
            rows.append((name, "-", f"cannot be asked: {failed}", *("",) * 6))
            late.append(name)
            continue
        for run in found:
            taken = datetime.fromisoformat(run["time"])
            kind = "complete" if run["complete"] else "databases" if run["databases"] else "not complete"
            state = "FROM THE FUTURE" if run["future"] else kind
            size, added = _mib(run["bytes"]), _mib(run["added"])
            where = "bucket, staging" if run["staged"] else "bucket"
            age = f"{(now - taken).total_seconds() / 3600:.1f} h"
            rows.append((name, run["run"], state, age, str(run["items"]), size, added, f"{run['seconds']} s", where))
        complete = [run for run in found if run["complete"] and not run["future"]]
        if not complete or (now - datetime.fromisoformat(complete[-1]["time"])).total_seconds() > 26 * 3600:
            late.append(name)
    print(table(("host", "run", "", "age", "items", "size", "added", "took", "in"), rows))
    if alone := second_copy.missing(stack):
        print(f"\n{alone}")
    if late:
        print(f"\nno complete backup of the last 26 hours: {', '.join(late)}; `make backup STACK={stack.name}` makes one")
    return min(len(late), 1)


def restore(
    stack: Stack, *, host: str, service: str, database: str, at: str, source: str, replace: bool, undo: bool = False
) -> int:
    """Restore a run on one host; without `replace` only show what would be done."""
    placement = _one(stack, host, service)
    if undo:
        words = ["undo"]
    else:
        words = ["restore", "--from", source or "bucket", "--run", at, "--service", service, "--database", database]
        words += ["--replace"] if replace else []
    # A systemd unit of the host runs the restore: a broken connection does not leave half a restore.
    start = ["systemd-run", "--quiet", "--no-block", f"--unit={_RESTORING}", *_program(stack, *words)]
    return _follow(stack, placement, _RESTORING, start)


def last_backup(stack: Stack, host: str) -> int:
    """Make the last backup of a host and leave its services stopped (`vpai-backup run --last`); 0 when it is complete."""
    placement = _one(stack, host, "")
    start = ["systemd-run", "--quiet", "--no-block", f"--unit={_LAST}", *_program(stack, "run", "--last")]
    return _follow(stack, placement, _LAST, start)


def restore_files(stack: Stack, *, host: str, service: str, at: str, source: str, to: str) -> int:
    """Extract files of a run into a directory of the host."""
    placement = _one(stack, host, service)
    words = ("extract", "--from", source or "bucket", "--run", at, "--service", service, "--to", to)
    return subprocess.run(_over(stack.machines[placement.host.name], on_host_words(stack, *words))).returncode


def _follow(stack: Stack, placement: Placement, unit: str, start: Sequence[str]) -> int:
    machine = stack.machines[placement.host.name]
    subprocess.run(_over(machine, ["sudo", "-n", "systemctl", "reset-failed", unit]), capture_output=True)
    code = subprocess.run(_over(machine, on_host_words(stack, "follow", unit, *(("--", *start) if start else ())))).returncode
    if code == 255:
        print(f"{machine.alias}: the connection broke; {unit} goes on. Its lines: journalctl -u {unit}", file=sys.stderr)
    return code


def on_host_words(stack: Stack, *arguments: str) -> list[str]:
    """The command that runs the host's backup program with `arguments`."""
    return ["sudo", "-n", *_program(stack, *arguments)]


def _program(stack: Stack, *arguments: str) -> list[str]:
    schedule = Schedule(base=f"/opt/{stack.inputs.fleet.project}", time="", timezone="", delay_minutes=0)
    return [_PROGRAM, schedule.plan, *arguments]


def _over(machine: SshHost, words: Sequence[str]) -> tuple[str, ...]:
    return ssh.command(machine.config, machine.alias, words)


def _backed_up(stack: Stack, host: str = "") -> tuple[Placement, ...]:
    """The hosts with a backup, or `host` alone; raises `Refused` when none is left."""
    found = tuple(placement for placement in stack.placements if placement.backup)
    chosen = tuple(placement for placement in found if host in ("", placement.host.name))
    names = ", ".join(placement.host.name for placement in found)
    if not chosen:
        refuse(
            [
                Problem(
                    what=f"the host {host} is not backed up" if host else f"nothing of the stack {stack.name} is backed up",
                    why="backups go to a bucket, by keys that each host has of its own",
                    fix=f"use one of: {names}" if names else "set vpai:bucketPrefix and the keys (docs/runbooks/buckets.md)",
                    example=f"make backup STACK={stack.name}" + (f" HOST={found[0].host.name}" if found else ""),
                )
            ]
        )
    return chosen


def _one(stack: Stack, host: str, service: str) -> Placement:
    """The host to restore on."""
    found = [placement for placement in _backed_up(stack, host) if not service or service in _services(placement)]
    if len(found) == 1:
        return found[0]
    every = _backed_up(stack)
    known = "; ".join(f"{placement.host.name}: {', '.join(backup_plan.items(placement))}" for placement in every)
    refuse(
        [
            Problem(
                what=f"no host keeps data of the service {service!r}" if not found else "several hosts are meant",
                why="a restore replaces what is there, on one host at a time",
                fix=f"name the host and what is to come back. There is {known}",
                example=f"make restore STACK={stack.name} HOST={every[0].host.name} SERVICE={backup_plan.items(every[0])[0]}",
            )
        ]
    )
    raise AssertionError


def _services(placement: Placement) -> frozenset[str]:
    return frozenset(backup_plan.items(placement))


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
