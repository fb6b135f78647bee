"""Ports of this machine, for programs that a test starts."""

import socket


def free_port() -> int:
    """A TCP port that is free on every address now."""
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])
