"""What a destroy has to delete first, and must not: so it ends before it has begun.

The engine refuses to delete a protected resource when its turn comes, and not before: `destroy --skip-preview` would have removed
every container by the time it meets the first protected data directory. What depends on all others comes first, and alone.
"""

import pulumi
import pulumi_random

from model.kind import DESTROY_GUARD


class DestroyGuard:
    """Make one before the first resource of a program, and call `register` after the last."""

    def __init__(self) -> None:
        self._made: list[pulumi.Resource] = []
        pulumi.runtime.register_stack_transformation(self._note)

    def register(self, *, protect: bool) -> None:
        """Where `protect` is false a destroy deletes it like everything else."""
        pulumi_random.RandomPassword(
            DESTROY_GUARD, length=8, special=False, opts=pulumi.ResourceOptions(protect=protect, depends_on=list(self._made))
        )

    def _note(self, args: pulumi.ResourceTransformationArgs) -> None:
        if isinstance(args.resource, pulumi.CustomResource):
            self._made.append(args.resource)
