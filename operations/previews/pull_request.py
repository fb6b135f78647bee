"""`make preview-pull-request`: what this checkout would change, as one comment. It needs no secret, host or passphrase."""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.cost import invoice
from model.reachability import difference
from model.urn import resource_name
from operations.cloud import cost
from operations.deploy.preview_text import Preview, changes, comment, refusal
from operations.deploy.revision import commit_of
from operations.previews.converged import converge
from operations.previews.ephemeral_stack import EphemeralStack, Resource, checked_out
from operations.previews.snapshot import Snapshot
from operations.reference.reachability import read
from operations.stack import PROJECT, CommandFailed, output

COMMENT = PROJECT / ".vpai" / "comment.md"
_HOSTS = ("vpai:index:ManagedHost", "vpai:index:DockerHost")


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The deployed side of the comparison: resources with dummies for secrets, and the page of who reaches what."""

    described: str
    resources: Sequence[Resource]
    reachability: str


def preview_pull_request(stack: str, base: str, snapshot: str) -> int:
    """Print the text and write it to .vpai/comment.md; 1 when the program or the policy pack refuses."""
    COMMENT.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        deployed = published(Path(snapshot)) if snapshot else _computed(base, stack, place)
        try:
            text, refused = against(deployed, PROJECT, stack, _below(place, "change"))
        except CommandFailed as failed:
            text, refused = refusal(stack, str(failed)), True
    COMMENT.parent.mkdir(exist_ok=True)
    COMMENT.write_text(text)
    print(text)
    return int(refused)


def converged(source: Path, stack: str, directory: Path, described: str) -> Deployed:
    """The state as if the checkout `source` had been deployed."""
    program = EphemeralStack(source, directory, stack)
    return Deployed(described=described, resources=converge(program, []), reachability=program.reachability)


def against(deployed: Deployed, head: Path, stack: str, directory: Path) -> tuple[str, bool]:
    """The comment for what the checkout `head` would change, and whether the policy pack refuses it."""
    program = EphemeralStack(head, directory, stack)
    # A preview ends at the first deletion of a protected resource; without protection it shows all of them, as data at risk.
    program.hold([{**resource, "protect": False} for resource in deployed.resources])
    previewed = program.preview()
    protected = {resource["urn"] for resource in deployed.resources if resource.get("protect")}
    steps = [_as_protected(step) if step["urn"] in protected else step for step in previewed.steps]
    listed = cost.committed(cost.FALLBACK)
    after = cost.after(deployed.resources, steps)
    invoices = [invoice(cost.rented(states), listed) for states in (deployed.resources, after)]
    text = comment(
        Preview(
            stack=stack,
            against=deployed.described,
            hosts=tuple(sorted(set(_hosts([*deployed.resources, *after])))),
            changes=changes(steps),
            cost_before=invoices[0].monthly,
            cost_after=invoices[1].monthly,
            reach=difference(read(deployed.reachability), read(program.reachability)),
            policy=previewed.refused,
            unpriced=tuple(thing.name for thing in invoices[1].unknown),
        )
    )
    return text, bool(previewed.refused)


def _computed(base: str, stack: str, place: Path) -> Deployed:
    """The commit where this checkout branched off `base`: what was merged there since is not part of this change."""
    revision = commit_of(base, example=f"make preview-pull-request STACK={stack} BASE=origin/main")
    commit = output(["git", "merge-base", revision, "HEAD"]).strip()
    source = checked_out(commit, place / "commit")
    described = f"the commit {commit[:12]}, with dummy values; what is deployed is not known here"
    print(f"{stack} as {commit[:12]} would leave it ...", file=sys.stderr)
    return converged(source, stack, _below(place, "base"), described)


def published(path: Path) -> Deployed:
    """The deployed side from the snapshot at `path`."""
    snapshot = Snapshot.at_path(path)
    return Deployed(
        described=f"what is deployed: the commit {snapshot.commit[:12]}, {snapshot.at}",
        resources=snapshot.resources,
        reachability=snapshot.reachability,
    )


def _as_protected(step: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**step, "oldState": {**step["oldState"], "protect": True}} if step.get("oldState") else step


def _hosts(states: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for state in states:
        if state["type"] in _HOSTS:
            yield resource_name(state)


def _below(place: Path, name: str) -> Path:
    directory = place / name
    directory.mkdir()
    return directory
