"""The lab: the hosts, their services and a simulated Internet, all on one machine, for `pulumi up -s lab`."""

from lab.errors import LabError
from lab.lab import Lab
from lab.machine import Machine

__all__ = ["Lab", "LabError", "Machine"]
