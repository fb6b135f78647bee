"""`make plan` and `make apply-plan`: preview, summary, guards, then exactly that plan, and a record.

`make up STACK=prod` does both, with one question between them. For any other stack `make up` is a plain `pulumi up`, followed by
the duration by phase and, on a rented server, the live checks.
"""

import getpass
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components import ssh
from model.cost import invoice
from model.problem import Problem, refuse
from model.reachability import difference
from model.urn import name_of
from operations.checks.smoke import report, smoke
from operations.cloud import cost
from operations.deploy import git_refs, guard, phases
from operations.deploy.guard import Backup, Tree
from operations.deploy.live_state import live_state
from operations.deploy.preview_text import Change, Preview, changes, comment
from operations.deploy.revision import commit_of_update, message_of_rollback
from operations.deploy.terminal import Terminal, of_up
from operations.reference import reachability as reachability_reference
from operations.stack import PROJECT, CommandFailed, Stack, on_host, output
from stacks.preflight import another_machine
from stacks.standing import of_pending

_MANDATORY = "mandatory"
_ASKS_NOTHING = frozenset({"--yes", "-y"})
"""Options with which `pulumi up` needs no terminal."""


@dataclass(frozen=True)
class Plan:
    """A stack's plan. `engine` is the file that the CLI applies, secrets encrypted; `about` has commit, time and changes."""

    directory: Path

    @classmethod
    def of(cls, stack: Stack) -> "Plan":
        return cls(PROJECT / ".vpai" / "plan" / stack.name)

    @property
    def engine(self) -> Path:
        return self.directory / "plan.json"

    @property
    def about(self) -> Path:
        return self.directory / "about.json"

    @property
    def summary(self) -> Path:
        return self.directory / "summary.md"

    @property
    def digest(self) -> str:
        """Digest of the engine's plan, of the guards' input and of the summary: an approval covers these three files."""
        digests = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (self.engine, self.about, self.summary))
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Code:
    """The code to deploy: the checkout's, or a `former` commit's in a directory of its own."""

    directory: Path
    former: str = ""

    @property
    def commit(self) -> str:
        return self.former or _head()

    @property
    def said(self) -> tuple[str, ...]:
        """Options of pulumi that record the commit in the history."""
        return ("--message", message_of_rollback(self.former)) if self.former else ()


def plan(stack: Stack, code: Code | None = None) -> None:
    """Preview with the real secrets, write the plan and its summary, print the summary."""
    code = code or Code(directory=PROJECT)
    if not code.former:
        stack.inputs  # noqa: B018 - what the program would refuse is reported here, unchanged and at once
    place = Plan.of(stack)
    shutil.rmtree(place.directory, ignore_errors=True)
    place.directory.mkdir(parents=True)
    events = place.directory / "events.json"
    command = ["preview", "--json", *pack(), "--save-plan", str(place.engine), "--event-log", str(events)]
    at = datetime.now(UTC)
    # Only the event log has the pack's verdict in machine-readable form; its flag is one of the debugging commands.
    done = subprocess.run(
        ["env", "PULUMI_DEBUG_COMMANDS=true", "pulumi", *command, "--stack", stack.name, "--non-interactive"],
        cwd=code.directory,
        capture_output=True,
        text=True,
    )
    verdict = tuple(refused_by_policy(events.read_text())) if events.exists() else ()
    shown = _document(done.stdout)
    if done.returncode and not verdict:
        raise CommandFailed(failure(shown, done.stdout, done.stderr))
    steps = shown.get("steps", [])
    found = changes(steps)
    missing = tuple(warned(shown)) if code.former else tuple(problem.what for problem in stack.inputs.unresolved)
    of_state = [*_unfinished(stack), *guard.of_offline(found, stack.inputs.fleet.placements)]
    text = comment(_preview(stack, code, found, steps, verdict, (*(problem.what for problem in of_state), *missing)))
    place.summary.write_text(text)
    about = {
        "commit": code.commit,
        "at": at.isoformat(),
        "policy": verdict,
        "missing": missing,
        "changes": [asdict(change) for change in found],
    }
    place.about.write_text(json.dumps(about))
    events.unlink(missing_ok=True)
    print(text)
    if not found and not verdict:
        print(_live(stack))
    if place.engine.exists():
        print(_approval(str(about["commit"]), place.digest))


def plan_digest(stack: Stack) -> None:
    """Print the digest of the present plan."""
    place = Plan.of(stack)
    refuse(_no_plan(place, stack))
    print(place.digest)


