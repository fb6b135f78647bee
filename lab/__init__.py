"""The lab: real hosts, real services and the Internet around them, on one machine, for `pulumi up -s lab`."""

from lab.errors import LabError
from lab.lab import Lab
from lab.machine import Machine

__all__ = ["Lab", "LabError", "Machine"]
