"""The lab's deployed stack, changed through a copy of the project; the checkout itself stays untouched."""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from components.docker.docker_host import LABEL_SERVICE, LABEL_STACK
from lab import Lab, Machine
from lab.layout import SEKO
from tests.support.copies import copy, last_commit, tracked
from tests.support.fleets import PROJECT
from tests.support.waiting import until

_COPIED = ("__main__.py", "model", "services", "components", "stacks", "operations", "policy", "images.lock.yaml", "prices.yaml")
_LOOKS = {
    *("preview", "config", "stack"),
    *("authentication", "dns", "drift", "logs", "smoke", "ssh-config", "status"),
}
"""Commands of pulumi and of operations that do not change the deployment."""
_NEVER_STARTED, _EXEC_TRIES = "unable to start container process: waiting for init preliminary setup", 3
"""runc 1.1.15 sometimes fails an exec on a busy machine (seen once in some thousand); the command has not begun then."""
CONTAINER = "docker:index/container:Container"
HELLO = ("        diun,\n    ),\n", "        diun,\n        apps,\n    ),\n")
"""A change of services/catalogue.py that adds the application `hello` to the stack's host."""
Done = subprocess.CompletedProcess[str]


def further_lab(name: str, hub: str = SEKO) -> Lab:
    """Another lab, from a copy of this checkout with its last commit; not started yet."""
    lab = Lab(Lab.of_checkout(PROJECT).layout.further(name, hub))
    tracked(lab.layout.checkout)
    last_commit(lab.layout.checkout)
    return lab