def apply_plan(stack: Stack, may_lose: str = "", code: Code | None = None) -> int:
    """Apply the plan that `plan` wrote, unless a guard refuses; pulumi's exit code. Appends a record on every host."""
    code = code or Code(directory=PROJECT)
    place = Plan.of(stack)
    refuse(_no_plan(place, stack))
    about = _guarded(stack, place, may_lose, code)
    words = ("up", "--yes", "--skip-preview", *pack(), *code.said, "--plan", str(place.engine))
    failed = stack.pulumi_live(*words, directory=code.directory)
    # A plan that was applied, or failed half-way, does not fit the present state.
    shutil.rmtree(place.directory)
    _record(stack, about["commit"], "succeeded" if failed == 0 else f"failed with {failed}")
    return failed


def up(stack: Stack, may_lose: str = "", options: Sequence[str] = (), code: Code | None = None) -> int:
    """Preview, refuse or ask once, apply. `options` of pulumi are for stacks without guards; production takes none."""
    code = code or Code(directory=PROJECT)
    target = "rollback" if code.former else "up"
    guarded = stack.profile.guarded
    refuse(of_up(stack.name, Terminal.here(), guarded=guarded, yes=not _ASKS_NOTHING.isdisjoint(options), target=target))
    if not guarded:
        refuse(_unfinished(stack))
        return _tried(stack, options, code)
    plan(stack, code)
    _guarded(stack, Plan.of(stack), may_lose, code)
    if _typed(f"Apply this to {stack.name}? Type its name: ") != stack.name:
        print("Nothing has been touched.", file=sys.stderr)
        return 1
    return apply_plan(stack, may_lose, code)


