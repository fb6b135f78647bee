"""Uses memory in the name of a container, from outside: lines "PID BYTES SECONDS" and an empty one on stdin; runs on a host.

A child joins the memory cgroup of process PID, touches as much as its working set lacks of BYTES, sleeps and ends; at the latest
when stdin does. No image needs a program for it.
"""

import os
import signal
import sys
import time
from pathlib import Path


def cgroup(pid: int) -> tuple[Path, str, str]:
    """Where the memory of a process is counted, and under which names, with cgroups of either version."""
    unified = not Path("/sys/fs/cgroup/memory").exists()
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if unified and not controllers:
            return Path("/sys/fs/cgroup" + path), "memory.current", "inactive_file"
        if "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory" + path), "memory.usage_in_bytes", "total_inactive_file"
    raise LookupError(f"process {pid} is in no memory cgroup")


def charge(pid: int, up_to: int, seconds: float) -> None:
    """The working set, as cAdvisor counts it, is `up_to` bytes for so many seconds."""
    directory, usage, inactive = cgroup(pid)
    (directory / "cgroup.procs").write_text(str(os.getpid()))
    held, until = [], time.monotonic() + seconds
    # Again and again: the container's own programs give memory back meanwhile.
    while time.monotonic() < until:
        stat = dict(line.split() for line in (directory / "memory.stat").read_text().splitlines())
        lacking = up_to - int((directory / usage).read_text()) + int(stat[inactive])
        if lacking > _STEP:
            held.append(b"x" * lacking)
        time.sleep(1)


_STEP = 256 * 1024
children = []
for pid, up_to, seconds in (map(int, line.split()) for line in iter(sys.stdin.readline, "\n")):
    if child := os.fork():
        children.append(child)
        continue
    try:
        charge(pid, up_to, seconds)
    finally:
        os._exit(0)
sys.stdin.read()
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
