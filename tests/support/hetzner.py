"""The lab's Hetzner API on a local port, for hcloud-python, the plugin and our own clients."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.providers.hetzner import Cloud
from lab.providers.hetzner.machines import Machines
from lab.providers.server import Server, hetzner_cloud

TOKEN = "t" * 64
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUUVKZZN/6+2G4X4vGUwXSwKZJvCw7rJ1HJ2/TrB5e2"


@dataclass(frozen=True)
class RunningCloud:
    """A running cloud and its address."""

    cloud: Cloud
    endpoint: str


@contextmanager
def running(
    action_seconds: float = 0.0, addresses: str = "203.0.113.0/24", machines: Machines | None = None
) -> Iterator[RunningCloud]:
    """Run an empty cloud for as long as the context lasts."""
    cloud = Cloud(addresses, action_seconds, machines)
    server = Server(0, None, hetzner_cloud(cloud))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield RunningCloud(cloud, f"http://127.0.0.1:{server.server_port}/v1")
    finally:
        server.shutdown()
        server.server_close()
