"""The difference between old and new inputs of a dynamic resource, and whether the difference replaces it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pulumi.dynamic import DiffResult


def difference(
    olds: Mapping[str, Any],
    news: Mapping[str, Any],
    keys: Iterable[str],
    *,
    replaces: Collection[str] = (),
    delete_first: bool = False,
) -> DiffResult:
    """Compare the inputs `keys`; a change of one of `replaces` is a replacement, which deletes first if `delete_first`.

    "", None, False and a missing input are equal, because a state of an earlier commit may lack an input that means nothing. The
    provider's own code is an input too ("__provider") and never one of `keys`: an edit of the code changes nothing on a host.
    """
    changed = [key for key in keys if (olds.get(key) or "") != (news.get(key) or "")]
    return DiffResult(
        changes=bool(changed), replaces=[key for key in changed if key in replaces], delete_before_replace=delete_first
    )
