"""The generated ssh_config pins keys and keeps addresses to itself; the dialer takes what shows an SSH banner."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components import ssh
from components.ssh import ssh_proxy_command
from tests.support.fleets import HOST


def test_addresses_stand_only_in_the_proxy_command(tmp_path: Path) -> None:
    text = ssh.client_config(tmp_path, [HOST], tmp_path / "known_hosts", tmp_path)
    assert all("ProxyCommand" in line for line in text.splitlines() if "203.0.113.10" in line)
    assert "StrictHostKeyChecking yes" in text
    assert "HostKeyAlias sese" in text


def test_ssh_understands_the_config(tmp_path: Path) -> None:
    path = ssh.write_client_config(tmp_path / "lab", [HOST], tmp_path / "known_hosts")
    shown = subprocess.run(["ssh", "-G", "-F", path, "sese"], capture_output=True, text=True, check=True).stdout
    assert "user deploy\n" in shown
    assert "controlpersist 120\n" in shown


def test_an_unchanged_config_is_not_written_again(tmp_path: Path) -> None:
    path = ssh.write_client_config(tmp_path, [HOST], tmp_path / "known_hosts")
    before = path.stat().st_mtime_ns
    ssh.write_client_config(tmp_path, [HOST], tmp_path / "known_hosts")
    assert path.stat().st_mtime_ns == before


@contextmanager
def listener(says: bytes) -> Iterator[str]:
    """A server that says `says`, then echoes until the client stops."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(says)
                while data := connection.recv(1024):
                    connection.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def dialed(*endpoints: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-SE", ssh_proxy_command.__file__, *endpoints], input=stdin, capture_output=True, timeout=20
    )


def test_the_first_endpoint_with_an_ssh_banner_is_taken() -> None:
    with listener(b"HTTP/1.1 400\r\n") as web, listener(b"SSH-2.0-x\r\n") as sshd:
        done = dialed("127.0.0.1:1", web, sshd, stdin=b"hello")
    assert done.stdout == b"SSH-2.0-x\r\nhello"
    assert b"something answers, but not sshd" in done.stderr


def test_a_silent_port_does_not_count_as_a_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = dialed(f"127.0.0.1:{silent.getsockname()[1]}")
    assert done.returncode == 1
    assert b"no sshd answers at" in done.stderr


def test_a_banner_in_pieces_or_after_other_lines_is_one() -> None:
    said = b"Welcome to the machine\r\nSS"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(said)
                time.sleep(0.3)
                connection.sendall(b"H-2.0-x\r\n")

        threading.Thread(target=serve, daemon=True).start()
        done = dialed(f"127.0.0.1:{server.getsockname()[1]}")
    assert (done.returncode, done.stdout) == (0, said + b"H-2.0-x\r\n")


def test_who_never_names_a_protocol_is_given_up_in_time() -> None:
    begin = time.monotonic()
    with listener(b"220 mail.example.org ESMTP\r\n") as mail:
        done = dialed(mail)
    assert done.returncode == 1
    assert b"something answers, but not sshd" in done.stderr
    assert time.monotonic() - begin < 10
