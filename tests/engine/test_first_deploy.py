"""Types docs/runbooks/first-deploy.md line by line in a fresh clone, with the real engine, until hosts would have to answer."""

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.copies import tracked, unset
from tests.support.fleets import DUMMY_SECRETS, PROJECT
from tests.support.runbook import commands

PAGE = "first-deploy.md"
KEY = next(line for line in (PROJECT / "tests/authorized_keys").read_text().splitlines() if line.startswith("ssh-ed25519"))
SHOWN_ELSEWHERE = {
    "make init STACK=prod": "tests/engine/test_init.py: here the same is typed by hand",
    "make venv engine": "tests/unit/toolchain/test_toolchain.py: the toolchain of these tests is used",
    "make shell STACK=prod": "each line below is typed in what it sources",
    "make docs": "tests/unit/operations/test_reference.py",
    "make smoke STACK=prod": "tests/lab/test_operations.py: no host answers here",
    "age-keygen -o recovery.key": "a program of others",
    "make recovery-kit STACK=prod RECIPIENT=age1...": "tests/engine/test_recovery_kit.py: nothing is deployed here",
    "make recovery-kit STACK=prod CHECK=recovery-kit-prod.age KEY=recovery.key": "tests/engine/test_recovery_kit.py",
}
OPTIONAL = ("app-prod-01", "trustedAddresses", "hcloud_token")
"""Lines about the server for applications: it is rented and needs its cloud (tests/engine/test_hetzner.py)."""


class Operator:
    """An operator with a clone of their own."""

    def __init__(self, directory: Path) -> None:
        self.home, self.clone = directory / "home", directory / "vpai"
        self.home.mkdir()
        self.clone.mkdir()
        tracked(self.clone)
        unset(self.clone)
        (self.clone / ".venv").symlink_to(PROJECT / ".venv")
        (self.home / ".ssh").mkdir()
        (self.home / ".ssh/id_ed25519.pub").write_text(f"{KEY}\n")
        (self.home / "passphrase").write_text("of the first deployment\n")
        (self.home / "bin").mkdir()
        (self.home / "bin/ssh").write_text("#!/bin/sh\necho 'connect to host: Connection refused' >&2\nexit 255\n")
        (self.home / "bin/ssh").chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PULUMI", "MAKE", "MFLAGS"))},
            "HOME": str(self.home),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
            "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
            "GIT_CONFIG_COUNT": "2",
            **dict(zip(("GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0"), ("user.name", "operator"), strict=True)),
            **dict(zip(("GIT_CONFIG_KEY_1", "GIT_CONFIG_VALUE_1"), ("user.email", "ops@example.org"), strict=True)),
        }

    def types(self, command: str, *, stdin: str = "", fails: bool = False) -> str:
        """The command's output; `stdin` is pasted at its prompt."""
        words = re.sub(r"^make ", "make -o .venv/ready -o engine ", command)
        shell = f"source toolchain/env.sh && {words}" if command.startswith(("pulumi ", "make ")) else words
        done = subprocess.run(
            ["bash", "-c", shell],
            cwd=self.clone,
            env=self.environment,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert bool(done.returncode) == fails, f"{command}\n{done.stdout[-3000:]}"
        assert "Traceback" not in done.stdout
        return done.stdout

    def exports(self, line: str) -> None:
        name, _, value = line.removeprefix("export ").partition("=")
        self.environment[name] = value

    def ups(self) -> str:
        """`make up STACK=prod` at a terminal, with the stack's name typed when asked for."""
        ours, theirs = pty.openpty()
        os.write(ours, b"prod\n")
        command = ["bash", "-c", "source toolchain/env.sh && make -o .venv/ready -o engine up STACK=prod 2>&1"]
        done = subprocess.run(
            command, cwd=self.clone, env=self.environment, stdin=theirs, stdout=subprocess.PIPE, text=True, timeout=300
        )
        os.close(ours)
        os.close(theirs)
        assert done.returncode
        return done.stdout


@pytest.fixture
def operator(tmp_path: Path, toolchain: Path) -> Operator:
    assert toolchain
    operator = Operator(tmp_path)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", "remote"], cwd=tmp_path, check=True)
    operator.types("git init -q -b main && git add -A && git commit -qm upstream && git remote add origin /upstream")
    return operator


def test_a_newcomer_gets_as_far_as_the_hosts_by_the_runbook_alone(operator: Operator, tmp_path: Path) -> None:
    """The next command reports each wrong or missing line, and what to type."""
    assert "docs/runbooks/first-deploy.md" in operator.types("make preview STACK=prod", fails=True)
    reported = ""
    for command in commands(PAGE):
        if command in SHOWN_ELSEWHERE or any(word in command for word in OPTIONAL):
            continue
        if command == "export PULUMI_BACKEND_URL=...":
            operator.exports(f"export PULUMI_BACKEND_URL=file://{tmp_path}/state")
            (tmp_path / "state").mkdir()
        elif command == "export PULUMI_CONFIG_PASSPHRASE_FILE=...":
            operator.exports(f"export PULUMI_CONFIG_PASSPHRASE_FILE={operator.home}/passphrase")
        elif command == "pulumi config set -s prod --secret vpai:anthropic_api_key":
            operator.types(command, stdin=DUMMY_SECRETS["anthropic_api_key"])
            # "and each other secret that the preview names"
            missing = re.findall(
                r"pulumi config set -s prod --secret vpai:(\w+)", operator.types("make preview STACK=prod", fails=True)
            )
            assert len(missing) > 5
            for name in dict.fromkeys(missing):
                operator.types(f"pulumi config set -s prod --secret vpai:{name}", stdin=DUMMY_SECRETS[name])
        elif command == "make images WRITE=1":
            lock = operator.clone / "images.lock.yaml"
            lock.write_text(lock.read_text().replace(": null", f": sha256:{'ab' * 32}"))
        elif command == "make up STACK=prod":
            reported = operator.ups()
        else:
            typed = command.replace("AAAA...", KEY.split()[1]).replace("OWNER", "our-company")
            operator.types(typed.replace("git@example.org:our-company/vpai.git", str(tmp_path / "remote")))
    assert "- create Container `sese-n8n`" in reported
    assert "ghcr.io/mobutoo" not in reported
    problems = re.findall(r"^\s*\d+\. (.*)", reported.partition("Type its name")[2], re.MULTILINE)
    assert [problem.partition(" over SSH")[0] for problem in problems] == ["seko cannot be reached", "sese cannot be reached"], (
        reported
    )
    assert "Connection refused" in reported and "nothing has been touched" in reported
