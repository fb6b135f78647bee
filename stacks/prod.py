"""Production: the hub, Sese-AI at full size, the workstation."""

from stacks.placing import production as fleet

__all__ = ["fleet"]
