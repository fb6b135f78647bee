"""Uses memory in the name of a container, from outside: lines "PID BYTES SECONDS" and an empty one on stdin; runs on a host.

A child joins the memory cgroup of process PID, touches as much as its working set lacks of BYTES, sleeps and ends; at the latest
when stdin does. No image needs a program for it.
"""

import mmap
import os
import select
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


def charge(pid: int, up_to: int, ends: float) -> None:
    """The working set, as cAdvisor counts it, is `up_to` bytes until then, whatever the container's own programs do meanwhile."""
    directory, usage, inactive = cgroup(pid)
    (directory / "cgroup.procs").write_text(str(os.getpid()))
    held: list[mmap.mmap] = []
    while time.monotonic() < ends:
        stat = dict(line.split() for line in (directory / "memory.stat").read_text().splitlines())
        lacking = (up_to - int((directory / usage).read_text()) + int(stat[inactive])) // BLOCK
        for _ in range(lacking):
            block = mmap.mmap(-1, BLOCK)
            for page in range(0, BLOCK, mmap.PAGESIZE):
                block[page] = 1
            held.append(block)
        for _ in range(min(-lacking, len(held))):
            held.pop().close()
        time.sleep(0.5)


def begin(pid: int, up_to: int, ends: float) -> int:
    """A child that does it."""
    if child := os.fork():
        return child
    try:
        charge(pid, up_to, ends)
    finally:
        os._exit(0)


BLOCK = 128 * 1024
asked = (map(int, line.split()) for line in iter(sys.stdin.readline, "\n"))
wanted = [(pid, up_to, time.monotonic() + seconds) for pid, up_to, seconds in asked]
children = {begin(*each): each for each in wanted}
while not select.select([sys.stdin], [], [], 0.5)[0]:
    # The kernel ends the largest of a container's when what it has itself grows faster than ours shrinks.
    for child in [child for child in children if os.waitpid(child, os.WNOHANG)[0]]:
        each = children.pop(child)
        if time.monotonic() < each[2]:
            children[begin(*each)] = each
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
