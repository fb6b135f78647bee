"""A protected resource that stops a destroy before anything is deleted.

The engine refuses to delete a protected resource only when its turn comes: `destroy --skip-preview` would have removed every
container before it meets the first protected data directory. The guard depends on all other resources, so it is deleted first.
"""

import pulumi
import pulumi_random

from model.kind import DESTROY_GUARD


class DestroyGuard:
    """Create one before the first resource of a program, and call `register` after the last."""

    def __init__(self) -> None:
        self._made: list[pulumi.Resource] = []
        pulumi.runtime.register_stack_transformation(self._note)

    def register(self, *, protect: bool) -> None:
        """Register the guard. Where `protect` is false, a destroy deletes it like every other resource."""
        pulumi_random.RandomPassword(
            DESTROY_GUARD, length=8, special=False, opts=pulumi.ResourceOptions(protect=protect, depends_on=list(self._made))
        )

    def _note(self, args: pulumi.ResourceTransformationArgs) -> None:
        if isinstance(args.resource, pulumi.CustomResource):
            self._made.append(args.resource)
