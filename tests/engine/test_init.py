"""`make init` at a terminal, with the real engine, a real sshd on loopback, and the tests' resolvers."""

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import yaml
from jsonschema import Draft202012Validator

from lab.providers import ovh
from operations.reference.configuration import HEADER, schema
from tests.support import sshd
from tests.support.copies import tracked, unset
from tests.support.fleets import DUMMY_SECRETS, PROJECT
from tests.support.pseudo_terminal import PseudoTerminal

STACK, HUB = "127.77.0.21", "127.77.0.22"
ADDRESSES = {"sese": STACK, "seko": HUB}
DOMAIN = "example.org"
MEMORY = {"sese": (11264, 10900), "seko": (2048, 1800)}
"""MiB of memory of each machine, in total and free."""
PUBLISHED = {f"litellm.{DOMAIN}": STACK, f"mesh.{DOMAIN}": "203.0.113.99"}
"""Two of the names that the fleet needs: the first is published correctly, the second with another address."""
DRIVER = """
    import sys
    from operations.mesh import dns
    from operations.init import init
    from operations.init.outside_checks import Outside
    from operations.stack import Stack
    sys.exit(init(Stack(sys.argv[1]), Outside(resolvers=lambda _: dns.public(["127.0.0.1"], int(sys.argv[2])))))
"""


