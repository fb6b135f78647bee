"""The lab: production's fleet against hosts on this machine. Addresses and image sources come from Pulumi.lab.yaml."""

from stacks.prod import fleet

__all__ = ["fleet"]
