"""Compares the hosts with the program's desired state; one connection a host, all at once."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from components.host import sshd
from components.host.facts import Facts, parse
from components.host.firewall import forward_rules, spoof_rules
from components.host.host_drift import DesiredHost, DesiredMesh, Difference, differences, not_shown
from components.ssh.host_script import SshHost
from model.fleet import Fleet
from model.host import SSH_PORT
from model.mesh import tag
from model.network import MESH, MESH_V6
from model.placement import Placement
from operations.stack import Stack
from operations.table import table
from stacks.host_plan import HostPlan

IN_ORDER, DRIFTED, NOT_ASKED = 0, 1, 2
"""Exit codes: CI tells a host that does not answer from one that differs."""

_SECONDS = 30

DesiredOf = Callable[[Placement], DesiredHost]


@dataclass(frozen=True)
class Report:
    """One host's facts and their differences, or the reason why there are none."""

    host: str
    facts: Facts | None
    differences: tuple[Difference, ...] = ()
    silence: str = ""


def drift(stack: Stack, desired_of: DesiredOf | None = None) -> int:
    """Print every difference of every host that is switched on; returns one of the exit codes above."""
    desired_of = desired_of or desired_by(stack)
    placements = stack.inputs.fleet.placements
    present = [placement for placement in placements if not placement.host.offline]
    with ThreadPoolExecutor(max_workers=max(1, len(present))) as pool:
        reports = list(pool.map(lambda placement: _report(stack.machines[placement.host.name], desired_of(placement)), present))
    print(_text(reports))
    for placement in placements:
        if placement.host.offline:
            print(f"{placement.host.name}: declared to be off (vpai:offline), not asked")
    silent = [report for report in reports if report.silence]
    for report in silent:
        print(
            f"{report.host} could not be asked: {report.silence}\n"
            "  why it matters: nobody knows whether it is in order\n"
            "  how to fix it: see that it runs and that this machine is in the mesh (docs/runbooks/locked-out.md); "
            f"a host that is off on purpose belongs into vpai:offline\n"
            f"  example: pulumi config set -s {stack.name} --path 'vpai:offline[0]' {report.host}",
            file=sys.stderr,
        )
    if silent:
        return NOT_ASKED
    return DRIFTED if any(report.differences for report in reports) else IN_ORDER


def desired_by(stack: Stack) -> DesiredOf:
    """How the program would set up each host now."""
    plans, fleet = stack.inputs.host_plans, stack.inputs.fleet
    return lambda placement: desired_host(plans[placement.host.name], placement, fleet)


def desired_host(plan: HostPlan, placement: Placement, fleet: Fleet) -> DesiredHost:
    """The desired host as an `up` leaves it: SSH is closed to all but the mesh."""
    host, access = placement.host, plan.access
    return DesiredHost(
        baseline=plan.baseline,
        access_files=access.files(ssh_public=False),
        access_units=("vpai-rescue.timer",),
        ufw_rules=access.ufw_rules(ssh_public=False),
        forward_rules_v4=(*forward_rules(access.firewall), *spoof_rules(access.firewall, str(MESH))),
        forward_rules_v6=spoof_rules(access.firewall, str(MESH_V6)),
        sshd=sshd.effective([SSH_PORT], access.user, access.release, access.trusted),
        mesh=DesiredMesh(name=f"{host.name}.{fleet.mesh.domain}", login_server=fleet.mesh.login_server, tags=(tag(host.name),))
        if fleet.mesh
        else None,
    )


def _report(host: SshHost, desired: DesiredHost) -> Report:
    done = host.run("facts.sh", [], desired.questions(), seconds=_SECONDS)
    if done.returncode:
        return Report(host.alias, None, silence=done.stderr.strip() or f"facts.sh ended with {done.returncode}")
    facts = parse(done.stdout)
    return Report(host.alias, facts, differences(desired, facts))


def _text(reports: list[Report]) -> str:
    rows = [
        (report.host, difference.subject, difference.expected, difference.found, str(difference.fix))
        for report in reports
        for difference in report.differences
    ]
    lines = [table(("host", "what", "expected", "found", "how to fix it"), rows)] if rows else []
    for report in reports:
        if report.facts is None:
            continue
        if not report.differences:
            lines.append(f"{report.host}: in order")
        if report.facts.reboot_required:
            lines.append(f"{report.host}: wants a restart, for an upgrade that is already installed")
        if hidden := not_shown(report.facts):
            lines.append(f"{report.host}: not shown, a container plays it: {', '.join(hidden)}")
    return "\n".join(lines)