class Names(ovh.Ovh):
    """Resolvers that know one zone and a few names in it."""

    def resolve(self, query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        [question] = query.question
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        if name == DOMAIN and kind == "SOA":
            reply.answer.append(dns.rrset.from_text(question.name, 0, "IN", "SOA", f"dns.{DOMAIN}. tech.{DOMAIN}. 1 1 1 1 1"))
        elif name in PUBLISHED and kind == "A":
            reply.answer.append(dns.rrset.from_text(question.name, 0, "IN", "A", PUBLISHED[name]))
        elif name != DOMAIN:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply


class Operator:
    """An operator at a terminal in a fresh clone."""

    def __init__(self, directory: Path, toolchain: Path, resolver: int) -> None:
        self.clone, self.home = directory / "vpai", directory / "home"
        self.clone.mkdir()
        self.home.mkdir()
        tracked(self.clone)
        unset(self.clone)
        (self.clone / ".venv").symlink_to(PROJECT / ".venv")
        (directory / "state").mkdir()
        (directory / "driver.py").write_text(textwrap.dedent(DRIVER))
        self._driver, self._resolver = directory / "driver.py", str(resolver)
        (self.home / "pulumi").mkdir()
        (self.home / "pulumi/plugins").symlink_to(toolchain / "home/plugins")
        (self.home / "pulumi/logs").touch()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PULUMI", "MAKE", "MFLAGS", "SSH_"))},
            "TERM": "xterm",
            "HOME": str(self.home),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
            "PATH": f"{toolchain / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.clone),
            "PULUMI_HOME": str(self.home / "pulumi"),
            "PULUMI_BACKEND_URL": f"file://{directory / 'state'}",
            "PULUMI_PYTHON_CMD": sys.executable,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def begins(self, stack: str = "our") -> PseudoTerminal:
        command = [sys.executable, str(self._driver), stack, self._resolver]
        return PseudoTerminal(command, self.clone, self.environment)

    def file(self, stack: str = "our") -> Path:
        return self.clone / f"Pulumi.{stack}.yaml"

    def config(self, stack: str = "our") -> dict[str, Any]:
        config = yaml.safe_load(self.file(stack).read_text())["config"]
        return {key.removeprefix("vpai:"): value for key, value in config.items()}

    def mistakes(self, stack: str = "our") -> list[str]:
        """What an editor underlines, without what is still missing."""
        found = Draft202012Validator(schema()).iter_errors(yaml.safe_load(self.file(stack).read_text()))
        return [error.message for error in found if error.validator != "required"]

    def pulumi(self, *arguments: str) -> str:
        done = subprocess.run(["pulumi", *arguments], cwd=self.clone, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def resolver() -> Iterator[int]:
    servers = ovh.serve_names(Names(), 0)
    yield int(servers[0].server_address[1])
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def operator(tmp_path: Path, toolchain: Path, resolver: int) -> Operator:
    return Operator(tmp_path, toolchain, resolver)


@pytest.fixture
def machines(tmp_path: Path, operator: Operator) -> Iterator[dict[str, str]]:
    """Fresh machines that accept the operator's key; the fingerprint of each, as its console shows it."""
    running, shown = [], {}
    with sshd.agent(tmp_path) as (public, environment):
        (operator.home / ".ssh").mkdir()
        (operator.home / ".ssh/id_ed25519.pub").write_text(f"{public} operator\n")
        operator.environment |= environment
        (tmp_path / "authorized_keys").write_text(f"{public}\n")
        for name, address in ADDRESSES.items():
            key, says = tmp_path / f"{name}.key", tmp_path / f"{name}.txt"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
            shown[name] = subprocess.run(
                ["ssh-keygen", "-lf", f"{key}.pub"], capture_output=True, text=True, check=True
            ).stdout.split()[1]
            whole, free = MEMORY[name]
            says.write_text(f'MemTotal: {whole * 1024} kB\nMemAvailable: {free * 1024} kB\nID=debian\nVERSION_ID="13"\n')
            running.append(sshd.serve(address, key, tmp_path / "authorized_keys", f"cat {says}"))
        yield shown
    for process in running:
        process.terminate()
        process.wait()


PASSPHRASE_MADE = (("file [~/.config/vpai/our.passphrase]: ", ""),)
OF_PRODUCTION = (
    ("\nkind: ", "prod"),
    ("'prod' is no kind: it is one of production, copy.\nkind: ", "production"),
    ("\ndomain: ", f"https://{DOMAIN}"),
    ("nothing in front or behind. For example: vpai.example.org\ndomain: ", "exampel.org"),
    ("The Internet knows no zone of exampel.org", None),
    ("keep it all the same (yes/no) [no]: ", "perhaps"),
    ("'perhaps' is neither yes nor no.", None),
    ("keep it all the same (yes/no) [no]: ", ""),
    ("\ndomain: ", DOMAIN),
    ("\nkeys: ", "3"),
    ("the keys are numbered 1 to 1.\nkeys: ", "PRIVATE"),
    ("is the beginning of a private key, which", None),
    ("\nkeys: ", "1"),
)
"""What the dialogue shows and what is then typed; None: nothing is typed."""
OF_SECRETS = 11
"""Number of external secrets of production's services."""


def reported(at: PseudoTerminal, lines: tuple[tuple[str, str | None], ...], **replaced: str) -> None:
    for shown, typed in lines:
        at.sees(shown)
        if typed is not None:
            at.types(replaced.get(typed, typed))


def machine(at: PseudoTerminal, name: str, fingerprint: str, stack: str = "our") -> None:
    """Answer the questions about a correct machine."""
    at.sees("\naddress: ")
    at.types(ADDRESSES[name])
    at.sees("\nport of SSH [22]: ")
    at.types(str(sshd.PORT))
    assert f"\n    {fingerprint} (ED25519)\n" in at.sees("is it the same there (yes/no): "), "as ssh-keygen -l shows it"
    at.types("yes")
    at.sees(f"Pinned in hosts/{stack}.known_hosts.\nuser who may log in [root]: ")
    at.types(sshd.USER)
    whole, free = MEMORY[name]
    at.sees(f"It lets you in: debian-13, {whole} MiB of memory, of which {free} are free.")


def test_it_is_walked_through_with_wrong_answers_an_interruption_and_a_second_start(
    operator: Operator, machines: dict[str, str]
) -> None:
    private = operator.home / ".ssh/id_ed25519"
    private.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    at = operator.begins()
    reported(at, (*PASSPHRASE_MADE, *OF_PRODUCTION), PRIVATE=str(private))

    # A machine without an answer, a malformed name, another machine's key, an unknown user.
    reported(
        at,
        (
            ("== The machine for the role stack", None),
            ("\nname: ", "Sese"),
            ("'Sese' is no name of a host: small letters, digits and dashes. For example: sese\nname: ", "sese"),
            ("\nroles [stack, hub]: ", "hub"),
            ("A machine with the role stack is needed first. For example: stack\nroles [stack, hub]: ", "stuck"),
            ("'stuck' is no role: give some of stack, hub, workstation, applications.\nroles [stack, hub]: ", "stack"),
            ("\naddress: ", f"root@{STACK}"),
            ("without user and port. For example: 203.0.113.10\naddress: ", STACK),
            ("\nport of SSH [22]: ", "SSH"),
            ("'SSH' is no port from 1 to 65535. For example: 22\nport of SSH [22]: ", "1"),
            (f"No SSH at {STACK}, port 1: connection refused.", None),
            ("keep it all the same (yes/no) [no]: ", "no"),
            ("\naddress: ", STACK),
            ("\nport of SSH [22]: ", str(sshd.PORT)),
            ("is it the same there (yes/no): ", None),
        ),
    )
    at.interrupts()
    at.sees("Interrupted. What was answered is kept, whole. To go on where this was: make init STACK=our")
    assert at.ends() == 130
    assert "Traceback" not in at.shown
    assert operator.mistakes() == []
    assert operator.file().read_text().startswith(HEADER)
    files = {"knownHosts": "hosts/our.known_hosts", "authorizedKeys": "hosts/our.authorized_keys"}
    assert operator.config() == {"kind": "production", "domain": DOMAIN, **files}

    # The next run continues at that question.
    at = operator.begins()
    configured = at.sees("== The machine for the role stack")
    assert re.search(rf"^domain +{DOMAIN}$", configured, re.MULTILINE)
    assert not any(f"\n{asked}: " in configured for asked in ("kind", "domain", "keys", "file"))
    reported(
        at,
        (
            ("\nname: ", "sese"),
            ("\nroles [stack, hub]: ", "stack"),
            ("\naddress: ", STACK),
            ("\nport of SSH [22]: ", str(sshd.PORT)),
            ("is it the same there (yes/no): ", "yes"),
        ),
    )
    reported(
        at,
        (
            ("user who may log in [root]: ", "nobody-here"),
            ("does not let you in", None),
            ("keep it all the same (yes/no) [no]: ", ""),
            ("user who may log in [root]: ", sshd.USER),
            ("It lets you in: debian-13, 11264 MiB of memory, of which 10900 are free.", None),
        ),
    )
    reported(at, (("== The machine for the role hub", None), ("\nname: ", "seko"), ("\nroles [hub]: ", "")))
    reported(at, (("is it the hub of another stack, whose mesh this one joins (yes/no) [no]: ", ""),))
    machine(at, "seko", machines["seko"])
    reported(
        at,
        (
            ("another machine (yes/no) [no]: ", ""),
            ("\nacmeEmail: ", "ops"),
            ("'ops' is no mail address. For example: ops@example.org\nacmeEmail: ", "ops@example.org"),
            ("\ntimezone: ", "Mars/Olympus"),
            ("'Mars/Olympus' is no time zone of the IANA database. For example: Europe/Paris\ntimezone: ", ""),
            ("\nbucketPrefix: ", ""),
            ("\nrecoveryRecipient: ", ""),
            ("\nservices [all]: ", "n9n"),
            ("'n9n' is no service", None),
            ("\nservices [all]: ", ""),
            ("\nanthropic_api_key\n", None),
            ("value: ", "changeme"),
            ("What was typed is a placeholder. Where to get it: Anthropic console", None),
            ("value: ", DUMMY_SECRETS["anthropic_api_key"]),
            ("anthropic_api_key is set, encrypted.", None),
            ("value: ", None),
        ),
    )
    at.ends_its_input()
    assert at.ends() == 130
    assert DUMMY_SECRETS["anthropic_api_key"] not in at.shown, "it was shown"
    assert operator.mistakes() == []
    assert set(operator.config()["anthropic_api_key"]) == {"secure"}

    # To the end: the program reports what was left out and where to get it.
    at = operator.begins()
    configured = at.sees("== ") + at.sees("== ")
    assert re.search(r"^anthropic_api_key +set, encrypted$", configured, re.MULTILINE)
    reported(at, (("\ntimezone: ", "Europe/Berlin"), ("\nbucketPrefix: ", ""), ("\nrecoveryRecipient: ", "")))
    given = dict(DUMMY_SECRETS)
    for _ in range(OF_SECRETS - 1):
        [name] = re.findall(r"^([a-z_]+)$", at.sees("\nvalue: "), re.MULTILINE)
        at.types(given.pop(name))
        at.sees(f"{name} is set, encrypted.")
    assert "anthropic_api_key" in given, "it was asked for again"
    reported(at, (("ask for them now (yes/no) [no]: ", "yes"),))
    while "github_webhook_secret" not in at.sees("\nvalue: "):
        at.types("")
    reported(at, (("", "new"), ("pulumi config get -s our vpai:github_webhook_secret", None)))
    while at.sees_one_of("\nvalue: ", "== What remains") == 0:
        at.types("")
    assert at.ends() == 0
    rest = at.shown.partition("== What remains")[2]
    assert f"mesh.{DOMAIN}. 3600 IN A {HUB}" in rest, "it leads elsewhere"
    assert f"grafana.{DOMAIN}. 3600 IN A {STACK}" in rest
    assert f"litellm.{DOMAIN}. " not in rest, "it is published as it should be"
    assert "images have no digest" in rest and "PULUMI_CONFIG_PASSPHRASE_FILE=" in rest
    assert "the secret" not in rest and "not pinned" not in rest
    assert "make preview STACK=our" in rest

    # The program accepts the written file, with all laws.
    assert operator.mistakes() == []
    operator.environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(operator.home / ".config/vpai/our.passphrase")
    assert re.fullmatch("[0-9a-f]{64}", operator.pulumi("config", "get", "-s", "our", "vpai:github_webhook_secret").strip())
    steps = json.loads(operator.pulumi("preview", "-s", "our", "--json"))["steps"]
    assert len([step for step in steps if step["op"] == "create"]) > 100


def test_one_machine_is_a_fleet_and_is_told_what_fits_on_it(operator: Operator, machines: dict[str, str]) -> None:
    at = operator.begins()
    reported(at, (*PASSPHRASE_MADE, ("\nkind: ", "production"), ("\ndomain: ", DOMAIN), ("\nkeys: ", "1")))
    reported(at, (("\nname: ", "seko"), ("\nroles [stack, hub]: ", "")))
    machine(at, "seko", machines["seko"])
    reported(at, (("another machine (yes/no) [no]: ", ""), ("\nacmeEmail: ", "ops@example.org")))
    reported(at, (("\ntimezone: ", ""), ("\nbucketPrefix: ", ""), ("\nrecoveryRecipient: ", ""), ("\nservices [all]: ", "")))
    reported(
        at,
        (
            ("seko: memory limits add up to", None),
            ("the host has 2048 MiB", None),
            ("keep it all the same (yes/no) [no]: ", ""),
            ("\nservices [all]: ", "redis"),
        ),
    )
    while at.sees_one_of("\nvalue: ", "(yes/no) [no]: ", "== What remains") < 2:
        at.types("")
    assert at.ends() == 0
    rest = at.shown.partition("== What remains")[2]
    assert "make init STACK=our asks for them again:" in rest and "ovh_consumer_key: OVH API token" in rest
    assert f"mesh.{DOMAIN}. 3600 IN A {HUB}" in rest and "images have no digest" in rest
    assert operator.mistakes() == []
    config = operator.config()
    assert config["services"] == ["redis"]
    host = {"address": HUB, "firstPort": sshd.PORT, "memoryMib": 2048, "roles": ["stack", "hub"]}
    assert config["hosts"] == {"seko": host}


def test_a_file_that_says_what_its_hosts_are_for_is_asked_where_they_are(operator: Operator, machines: dict[str, str]) -> None:
    at = operator.begins("prod")
    reported(at, (("file [~/.config/vpai/prod.passphrase]: ", ""), ("== Configured already", None), ("\ndomain: ", DOMAIN)))
    reported(at, (("\nkeys: ", "1"),))
    for name in ("sese", "seko"):
        at.sees(f"== Host {name}\nFor: ")
        machine(at, name, machines[name], "prod")
    reported(at, (("== Host waza", None), ("is there such a machine (yes/no): ", "no"), ("\nacmeEmail: ", None)))
    at.interrupts()
    assert at.ends() == 130
    assert {name: set(host) for name, host in operator.config("prod")["hosts"].items()} == {
        name: {"roles", "address", "firstPort", "memoryMib"} for name in ("sese", "seko")
    }
