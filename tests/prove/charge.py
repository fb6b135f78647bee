"""Uses memory in the name of a container, from outside: charge.py, with lines "PID BYTES SECONDS" on stdin; runs on a host.

A child joins the memory cgroup of process PID, touches BYTES there, sleeps and ends. No image needs a program for it.
"""

import os
import sys
import time
from pathlib import Path


def cgroup(pid: int) -> Path:
    """Where the memory of a process is counted, with cgroups of either version."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory" + path)
        if not controllers and not Path("/sys/fs/cgroup/memory").exists():
            return Path("/sys/fs/cgroup" + path)
    raise LookupError(f"process {pid} is in no memory cgroup")


def charge(pid: int, size: int, seconds: float) -> None:
    (cgroup(pid) / "cgroup.procs").write_text(str(os.getpid()))
    held = b"x" * size
    time.sleep(seconds)
    del held


children = []
for pid, size, seconds in (map(int, line.split()) for line in sys.stdin):
    if child := os.fork():
        children.append(child)
        continue
    try:
        charge(pid, size, seconds)
    finally:
        os._exit(0)
for child in children:
    os.waitpid(child, 0)