def _typed(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        print()
        return ""


def _tried(stack: Stack, options: Sequence[str], of: Code) -> int:
    events = PROJECT / ".vpai" / stack.name / "events.json"
    events.parent.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    if _PREVIEWS.isdisjoint(options) and nothing_to_do(stack, of):
        print(f"Nothing to do. {_live(stack)}")
        return 0
    # The event log's flag is one of the debugging commands.
    code = stack.pulumi_live(
        *("up", *pack(), *of.said, "--event-log", str(events), *options),
        directory=of.directory,
        environment={"PULUMI_DEBUG_COMMANDS": "true"},
    )
    found = phases.phases(events.read_text().splitlines()) if events.exists() else ()
    events.unlink(missing_ok=True)
    if code == 0 and stack.inputs.rents:
        deployed = time.monotonic()
        print(flush=True)
        code = report(smoke(stack, chat=False))
        smoked = phases.Phase("live checks", round(deployed - begin), round(time.monotonic() - begin), 0)
        found = (*found, smoked)
    if found:
        print(f"\n{phases.shown(found)}\n{time.monotonic() - begin:.0f} s in all")
    return code


def _live(stack: Stack) -> str:
    """The services' state in one line; raises `Refused` for a fresh machine in a host's place, which no preview notices."""
    said = live_state(stack)
    silent = [host for host in stack.hosts if f"{host.alias} does not answer" in said]
    fresh = [host.as_handed_over for host in silent]
    answer = [
        subprocess.run(ssh.command(machine.config, machine.alias, ("true",)), capture_output=True).returncode for machine in fresh
    ]
    refuse(another_machine(host.alias) for host, failed in zip(silent, answer, strict=True) if not failed)
    return said


_PREVIEWS = frozenset({"--skip-preview", "-f", "--refresh", "-r"})
"""Options of an `up` that must run even when a preview finds no change."""


def pack() -> tuple[str, str]:
    """The present policy pack, also for a former commit's code."""
    return "--policy-pack", str(PROJECT / "policy")


def nothing_to_do(stack: Stack, code: Code) -> bool:
    """Whether a preview finds no change. False for a preview that fails: the `up` then reports why."""
    words = ["pulumi", "preview", "--expect-no-changes", *pack(), "--stack", stack.name, "--non-interactive"]
    return subprocess.run(words, cwd=code.directory, capture_output=True).returncode == 0


def publish_plan(stack: Stack, remote: str) -> None:
    """Publish the plan for a machine that waits for approval."""
    place = Plan.of(stack)
    refuse(_no_plan(place, stack))
    git_refs.put(place.directory, _ref(stack), remote)


def take_plan(stack: Stack, commit: str, digest: str, remote: str) -> None:
    """Fetch the published plan once; raises `Refused` unless it has `commit` and `digest`: whoever may push can write the ref."""
    refuse(_misspelt(commit, digest))
    place = Plan.of(stack)
    git_refs.take(_ref(stack), place.directory, remote)
    refuse(_no_plan(place, stack))
    planned = json.loads(place.about.read_text())["commit"]
    if planned != commit:
        shutil.rmtree(place.directory)
        refuse(
            [
                Problem(
                    what=f"the plan is of {planned[:12]}, and {commit[:12] or 'nothing'} was approved",
                    why="only what was shown and approved is applied",
                    fix="type the commit of the plan in full, or make a plan of this one",
                    example=planned,
                )
            ]
        )
    if place.digest != digest:
        found = place.digest
        shutil.rmtree(place.directory)
        refuse(
            [
                Problem(
                    what=f"the published plan is not the one that was approved: digest {found[:12]}, not {digest[:12]}",
                    why="its steps, or what the guards and the reader know of them, were changed since it was shown",
                    fix="see who may push to this repository; then make a plan, read it, and approve its digest",
                    example=f"make plan STACK={stack.name}",
                )
            ]
        )
    git_refs.drop(_ref(stack), remote)


def refused_by_policy(events: str) -> Iterator[str]:
    """The policy pack's mandatory findings in an event log, one JSON document a line."""
    for line in events.splitlines():
        event = json.loads(line).get("policyEvent")
        if event and event["enforcementLevel"] == _MANDATORY:
            yield f"{event['policyName']}: {event['message'].splitlines()[0]}"


def _guarded(stack: Stack, place: Plan, may_lose: str, code: Code) -> Mapping[str, Any]:
    """The plan's `about`; raises `Refused` when a guard refuses the plan."""
    about: Mapping[str, Any] = json.loads(place.about.read_text())
    found = tuple(Change(**{**change, **_tuples(change)}) for change in about["changes"])
    refuse(_refusals(stack, about, found, may_lose.split(","), code))
    return about


def _refusals(
    stack: Stack, about: Mapping[str, Any], found: tuple[Change, ...], may_lose: list[str], code: Code
) -> Iterator[Problem]:
    yield from _unfinished(stack)
    yield from guard.of_offline(found, stack.inputs.fleet.placements)
    yield from guard.of_policy(about["policy"])
    # The program would refuse these too, but only after the question.
    yield from guard.of_former_code(about["missing"], code.former) if code.former else stack.inputs.unresolved
    if stack.profile.guarded:
        yield from guard.of_tree(_tree(_head()))
        tree = replace(_tree(code.commit), changed=())
        yield from guard.of_tree(tree) if code.former else ()
        yield from guard.of_preview(about["commit"], datetime.fromisoformat(about["at"]), tree)
        if any(change.loses_data for change in found):
            yield from guard.of_data(found, _backups(stack), datetime.now(UTC), may_lose, stack.inputs.fleet.placements)


def _unfinished(stack: Stack) -> Iterator[Problem]:
    state = stack.standing()
    return of_pending(state) if state else iter(())


def _approval(commit: str, digest: str) -> str:
    return f"\nTo approve exactly this plan:\n\n    commit {commit}\n    digest {digest}"


def _misspelt(commit: str, digest: str) -> Iterator[Problem]:
    for name, value, length in (("COMMIT", commit, 40), ("DIGEST", digest, 64)):
        if not re.fullmatch(f"[0-9a-f]{{{length}}}", value):
            yield Problem(
                what=f"{name} is {value[:80]!r}, not {length} hexadecimal digits",
                why="it says which plan was read and approved, and git and sh would understand much else by it",
                fix="copy it from the end of the plan",
                example=f"{name}={'0123456789abcdef' * 4:.{length}}",
            )


def _no_plan(place: Plan, stack: Stack) -> Iterator[Problem]:
    if not all(path.exists() for path in (place.about, place.engine, place.summary)):
        yield Problem(
            what=f"there is no plan for {stack.name}",
            why="only what was shown is applied",
            fix="make one, and read it",
            example=f"make plan STACK={stack.name}",
        )


def _ref(stack: Stack) -> str:
    return f"refs/plans/{stack.name}"


def _tuples(change: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    return {key: tuple(change[key]) for key in ("properties", "forced_by", "left_behind")}


def _document(printed: str) -> Mapping[str, Any]:
    """The JSON document of `pulumi preview --json`; empty when the preview ended before it was complete."""
    try:
        shown = json.loads(printed)
    except ValueError:
        return {}
    return shown if isinstance(shown, dict) else {}


def failure(shown: Mapping[str, Any], printed: str, errors: str) -> str:
    """Why a preview failed: the engine's errors as text, without the JSON document around them."""
    said = [message.removeprefix("error: ") for severity, message in _diagnostics(shown) if severity == "error"]
    said = [_protected(message) or message for message in said]
    said = said or [errors.strip() or ("" if shown else printed.strip())]
    return "\n\n".join(["pulumi preview failed:", *dict.fromkeys(said)])


_PROTECTED = re.compile(r"resource \"(urn:[^\"]+)\".*(marked for protection|because it is protected)", re.DOTALL)


def _protected(message: str) -> str:
    """Replaces the engine's advice, which is to remove the protection and go on."""
    found = _PROTECTED.search(message)
    if not found:
        return ""
    name = name_of(found[1])
    return str(
        Problem(
            what=f"{name} holds data, is no longer in the code or would be made anew, and is protected",
            why="its data would be deleted, or nothing would take care of it any more",
            fix="bring its service back as it was; or, if the data may go, see that there is a backup, and lift the protection "
            "for one up (the data stays on the host unless vpai:deleteData is true). Not `pulumi state unprotect`: for good",
            example=f"pulumi config set vpai:protectData false; make up MAY_LOSE={name}; pulumi config set vpai:protectData true",
        )
    )


def warned(shown: Mapping[str, Any]) -> Iterator[str]:
    """What the `up` of a former commit's program would refuse: its warnings that are problems, the first line of each."""
    mark = str(Problem(what="", why="", fix="")).splitlines()[1]
    for _, message in _diagnostics(shown):
        if mark in message:
            yield message.splitlines()[0].removeprefix("warning: ")


def _diagnostics(shown: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for diagnostic in shown.get("diagnostics") or ():
        yield diagnostic.get("severity", ""), str(diagnostic.get("message", "")).strip()


def _preview(
    stack: Stack,
    code: Code,
    found: tuple[Change, ...],
    steps: list[Mapping[str, Any]],
    verdict: tuple[str, ...],
    missing: tuple[str, ...],
) -> Preview:
    page = code.directory / reachability_reference.PAGE.relative_to(PROJECT)
    reach = _deployed_reach(stack)
    deployed = json.loads(stack.pulumi("stack", "export"))["deployment"].get("resources", [])
    listed = cost.committed(cost.FALLBACK)
    before = invoice(cost.rented(deployed), listed)
    after = invoice(cost.rented(cost.after(deployed, steps)), listed)
    return Preview(
        stack=stack.name,
        against="what is deployed",
        hosts=tuple(stack.machines),
        changes=found,
        cost_before=before.monthly,
        cost_after=after.monthly,
        reach=difference(reach, reachability_reference.read(page.read_text()) if page.exists() else reach),
        policy=verdict,
        unpriced=tuple(thing.name for thing in after.unknown),
        missing=missing,
    )


def _deployed_reach(stack: Stack) -> frozenset[Any]:
    """Reachability of the deployed commit; the present page when nothing is deployed or the commit is not in this clone."""
    history = json.loads(stack.pulumi("stack", "history", "--json"))
    commit = next((commit_of_update(update) for update in history if update["result"] == "succeeded"), "")
    page = reachability_reference.PAGE
    try:
        text = output(["git", "show", "--end-of-options", f"{commit or 'HEAD'}:{page.relative_to(PROJECT)}"])
    except CommandFailed:
        text = page.read_text()
    return reachability_reference.read(text)


def _tree(commit: str) -> Tree:
    changed = [line[3:] for line in output(["git", "status", "--porcelain"]).splitlines()]
    return Tree(
        commit=commit,
        committed_at=datetime.fromisoformat(output(["git", "log", "-1", "--format=%cI", commit]).strip()),
        changed=tuple(changed),
        pushed=bool(output(["git", "branch", "--remotes", "--contains", commit]).strip()),
    )


def _head() -> str:
    return output(["git", "rev-parse", "HEAD"]).strip()


def _backups(stack: Stack) -> Iterator[Backup]:
    """Each host's last backups; none for a host without a readable record."""
    for name, host in stack.machines.items():
        try:
            written = json.loads(on_host(host, ["cat", f"/opt/{stack.inputs.fleet.project}/backups/last-success.json"]))
            entries = written if isinstance(written, list) else [written]
            yield from (Backup.written({**entry, "service": f"{name}/{entry['service']}"}) for entry in entries)
        except (CommandFailed, ValueError, KeyError, TypeError):
            continue


def _record(stack: Stack, commit: str, result: str) -> None:
    """Append a line to deployments.jsonl on every host: who, commit, result. A host that is gone gets none."""
    line = json.dumps({"at": datetime.now(UTC).isoformat(), "who": getpass.getuser(), "commit": commit, "result": result})
    path = f"/opt/{stack.inputs.fleet.project}/deployments.jsonl"
    for host in stack.hosts:
        try:
            on_host(host, ["sudo", "-n", "tee", "-a", path], stdin=f"{line}\n")
        except CommandFailed as silent:
            print(f"{host.alias} has no record of this: {silent}", file=sys.stderr)
