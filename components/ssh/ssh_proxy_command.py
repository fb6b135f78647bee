"""ssh's ProxyCommand: connects to the first endpoint of its arguments (HOST:PORT) that shows an SSH banner within 2 seconds.

A TCP connect proves nothing (transparent proxies accept any); the banner does, and the pinned host key decides.
A file has the address of a rented server: @FILE:PORT.
Standard library only, started with -SE: it runs for every new connection.
"""

import os
import select
import socket
import sys
import time

SECONDS_TO_BANNER = 2.0
LONGEST_GREETING = 8192
STDIN, STDOUT = 0, 1


def main(endpoints: list[str]) -> int:
    """Connect and copy both ways until one side closes."""
    for endpoint in endpoints:
        host, _, port = endpoint.rpartition(":")
        try:
            if host.startswith("@"):
                with open(host[1:]) as file:  # noqa: PTH123 - pathlib takes longer to load than the whole program runs
                    host = file.read()
                endpoint = f"{host}:{port}"
            connection = socket.create_connection((host, int(port)), timeout=SECONDS_TO_BANNER)
            said = greeting(connection)
        except OSError as error:
            print(f"{endpoint}: {error}", file=sys.stderr)
            continue
        if is_sshd(said):
            connection.settimeout(None)
            _copy(connection, said)
            return 0
        print(f"{endpoint}: something answers, but not sshd", file=sys.stderr)
        connection.close()
    print(f"no sshd answers at {', '.join(endpoints)}", file=sys.stderr)
    return 1


def greeting(connection: socket.socket) -> bytes:
    """What the server sends until it has named its protocol; this may come in pieces, and after other lines (RFC 4253, 4.2)."""
    end = time.monotonic() + SECONDS_TO_BANNER
    said = b""
    while not is_sshd(said) and len(said) < LONGEST_GREETING and (left := end - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            data = connection.recv(4096)
        except TimeoutError:
            if not said:
                raise
            break
        if not data:
            break
        said += data
    return said


def is_sshd(said: bytes) -> bool:
    """Whether one of the lines names the SSH protocol."""
    return said.startswith(b"SSH-") or b"\nSSH-" in said


def _copy(connection: socket.socket, first: bytes) -> None:
    _write(first)
    sources: list[socket.socket | int] = [connection, STDIN]
    while connection in sources:
        for source in select.select(sources, [], [])[0]:
            if source is connection:
                data = connection.recv(65536)
                if not data:
                    return
                _write(data)
            elif data := os.read(STDIN, 65536):
                connection.sendall(data)
            else:
                sources.remove(STDIN)
                connection.shutdown(socket.SHUT_WR)


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(STDOUT, data) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
