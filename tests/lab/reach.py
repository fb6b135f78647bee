"""Which TCP ports answer, tried from a machine of the lab or from inside a container on it; and a listener that answers."""

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from lab import Machine

Target = tuple[str, int]

_PROBE = """
import asyncio, json, sys

async def answers(target, slots):
    async with slots:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(*target), SECONDS)
        except (OSError, asyncio.TimeoutError):
            return False
        writer.close()
        return True

async def main():
    targets, slots = json.load(sys.stdin), asyncio.Semaphore(800)
    answered = await asyncio.gather(*(answers(target, slots) for target in targets))
    print(json.dumps([target for target, answer in zip(targets, answered) if answer]))

asyncio.run(main())
"""


def reached(machine: Machine, targets: Collection[Target], *, within: Iterable[str] = (), seconds: float = 2.5) -> set[Target]:
    """The `targets` that accept a connection. `within`: prefix that runs a command in another network namespace."""
    script = _PROBE.replace("SECONDS", str(seconds))
    done = machine.run([*within, "python3", "-c", script], input=json.dumps(list(targets)), timeout=60)
    return {(address, port) for address, port in json.loads(done.stdout)}


@contextmanager
def listener(machine: Machine, port: int) -> Iterator[None]:
    """Listen on `port` of `machine`, on all IPv4 and IPv6 addresses."""
    serve = f"nohup python3 -m http.server {port} --bind :: --directory /var/tmp >/dev/null 2>&1 & echo $!"
    pid = machine.run(["sh", "-c", serve]).stdout.strip()
    try:
        yield
    finally:
        machine.run(["sh", "-c", f"kill {pid}"])
