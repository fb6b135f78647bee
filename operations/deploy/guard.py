"""The guards of `make up STACK=prod`: pure decisions on whether a plan may be offered to the operator."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from model.backup import Nothing
from model.host import host_of
from model.placement import Placement
from model.problem import Problem
from operations.deploy.preview_text import DIRECTORIES, SERVER, Change

FRESH = timedelta(hours=26)
"""Maximum age of a backup: one day, and two hours for a late one."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The checkout: its commit, its uncommitted changes, and whether a remote branch contains the commit."""

    commit: str
    committed_at: datetime
    changed: tuple[str, ...]
    pushed: bool


@dataclass(frozen=True, kw_only=True)
class Backup:
    """The entry of one service in a host's backups/last-success.json."""

    service: str
    time: datetime
    bytes: int

    @classmethod
    def written(cls, entry: Mapping[str, object]) -> "Backup":
        """Raises ValueError or KeyError for any other entry: then there is no backup to rely on."""
        time = datetime.fromisoformat(str(entry["time"]))
        if time.tzinfo is None:
            raise ValueError(f"{entry['time']} names no time zone")
        return cls(service=str(entry["service"]), time=time.astimezone(UTC), bytes=int(str(entry["bytes"])))


def of_tree(tree: Tree) -> Iterator[Problem]:
    """What is deployed must be committed and pushed."""
    if tree.changed:
        yield Problem(
            what=f"not committed: {', '.join(tree.changed[:5])}{' ...' if len(tree.changed) > 5 else ''}",
            why="nobody could tell later what was deployed, nor go back to it",
            # Never advise a stash: it sets Pulumi.<stack>.yaml aside too, and with its salt every secret of the stack.
            fix="commit it, and push it to a remote of your own",
            example="git add --all && git commit && git push",
        )
    if not tree.pushed:
        yield Problem(
            what=f"the commit {tree.commit[:12]} is on no remote branch",
            why="only this machine would know what is deployed",
            fix="push it, and fetch",
            example="git push && git fetch",
        )


def of_preview(previewed_commit: str, previewed_at: datetime, tree: Tree) -> Iterator[Problem]:
    """A plan is applied only from the commit that it was made from."""
    if previewed_commit != tree.commit or previewed_at < tree.committed_at:
        yield Problem(
            what=f"the preview is of {previewed_commit[:12]}, {previewed_at:%Y-%m-%d %H:%M} UTC; "
            f"the checkout is {tree.commit[:12]}",
            why="what would be done is not what was shown",
            fix="preview again",
            example="make plan STACK=prod",
        )


def of_former_code(missing: Iterable[str], commit: str) -> Iterator[Problem]:
    """A program of another commit warns of missing facts in its preview, and would refuse them only after the operator's yes."""
    for text in missing:
        yield Problem(
            what=f"{commit[:12]}: {text}",
            why="the program of that commit refuses to be deployed so",
            fix="go back to a commit that was deployed once; or take its change back, and deploy that",
            example="git revert COMMIT && git push && make up STACK=prod",
        )


def of_offline(found: Iterable[Change], placements: Sequence[Placement]) -> Iterator[Problem]:
    """A host that is switched off can have nothing created or deleted; the program itself leaves its existing resources alone."""
    names = [placement.host.name for placement in placements]
    for host in (placement.host.name for placement in placements if placement.host.offline):
        asked = [f"{change.action} {change.name}" for change in found if host_of(change.name, names) == host]
        if asked:
            more = f" and {len(asked) - 3} more" if len(asked) > 3 else ""
            yield Problem(
                what=f"{host} is in vpai:offline, and this would {', '.join(asked[:3])}{more} there",
                why="it does not answer, and every other host would wait for it before it closes SSH to the public",
                fix=f"was {host} never deployed: leave it out of vpai:hosts and vpai:offline until it is there; else leave "
                "what is on it as it is, or switch it on first",
                example=f"pulumi config rm -s prod --path vpai:hosts.{host}",
            )


def of_policy(refused: Iterable[str]) -> Iterator[Problem]:
    """A plan that breaks a policy is refused."""
    for text in refused:
        yield Problem(
            what=text,
            why="the policy pack refuses it",
            fix="fix it, or add a waiver with a reason and an end next to the service",
            example="docs/reference/policy.md",
        )


def of_data(
    found: Iterable[Change], backups: Iterable[Backup], now: datetime, accepted: Iterable[str], placements: Iterable[Placement]
) -> Iterator[Problem]:
    """Data is deleted or replaced only with a fresh backup, or where `accepted` names the resource.

    A server holds the data of all services of its host. Data that a service declares to need no backup may be deleted.
    """
    fresh = {backup.service for backup in backups if backup.bytes > 0 and timedelta(0) <= now - backup.time <= FRESH}
    kept = {placement.host.name: _kept(placement) for placement in placements}
    for change in found:
        if not change.loses_data or change.name in accepted:
            continue
        if missing := sorted(_held(change, kept) - fresh):
            yield Problem(
                what=f"{change.action} {change.name} takes data away, and there is no backup of {', '.join(missing)} "
                f"younger than {FRESH.total_seconds() / 3600:.0f} hours",
                why="what was written since the last backup, or everything, would be lost",
                fix="back up first; or name the resource if its data may go",
                example=f"make up STACK=prod MAY_LOSE={change.name}",
            )


def _kept(placement: Placement) -> Mapping[str, bool]:
    """Each service with data, and whether any of its data is backed up."""
    return {
        service.name: any(not isinstance(volume.backup, Nothing) for volume in service.volumes)
        for service in placement.services
        if service.volumes
    }


def _held(change: Change, kept: Mapping[str, Mapping[str, bool]]) -> frozenset[str]:
    """host/service of all data that needs a fresh backup. Unknown content gets the resource's name, which no backup has."""
    if change.type == SERVER and change.name in kept:
        return frozenset(f"{change.name}/{service}" for service, matters in kept[change.name].items() if matters)
    host = host_of(change.name, kept)
    if change.type != DIRECTORIES or not host:
        return frozenset({change.name})
    service = change.name.removeprefix(f"{host}-").removesuffix("-data")
    # A service that is no longer placed counts as one with data to back up.
    return frozenset({f"{host}/{service}"} if kept[host].get(service, True) else ())