class Deployment:
    """A stack, operated from a copy of the project on the operator machine."""

    def __init__(self, lab: Lab, stack: str = "lab") -> None:
        self.lab, self.stack = lab, stack
        self.directory = lab.layout.directory / ("test-project" if stack == "lab" else f"test-{stack}")
        self._stands = ""
        """Fingerprint of the project at the last successful `up`; empty after any later change."""
        self._secrets: Mapping[str, str] = {}
        self.reset()
        self.operate("ssh-config")

    def reset(self) -> None:
        """Reset the copy to the committed project."""
        kept = self.directory / ".vpai"
        self.directory.mkdir(exist_ok=True)
        for path in set(self.directory.iterdir()) - {kept}:
            (shutil.rmtree if path.is_dir() and not path.is_symlink() else Path.unlink)(path)
        checkout = self.lab.layout.checkout
        for name in (*_COPIED, *(path.name for path in checkout.glob("Pulumi*.yaml"))):
            copy(checkout / name, self.directory / name)
        (self.directory / ".lab").symlink_to(self.lab.layout.directory)

    def put_back(self) -> None:
        """Deploy the committed project, unless it is deployed already."""
        self.reset()
        if self._stands == self._fingerprint:
            return
        if self.up(check=False).returncode:
            self.up("--refresh")  # The hosts lack something that the state has.

    @property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(path for path in self.directory.rglob("*") if path.is_file() and ".vpai" not in path.parts):
            digest.update(f"{path.relative_to(self.directory)}\0".encode() + path.read_bytes())
        return digest.hexdigest()

    def edit(self, path: str, *changes: tuple[str, str]) -> None:
        """Replace texts in a file of the copy; each must occur."""
        file = self.directory / path
        text = file.read_text()
        for old, new in changes:
            assert old in text, f"{path} has no {old!r}"
            text = text.replace(old, new)
        file.write_text(text)

    def configure(self, key: str, value: str) -> None:
        """Set a plain configuration value, by path."""
        self.pulumi("config", "set", "--path", f"vpai:{key}", value)

    def pulumi(self, *arguments: str, check: bool = True) -> Done:
        """Run pulumi; its stderr is part of stdout."""
        return self.run("pulumi", *arguments, "--stack", self.stack, "--non-interactive", check=check)

    def operate(self, *arguments: str, check: bool = True) -> Done:
        """Run an operator's command."""
        command, *rest = arguments
        return self.run("vpai-python", "-m", "operations", command, "--stack", self.stack, *rest, check=check)

    def make(self, *words: str, check: bool = True, seconds: float = 1800) -> Done:
        """Run `make WORDS` with the real Makefile, in the copy."""
        self._stands, self._secrets = "", {}
        checkout = self.lab.layout.checkout
        done = subprocess.run(
            ["make", "--file", str(checkout / "Makefile"), "--no-print-directory", "--old-file", ".venv/ready", *words],
            cwd=self.directory,
            # A further lab's id does not follow from the path of its checkout.
            env={**os.environ, "PYTHONPATH": str(checkout), "VPAI_LAB_ID": self.lab.layout.id},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
        assert not check or done.returncode == 0, done.stdout[-4000:]
        return done

    def type(self, line: str, *, check: bool = True, seconds: float = 1800) -> Done:
        """Run an operator's line in the copy: make in the checkout, other commands on the machine with pulumi."""
        words = shlex.split(line.replace("STACK=prod", f"STACK={self.stack}").replace("-s prod", f"-s {self.stack}"))
        if words[0] == "make":
            return self.make(*words[1:], check=check, seconds=seconds)
        return self.run("sh", "-c", shlex.join(words) if ">>" not in line else line, check=check)

    def smoke(self) -> None:
        """Assert that every live check passes and that no deployed service lacks a check."""
        shown = self.operate("smoke", "--chat", check=False)
        lines = shown.stdout.splitlines()
        assert shown.returncode == 0, "\n".join(line for line in lines if not line.startswith("ok "))
        checked = {"-".join(line.replace(":", "").split()[1:3]) for line in lines if "healthcheck" in line}
        assert checked == {urn.rpartition("::")[2] for urn, (kind, _, _) in self.resources().items() if kind == CONTAINER}

    def run(self, *words: str, check: bool = True) -> Done:
        """Run `words` on the operator machine, in the copy."""
        if not _LOOKS & set(words):
            self._stands, self._secrets = "", {}
        done = self.lab.operator.run(
            ["sh", "-c", '"$@" 2>&1', "sh", *words], directory=str(self.directory), check=False, timeout=600
        )
        assert not check or done.returncode == 0, done.stdout[-4000:]
        return done

    def up(self, *arguments: str, check: bool = True) -> Done:
        """Deploy the copy."""
        stood, project = self._stands, self._fingerprint
        done = self.pulumi("up", "--yes", "--skip-preview", *arguments, check=check)
        if "nothing has been touched" in done.stdout:
            self._stands = stood
        elif done.returncode == 0 and "--target" not in arguments:
            self._stands = project
        return done

    def changes(self) -> Mapping[str, str]:
        """What an `up` would do: resource name -> operation, unchanged ones left out."""
        steps = json.loads(self.pulumi("preview", "--json").stdout)["steps"]
        last = {step["urn"].rpartition("::")[2]: step["op"] for step in steps}
        return {name: op for name, op in last.items() if op != "same"}

    def resources(self) -> Mapping[str, tuple[str, str, Any]]:
        """The state's resources: URN -> type, id and inputs in plain text (ciphertexts change at every write)."""
        shown = json.loads(self.pulumi("stack", "export", "--show-secrets").stdout)["deployment"]["resources"]
        return {
            resource["urn"]: (resource["type"], resource["id"], resource.get("inputs"))
            for resource in shown
            if resource["custom"]
        }

    @property
    def secrets(self) -> Mapping[str, str]:
        """Every secret in plain text; cached until an `up` may have changed it."""
        if not self._secrets:
            self._secrets = json.loads(self.pulumi("stack", "output", "secrets", "--json", "--show-secrets").stdout)
        return self._secrets

    @property
    def host(self) -> Machine:
        """The stack's host."""
        return self.lab.sese

    def on_host(self, *words: str, check: bool = True, input: str = "") -> str:
        """The output of `words` on the host, run as root."""
        for _ in range(_EXEC_TRIES):
            done = self.host.run(["sh", "-c", '"$@" 2>&1', "sh", *words], check=False, input=input)
            if _NEVER_STARTED not in done.stdout:
                break
        assert not check or done.returncode == 0, done.stdout
        return done.stdout.strip()

    def containers(self, service: str = "") -> list[str]:
        """Full ids of this stack's containers on the host, running or not."""
        labels = [f"label={LABEL_STACK}={self.stack}", *([f"label={LABEL_SERVICE}={service}"] if service else [])]
        filters = [word for label in labels for word in ("--filter", label)]
        return self.on_host("docker", "ps", "-aq", "--no-trunc", *filters).split()

    def container(self, service: str) -> str:
        """The one container of `service`."""
        [container] = self.containers(service)
        return container

    def known_containers(self) -> set[str]:
        """The host's containers in the state."""
        return {
            identity
            for urn, (kind, identity, _) in self.resources().items()
            if kind == CONTAINER and urn.rpartition("::")[2].startswith(f"{self.host.name}-")
        }

    def sql(self, database: str, statement: str) -> str:
        """The output of `statement`, run as superuser."""
        psql = ("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database)
        return self.on_host("docker", "exec", "-i", self.container("postgresql"), *psql, input=statement)

    def add_hello(self) -> None:
        """Deploy an application that starts in a moment, as an example of any service."""
        self.edit("services/catalogue.py", HELLO)
        self.configure("hosts.sese.memoryMib", "12288")  # the catalogue leaves no room
        self.up()
        ask = ["curl", "-sf", "--max-time", "5", "--cacert", ".lab/ca/root.crt", "https://hello.vpai.test/"]
        # The mesh's members learn its name a moment after the hub.
        until(lambda: self.lab.operator.run(ask, directory=str(self.directory), check=False).returncode == 0, 60)

    @contextmanager
    def requests(self, url: str = "https://llm.vpai.test/v1/models") -> Iterator[list[str]]:
        """Request `url` through Caddy ten times a second, with LiteLLM's key; yields the list of statuses, filled at the end."""
        seen: list[str] = []
        ask = 'curl -s -o /dev/null -w "%{http_code}\\n" --max-time 15 --cacert .lab/ca/root.crt -H @/tmp/requests-key'
        script = f"while [ ! -e /tmp/stop-requests ]; do {ask} {url} || echo curl:$?; sleep 0.1; done; rm -f /tmp/stop-requests"
        key = f"Authorization: Bearer {self.secrets['litellm_master_key']}"
        self.lab.operator.run(["sh", "-c", "rm -f /tmp/stop-requests; umask 077; cat > /tmp/requests-key"], input=key)
        command = [*self.lab.operator.exec_command(directory=str(self.directory)), "sh", "-c", script]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield seen
            finally:
                self.lab.operator.run(["touch", "/tmp/stop-requests"])
                seen.extend(process.communicate(timeout=30)[0].split())

    @cached_property
    def state_files(self) -> Path:
        """The directory of the backend's state."""
        return self.lab.layout.directory / "state"


def healthy(machine: Machine) -> bool:
    """Whether all containers of ours are healthy; true for a host without Docker."""
    # By the printed word: while a machine boots the command fails, which says nothing about Docker.
    if machine.run(["systemctl", "is-enabled", "docker"], check=False).stdout.strip() in ("disabled", "not-found"):
        return True
    return bool(health := health_of(machine)) and set(health.values()) == {"healthy"}


def health_of(machine: Machine) -> Mapping[str, str]:
    """Docker's health of each service; `-` for one that does not run."""
    form = f'{{{{.Label "{LABEL_SERVICE}"}}}} {{{{.Status}}}}'
    shown = machine.run(["docker", "ps", "-a", "--filter", f"label={LABEL_STACK}", "--format", form], check=False).stdout
    found = {}
    for line in shown.splitlines():
        service, _, status = line.partition(" ")
        found[service] = status.rpartition("(")[2].rstrip(")") if status.startswith("Up") else "-"
    return found


def unwell(machine: Machine) -> str:
    """Output of the last healthchecks of unhealthy containers."""
    ask = (
        f"docker ps -aq --filter label={LABEL_STACK} | xargs -r docker inspect --format "
        f'\'{{{{index .Config.Labels "{LABEL_SERVICE}"}}}} {{{{json .State}}}}\' | grep -v \'"Status":"healthy"\''
    )
    return machine.run(["sh", "-c", ask], check=False).stdout
