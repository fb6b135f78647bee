"""`make bench`: measures what the project promises to be fast; prints a table and saves it.

A benchmark, not a test: a missed target is shown, and the exit code is 0. It removes this checkout's lab and raises it again.
`ONLY=program,growth` measures those groups alone, on the lab as it stands; all other rows keep what they were and when.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks import ansible_peer, cold, floor, growth, judging, meter, results
from benchmarks.meter import Run
from benchmarks.results import Row
from lab.errors import LabError
from lab.lab import Lab
from toolchain.progress import step

CHECKOUT = Path(__file__).parent.parent
RUNS = 5
COLD, ANSIBLE = "make lab, cold", "Ansible, no changes"
NOTES = (
    f"`{COLD}`: a fresh clone; VPAI's, Go's, pip's and Maven's caches empty. Still warm: {cold.STILL_WARM}. "
    "Measured only when it is named: it takes many minutes.",
    "Every row of several runs follows one that is not counted.",
    "Bootstrap: from machines as a provider hands them over to a user, packages (there already), Docker, firewall and sshd on "
    "804, on three hosts at once. In order: the same scripts again, of which none changes anything; and what the engine takes "
    "to say so, with all else of the stack registered.",
    "Ansible deploys the services of sese alone; Pulumi three hosts and the mesh besides. Pipelining, ControlPersist over the "
    "stack's own ssh_config, no facts. It looks at the host, as `pulumi refresh` does; plain `pulumi up` compares with the state "
    "and asks the host only whether a deployment could work.",
    "2 x, 4 x services: each service of the catalogue once or three times more, with its files, secrets, directories and gate, "
    "on an image that sleeps.",
    "Preview of prod: in a throw-away stack with dummies and no hosts, every resource new; `above none` is the difference of two "
    "runs in turn. `python -m benchmarks.judging` measures it alone.",
    "No changes: ours, the floor and Ansible in turn, so that the machine's mood meets all of them. Floor: a flat program of as "
    "many RandomStrings as the stack has resources. `make up` ends where its preview finds nothing to do.",
    "A ratio says how many times the median of the row the peer's is.",
)
_ON_A_LAB = {"program", "daily", "growth"}
_OPERATOR = ("python3", "-m", "lab", "exec", "--")
_UP = ("pulumi", "up", "--yes", "--skip-preview", "--stack", "lab")
# Docker's providers are made whatever is targeted, and have a parent.
_HOSTS = tuple(
    f"--target=urn:pulumi:lab::vpai::vpai:index:{part}"
    for part in ("ManagedHost::*", "ManagedHost$**-baseline", "ManagedHost$**-access", "DockerHost::*")
)
_NO_CHANGES = ("--stack", "lab", "--non-interactive", "--expect-no-changes")


def main() -> int:
    lab = Lab.of_checkout(CHECKOUT)
    groups: Mapping[str, Callable[[], Iterable[Row]]] = {
        "cold": _cold,
        "newcomer": _newcomer,
        "program": lambda: _program(lab),
        "daily": lambda: _daily(lab),
        "judged": _judged,
        "growth": lambda: _growth(lab),
    }
    only = os.environ.get("ONLY", "").split(",") if os.environ.get("ONLY") else []
    if unknown := sorted(set(only) - set(groups)):
        known = ", ".join(groups)
        print(f"bench: ONLY names {', '.join(unknown)}; the groups are {known}, as in: make bench ONLY=growth", file=sys.stderr)
        return 1
    rows = {name: row for name, row in results.former().items() if only or name == COLD}
    try:
        if _ON_A_LAB & set(only) and "newcomer" not in only:
            with step("make lab"):
                meter.measure(1, ["make", "lab"], CHECKOUT, warm_up=False)
        for name in only or [name for name in groups if name != "cold"]:
            for row in groups[name]():
                rows[row.name] = row
                results.save(tuple(rows.values()), NOTES)
    except (meter.Failed, LabError) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    print(f"\n{results.shown(tuple(rows.values()))}\n\n{results.machine()}")
    return 0


def _cold() -> list[Row]:
    with step(COLD):
        runs = cold.measure(CHECKOUT)
    return [Row.of_times(COLD, runs, 1200, whole_tree=False)]


def _newcomer() -> list[Row]:
    """What a newcomer waits for the next times; leaves a lab with its stack deployed."""
    lab = Lab.of_checkout(CHECKOUT)
    bootstrap = _bootstrap(lab)
    deployed = _first_deployment(lab)
    with step("make lab-down"):
        meter.measure(1, ["make", "lab-down"], CHECKOUT, warm_up=False)
    with step("make lab, from nothing"):
        raised = meter.measure(1, ["make", "lab"], CHECKOUT, warm_up=False)
    with step("make lab, again"):
        again = meter.measure(RUNS, ["make", "lab"], CHECKOUT, warm_up=False)
    with step("make toolchain"):
        toolchain = meter.measure(RUNS, ["make", "toolchain"], CHECKOUT)
    return [
        Row.of_times("make lab, warm caches, from nothing", raised, whole_tree=False),
        Row.of_times("make lab on a running lab", again, whole_tree=False),
        Row.of_times("make toolchain, warm", toolchain, 1),
        Row.of_times("bootstrap of three fresh hosts", bootstrap, 90),
        Row.of_times("pulumi up from fresh hosts, the whole catalogue", deployed, 360),
    ]


def _bootstrap(lab: Lab) -> list[Run]:
    """Once, because a host is fresh only once."""
    _fresh(lab)
    with step("bootstrap"):
        return meter.measure(1, [*_OPERATOR, *_UP, *_HOSTS], CHECKOUT, warm_up=False)


def _baselines(lab: Lab) -> str:
    """A script in the operator that runs what the engine ran on each host, on all at once; it fails if one changes anything."""
    exported = lab.operator.run(["pulumi", "stack", "export", "--stack", "lab"], directory=str(CHECKOUT)).stdout
    resources = json.loads(exported)["deployment"]["resources"]
    lines = ["set -e", ": >/tmp/changed"]
    for each in (resource for resource in resources if resource["urn"].endswith("-baseline")):
        name, inputs = each["urn"].rpartition("::")[2], each["inputs"]
        lab.operator.run(["sh", "-c", f"cat >/tmp/{name}"], input=inputs["stdin"])
        lines += [f"({inputs['create']}) </tmp/{name} >>/tmp/changed &", 'all="$all $!"']
    lines += ["for each in $all; do wait $each; done", "if [ -s /tmp/changed ]; then cat /tmp/changed >&2; exit 1; fi"]
    lab.operator.run(["sh", "-c", "cat >/tmp/baselines"], input="\n".join(lines))
    return "/tmp/baselines"


def _first_deployment(lab: Lab) -> list[Run]:
    """Once, as `_bootstrap`: hosts, mesh and every service, until all of them are healthy."""
    _fresh(lab)
    with step("pulumi up, from fresh hosts"):
        return meter.measure(1, [*_OPERATOR, *_UP], CHECKOUT, warm_up=False)


def _fresh(lab: Lab) -> None:
    lab.down()
    lab.up()
    lab.operator.run(["pulumi", "stack", "select", "--create", "lab"], directory=str(CHECKOUT))


def _program(lab: Lab) -> list[Row]:
    """What whoever deploys waits for, measured in the operator."""
    with step("bootstrap of hosts in order"):
        in_order = _in_operator(lab, "sh", _baselines(lab))
        hosts = _in_operator(lab, *_UP, *_HOSTS, "--expect-no-changes")
    with step("program import"):
        imported = _in_operator(lab, "vpai-python", "-c", "import stacks.deployment")
    with step("drift"):
        drift = _in_operator(lab, "vpai-python", "-m", "operations", "drift", "--stack", "lab")
    return [
        Row.of_times("bootstrap of three hosts in order, on the hosts", in_order, 2),
        Row.of_times("pulumi up of three hosts, no changes", hosts, 2),
        Row.of_times("program import", imported, 0.6),
        Row.of_times("make drift, three hosts", drift, 3),
    ]


_PREVIEW = ("pulumi", "preview", "--non-interactive", "--expect-no-changes")
_BARE_UP = ("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--expect-no-changes")
_REFRESH = ("pulumi", "refresh", "--yes", "--skip-preview", "--non-interactive", "--expect-no-changes")
_FLOORS = {"pulumi preview": _PREVIEW, "pulumi up --skip-preview": _BARE_UP, "pulumi refresh --skip-preview": _REFRESH}


def _daily(lab: Lab) -> list[Row]:
    """What an operator waits for when nothing has changed, beside the floor and Ansible, each in turn."""
    with step("floor and Ansible, deployed"), floor.deployed(lab) as flat, ansible_peer.deployed(lab) as ansible:
        commands: dict[str, tuple[tuple[str, ...], Path]] = {
            "make up, no changes": (("vpai-python", "-m", "operations", "up", "--stack", "lab", "--", "--yes"), CHECKOUT),
            ANSIBLE: (tuple(ansible), CHECKOUT),
        }
        for name, command in _FLOORS.items():
            commands[f"{name}, no changes"] = ((*command, "--stack", "lab"), CHECKOUT)
            commands[f"{name}, the floor"] = ((*command, "--stack", floor.STACK), flat)
        with step("no changes, in turn"):
            taken = _in_turn(lab, commands)
    rows = {name: Row.of_times(name, runs) for name, runs in taken.items()}
    for name in _FLOORS:
        ours, least = rows[f"{name}, no changes"], rows[f"{name}, the floor"]
        rows[ours.name] = ours.compared_with(rows[ANSIBLE])
        rows[f"{name} above the floor"] = Row.of_ratio(f"{name} above the floor", ours, least, 1.15)
    up = rows["make up, no changes"].compared_with(rows[ANSIBLE])
    rows[up.name] = up
    rows["Ansible above make up"] = Row.of_ratio("Ansible above make up", rows[ANSIBLE], up, None)
    return [*rows.values(), Row.of_memory("peak memory of make up", taken["make up, no changes"])]


def _judged() -> list[Row]:
    with step("the policy pack on a preview of prod"):
        return judging.measure()


def _growth(lab: Lab) -> Iterator[Row]:
    """The same with two and four of each service, told as soon as it is known; leaves the committed stack."""
    try:
        for times in (2, 4):
            with step(f"{times} of each service"), growth.deployed(lab, CHECKOUT, times) as directory:
                preview = _in_operator(lab, "pulumi", "preview", *_NO_CHANGES, directory=directory)
                up = _in_operator(lab, "pulumi", "up", "--yes", *_NO_CHANGES, directory=directory)
                refresh = _in_operator(lab, "pulumi", "refresh", "--yes", "--skip-preview", *_NO_CHANGES, directory=directory)
            yield Row.of_times(f"pulumi preview, {times} x services", preview)
            yield Row.of_times(f"pulumi up, {times} x services", up)
            yield Row.of_times(f"pulumi refresh --skip-preview, {times} x services", refresh)
    finally:
        with step("one of each service"):
            growth.undo(lab, CHECKOUT)


def _in_turn(lab: Lab, commands: Mapping[str, tuple[tuple[str, ...], Path]]) -> Mapping[str, list[Run]]:
    """`RUNS` rounds over all of them after one that is not counted."""
    taken: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(RUNS + 1):
        for name, (command, directory) in commands.items():
            taken[name] += _in_operator(lab, *command, directory=directory, runs=0)
    return {name: runs[1:] for name, runs in taken.items()}


def _in_operator(lab: Lab, *command: str, directory: Path = CHECKOUT, runs: int = RUNS) -> list[Run]:
    """`runs` runs of `command` in the operator after a warm one, timed there: `docker exec` is no part of it; 0: one, at once."""
    words = ["python3", "-m", "benchmarks.meter", str(runs), *command]
    done = lab.operator.run(["env", f"PYTHONPATH={CHECKOUT}", *words], directory=str(directory), check=False)
    if done.returncode:
        raise meter.Failed(done.stderr.strip())
    return [Run(**run) for run in json.loads(done.stdout)]


if __name__ == "__main__":
    sys.exit(main())
