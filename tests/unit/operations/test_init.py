"""What `make init` makes of answers and of machines; the whole of it at a terminal: tests/engine/test_init.py."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import pytest
import yaml

from model import ssh_key
from operations.init import answers, machine
from operations.init.configuration_file import ConfigurationFile
from operations.init.dialogue import Dialogue, Wrong
from operations.init.outside_checks import Outside
from operations.init.services import fits
from operations.init.session import Session
from tests.support import hetzner
from tests.support.fleets import PROJECT
from tests.support.ports import free_port
from tests.support.pseudo_terminal import PseudoTerminal

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"


@contextmanager
def says(*pieces: bytes) -> Iterator[int]:
    """The port of something that says that to whoever comes, piece by piece."""
    with create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(0.2)
                connection.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield int(server.getsockname()[1])


@pytest.mark.parametrize(
    "pieces", [(b"SSH-2.0-OpenSSH_10.0\r\n",), (b"S", b"SH-2", b".0-x\r\n"), (b"Welcome\r\n", b"to us\r\nSS", b"H-2.0-x\r\n")]
)
def test_a_banner_is_read_until_it_is_whole(pieces: Sequence[bytes]) -> None:
    with says(*pieces) as port:
        machine.answers("127.0.0.1", port)


def test_what_is_no_sshd_is_told_as_what_it_is() -> None:
    with says(b"220 mail.example.org ESMTP\r\n") as port, pytest.raises(Wrong, match="something answers there, but not sshd"):
        machine.answers("127.0.0.1", port)
    with says() as port, pytest.raises(Wrong, match="nobody answers: a firewall is in between"):
        machine.answers("127.0.0.1", port)
    with pytest.raises(Wrong, match=r"No SSH at 127.0.0.1, port \d+: connection refused"):
        machine.answers("127.0.0.1", free_port())
    with pytest.raises(Wrong, match="no resolver knows that name"):
        machine.answers("no-such-host.invalid", 22)


def test_a_machine_that_shows_no_key_is_not_pinned() -> None:
    with says(b"SSH-2.0-x\r\n") as port, pytest.raises(Wrong, match="shows no ssh-ed25519 host key"):
        machine.host_key("127.0.0.1", port)


def test_a_fingerprint_is_the_one_that_ssh_keygen_shows(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(f"{PUBLIC} of a host\n")
    shown = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "key.pub")], capture_output=True, text=True, check=True).stdout
    assert ssh_key.fingerprint(PUBLIC) == ssh_key.fingerprint(f"{PUBLIC} comment") == shown.split()[1]


@pytest.mark.parametrize(
    ("read", "answer", "said"),
    [
        (answers.setting("domain", "domain", "example.org"), "example", "'example' is no domain. For example: example.org"),
        (answers.setting("bucketPrefix", "prefix", "example-org"), "Example", "'Example' is no prefix. For example: example-org"),
        (answers.of_host("address", "address", "203.0.113.1"), "1.2.3", "'1.2.3' is no address. For example: 203.0.113.1"),
        (answers.of_host("firstPort", "port", "22"), "65536", "'65536' is no port. For example: 22"),
        (answers.of_host("memoryMib", "number", "2048"), "2G", "'2G' is no number. For example: 2048"),
        (answers.of_host("memoryMib", "number", "2048"), "512", "'512' is no number. For example: 2048"),
        (answers.of_host("release", "release", "debian-13"), "debian-12", "'debian-12' is no release. For example: debian-13"),
        (answers.host_name({"sese"}), "Sese", "'Sese' is no name of a host: small letters, digits and dashes. For example: sese"),
        (answers.host_name({"sese"}), "sese", "There is a sese already: sese."),
        (answers.some_of(("n8n", "litellm"), "service"), "n8n, lite", "'lite' is no service: give some of n8n, litellm."),
        (answers.keys((PUBLIC,), Path()), "0", "'0': the keys are numbered 1 to 1."),
        (
            answers.keys((), Path()),
            "/nowhere.pub",
            "'/nowhere.pub' is no file with public keys. For example: ~/.ssh/id_ed25519.pub",
        ),
    ],
)
def test_a_wrong_answer_is_told_in_one_message_with_an_example(read: Callable[[str], object], answer: str, said: str) -> None:
    with pytest.raises(Wrong) as caught:
        read(answer)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("read", "answer", "value"),
    [
        (answers.setting("domain", "", ""), "vpai.example.org", "vpai.example.org"),
        (answers.of_host("address", "", ""), "2001:db8::1", "2001:db8::1"),
        (answers.of_host("memoryMib", "", ""), "2048", "2048"),
        (answers.host_name({"sese"}), "app-prod-01", "app-prod-01"),
        (answers.some_of(("n8n", "litellm"), "service"), " n8n  litellm,n8n", ("n8n", "litellm")),
        (answers.keys((PUBLIC,), Path()), "1", (PUBLIC,)),
        (answers.or_later(answers.setting("domain", "", "")), "", ""),
    ],
)
def test_a_right_answer_is_taken(read: Callable[[str], object], answer: str, value: object) -> None:
    assert read(answer) == value


def test_a_private_key_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n")
    with pytest.raises(Wrong, match="belongs on your own machine alone") as caught:
        answers.keys((), tmp_path)("key")
    assert "c2VjcmV0" not in str(caught.value)


def test_bytes_that_are_no_text_are_a_wrong_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given: list[str | None] = [None, "", "x"]

    def typed(_: str) -> str:
        answer = given.pop(0)
        if answer is None:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return answer

    monkeypatch.setattr("builtins.input", typed)
    assert Dialogue().ask("domain", str, example="example.org") == "x"
    shown = capsys.readouterr().out
    assert "That was no plain text" in shown and "An answer is needed, for example: example.org" in shown


def test_a_host_is_added_to_those_that_there_are_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Pulumi.prod.yaml").write_text(
        "config:\n  vpai:hosts:\n    a:\n      address: 203.0.113.1\n      memoryMib: 2048\n"
    )
    ran: list[str] = []
    monkeypatch.setattr("operations.init.configuration_file.output", lambda words, *_, **__: ran.extend(words))
    ConfigurationFile("prod", tmp_path).set_host("b", {"server": {"location": "fsn1"}})
    [said] = [json.loads(word) for word in ran if word.startswith("{")]
    hosts = {"a": {"address": "203.0.113.1", "memoryMib": 2048}, "b": {"server": {"location": "fsn1"}}}
    assert said["vpai:hosts"]["objectValue"] == json.loads(said["vpai:hosts"]["value"]) == hosts


HOST = {"address": "203.0.113.10", "roles": ["stack", "hub"]}


def session(directory: Path, memory_mib: int, free_mib: int | None = None) -> Session:
    """At the question for services, with one machine, and what it said of its memory."""
    config = {
        "kind": "production",
        "domain": "example.org",
        "knownHosts": "hosts/our.known_hosts",
        "authorizedKeys": "hosts/our.authorized_keys",
        "hosts": {"one": {**HOST, "memoryMib": memory_mib}},
    }
    whole = {"config": {f"vpai:{key}": value for key, value in config.items()}}
    (directory / "Pulumi.our.yaml").write_text(yaml.safe_dump(whole))
    facts = {} if free_mib is None else {"one": machine.Facts(memory_mib=memory_mib, free_mib=free_mib, release="debian-13")}
    written = ConfigurationFile("our", directory)
    return Session(stack="our", dialogue=Dialogue(), outside=Outside(), written=written, facts=facts)


def test_services_are_held_against_memory_by_the_law_itself(tmp_path: Path) -> None:
    with pytest.raises(Wrong, match=r"one: memory limits add up to \d+ MiB; the host has 2048 MiB"):
        fits(session(tmp_path, 2048), ())
    fits(session(tmp_path, 16384), ())
    fits(session(tmp_path, 16384, free_mib=16000), ())
    with pytest.raises(Wrong, match=r"By what is free there now.*\n.*one: memory limits add up to"):
        fits(session(tmp_path, 16384, free_mib=1500), ())


def test_a_token_of_no_project_is_told_when_it_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    with hetzner.running() as cloud:
        monkeypatch.setenv("HCLOUD_ENDPOINT", cloud.endpoint)
        Outside().tokens["hcloud_token"](hetzner.TOKEN)
        with pytest.raises(Wrong, match=r"Hetzner's cloud does not answer.*one with read and write access"):
            Outside().tokens["hcloud_token"]("short")


def test_a_ctrl_c_while_the_file_is_written_counts_when_it_is_whole(tmp_path: Path) -> None:
    pulumi = tmp_path / "bin/pulumi"
    pulumi.parent.mkdir()
    file = tmp_path / "file"
    pulumi.write_text(f"#!/bin/sh\nprintf half >{file}\nsleep 2\nprintf ' whole' >>{file}\n")
    pulumi.chmod(0o755)
    program = (
        "from pathlib import Path\n"
        "from operations.init.configuration_file import ConfigurationFile\n"
        "ConfigurationFile('our', Path('/')).set({'domain': 'x'})"
    )
    environment = {**os.environ, "PATH": f"{pulumi.parent}:{os.environ['PATH']}", "PYTHONPATH": str(PROJECT)}
    at = PseudoTerminal([sys.executable, "-c", program], tmp_path, environment)
    until = time.monotonic() + 30
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.01)
    at.interrupts()
    assert at.ends() != 0
    assert file.read_text() == "half whole"
    assert "KeyboardInterrupt" in at.shown
