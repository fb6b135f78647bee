"""Ports of this machine, for programs that a test starts."""

import socket


def free_port() -> int:
    """One that nothing listens at now, on any address."""
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])
