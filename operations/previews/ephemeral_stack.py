"""Runs one checkout's program as a temporary stack: all secrets are dummies, backend and passphrase are temporary too."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from model.kind import Kind
from operations.deploy.up import refused_by_policy
from operations.secrets.dummies import dummy
from operations.stack import CommandFailed, output

Step = Mapping[str, Any]
Resource = dict[str, Any]

_NEEDED = ("GOGC", "HOME", "LANG", "PATH", "PYTHONPATH", "TMPDIR")
"""Variables taken from the caller's environment; credentials are not among them."""
_PASSPHRASE = "throwaway"  # noqa: S105 - it protects dummies
_LEFT_OUT = (".*", "__pycache__", "tests", "docs", "benchmarks", "lab", "images", "toolchain")
_SECONDS = 600
_PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdvbmUgYmVmb3JlIGl0IHdhcyBldmVyIHVzZWQhISEh throwaway\n"
_OPERATOR: Mapping[str, Any] = {
    "vpai:domain": "vpai.example.org",
    "vpai:acmeEmail": "ops@example.org",
    "vpai:knownHosts": "hosts/throwaway.known_hosts",
    "vpai:authorizedKeys": "hosts/throwaway.authorized_keys",
}
"""Settings that stand in for what an operator has not set yet."""
_HOSTS: Mapping[str, Mapping[str, Any]] = {role: {"roles": [role]} for role in ("stack", "hub", "workstation")}
"""Hosts of a stack that is no copy, when the operator has set none."""
_KEPT = "vpai:kept"
_AUTHORITY = "vpai:certificateAuthority"
# Runs in the checkout itself: another commit may have other secrets.
_SECRETS = """
import json, sys
from model.secret import External
from services import catalogue
from stacks.inputs import CLOUD_TOKEN
found = (*catalogue.external_secrets(sys.argv[1], sys.argv[2:]), CLOUD_TOKEN)
print(json.dumps({each.name: [each.source.pattern, each.source.optional] for each in found}))
"""
_REACHABILITY = """
from model.reachability import reachability
from operations.reference.reachability import page
from operations.reference.catalogue import example_fleet
print(page(reachability(example_fleet())))
"""


@dataclass(frozen=True, kw_only=True)
class Previewed:
    """The result of a preview: the steps of its resources, and what the policy pack refuses."""

    steps: tuple[Step, ...]
    refused: tuple[str, ...]


class EphemeralStack:
    """A stack with the real one's name, made from `source` (a checkout) below `directory`.

    `config` is the stack's configuration, with its secrets encrypted by any key or left out; by default the checkout's own.
    """

    def __init__(self, source: Path, directory: Path, stack: str, config: Mapping[str, Any] | None = None) -> None:
        self.directory, self._stack, self._source = directory / "project", stack, source
        shutil.copytree(source, self.directory, ignore=_left_out(source))
        home, state = directory / "home", directory / "state"
        home.mkdir()
        state.mkdir()
        (home / "plugins").symlink_to((Path(os.environ["PULUMI_HOME"]) / "plugins").resolve())
        (home / "logs").touch()  # a file where the engine would make the directory of its automatic log: docs/adr/0026
        self.environment = {
            **{name: os.environ[name] for name in _NEEDED if name in os.environ},
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
            "PULUMI_PYTHON_CMD": os.environ.get("PULUMI_PYTHON_CMD", sys.executable),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            # For the event log: only there is the pack's verdict machine-readable.
            "PULUMI_DEBUG_COMMANDS": "true",
        }
        file = self.directory / f"Pulumi.{stack}.yaml"
        if config is None:
            config = (yaml.safe_load(file.read_text()) or {}).get("config") or {} if file.exists() else {}
        self._configure(file, config)

    @property
    def reachability(self) -> str:
        """The page of who reaches what in production, as this checkout computes it."""
        return self._python(_REACHABILITY)

    def hold(self, resources: list[Resource]) -> None:
        """Make `resources`, with secrets in plain text, the stack's state."""
        state = json.loads(self._pulumi("stack", "export"))
        # The rest comes from the empty stack. Without its secrets provider the import crashes.
        state["deployment"]["resources"] = resources
        self._pulumi("stack", "import", stdin=json.dumps(state))

    def planned(self) -> list[Step]:
        """The steps of a preview that change anything, with dummies in the form of an export; the input of `converge`."""
        plan = self.directory.parent / "plan.json"
        steps = json.loads(self._pulumi("preview", "--json", "--show-secrets", "--save-plan", str(plan)))["steps"]
        # The steps show secrets only as "[secret]"; their values are in the plan.
        goals = json.loads(plan.read_text())["resourcePlans"]
        for step in steps:
            if new := step.get("newState"):
                changes = goals.get(step["urn"], {}).get("goal", {}).get("inputDiff", {})
                known = {**changes.get("adds", {}), **changes.get("updates", {})}
                new["inputs"] = {key: known.get(key, value) for key, value in new.get("inputs", {}).items()}
        return [step for step in steps if step["op"] != "same"]

    def previewed(self, *arguments: str) -> str:
        """The output of `pulumi preview --json ARGUMENTS`; raises `CommandFailed` when it fails."""
        return self._pulumi("preview", "--json", *arguments)

    def preview(self) -> Previewed:
        """What an `up` would do, and the policy pack's verdict."""
        events = self.directory.parent / "events.json"
        judged = self._run("preview", "--json", "--policy-pack", "policy", "--event-log", str(events))
        refused = tuple(sorted(set(refused_by_policy(events.read_text())))) if events.exists() else ()
        if judged.returncode and not refused:
            raise _failed(judged)
        # A refused preview ends before it has reported all steps.
        steps = json.loads(self.previewed() if refused else judged.stdout)["steps"]
        return Previewed(steps=tuple(step for step in steps if step["op"] != "same"), refused=refused)

    def _pulumi(self, *arguments: str, stdin: str | None = None) -> str:
        done = self._run(*arguments, stdin=stdin)
        if done.returncode:
            raise _failed(done)
        return done.stdout

    def _run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        words = ["pulumi", *arguments, *([] if arguments[1] == "init" else ["--stack", self._stack]), "--non-interactive"]
        return subprocess.run(
            words, cwd=self.directory, env=self.environment, input=stdin, capture_output=True, text=True, timeout=_SECONDS
        )

    def _python(self, program: str, *arguments: str) -> str:
        words = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(words, cwd=self.directory, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise CommandFailed(f"{self._source} does not run:\n{done.stderr.strip()}")
        return done.stdout

    def _configure(self, file: Path, written: Mapping[str, Any]) -> None:
        """Write the operator's settings, with dummies for the encrypted ones."""
        plain = {key: value for key, value in written.items() if not _is_encrypted(value)}
        config: dict[str, Any] = {**_OPERATOR, **plain}
        if plain.get("vpai:kind") != Kind.COPY:
            config["vpai:hosts"] = _placed(plain.get("vpai:hosts") or _HOSTS)
        self._write_files(config)
        file.write_text(yaml.safe_dump({"config": config}))
        self._pulumi("stack", "init", self._stack)
        kept = written.get(_KEPT)
        names = {key.removeprefix("vpai:") for key in written.keys() - plain.keys()}
        secrets = {f"vpai:{name}": value for name, value in self._dummies(names, config)}
        if isinstance(kept, Mapping):
            secrets |= {f"{_KEPT}.{name}": dummy(name, ".*") for name in kept}
        pairs = [word for key, value in secrets.items() for word in ("--secret", f"{key}={value}")]
        self._pulumi("config", "set-all", "--path", *pairs)

    def _write_files(self, config: Mapping[str, Any]) -> None:
        """Write files that settings name and a checkout may lack; never a private key."""
        for key, substitute in (("vpai:authorizedKeys", _PUBLIC_KEY), ("vpai:imageLock", None)):
            name = config.get(key)
            if name and not (self.directory / name).exists():
                found = self._source / name
                _write(self.directory / name, found.read_text() if found.exists() else substitute or "{}\n")
        if authority := config.get(_AUTHORITY):
            certificate = self._source / authority / "root.crt"
            _write(self.directory / authority / "root.crt", certificate.read_text())
            _write(self.directory / authority / "root.key", dummy("certificate_authority_key", ".*"))

    def _dummies(self, configured: set[str], config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Dummies for all secrets that a stack needs, and for the optional ones that the real stack has."""
        asked = (str(config.get(_AUTHORITY, "")), *config.get("vpai:hosts", {}))
        known: Mapping[str, tuple[str, bool]] = json.loads(self._python(_SECRETS, *asked))
        for name, (pattern, optional) in known.items():
            if not optional or name in configured:
                yield name, dummy(name, pattern)


def checked_out(commit: str, directory: Path) -> Path:
    """The files of `commit`, in the new directory `directory`."""
    directory.mkdir()
    archive = directory.with_suffix(".tar")
    output(["git", "archive", "--output", str(archive), commit])
    output(["tar", "-x", "-C", str(directory), "-f", str(archive)])
    return directory


def _left_out(source: Path) -> Any:
    """Leave out names in the top directory only: services may have directories of any name."""
    patterns = shutil.ignore_patterns(*_LEFT_OUT)
    everywhere = shutil.ignore_patterns("__pycache__")
    return lambda directory, names: (patterns if Path(directory) == source else everywhere)(directory, names)


def _placed(hosts: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The same hosts; those without an address or a size get one."""
    return {
        name: given if "server" in given else {"address": f"203.0.113.{10 + number}", "memoryMib": 11264, **given}
        for number, (name, given) in enumerate(hosts.items())
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _failed(done: subprocess.CompletedProcess[str]) -> CommandFailed:
    """The error with the program's own message, when the program refuses."""
    try:
        reported = [
            diagnostic["message"] for diagnostic in json.loads(done.stdout)["diagnostics"] if diagnostic["severity"] == "error"
        ]
    except (ValueError, KeyError):
        reported = [f"{' '.join(done.args[:3])} failed:", done.stdout + done.stderr]
    return CommandFailed("\n".join(text.strip().removeprefix("error: ") for text in reported))


def _is_encrypted(value: object) -> bool:
    if isinstance(value, Mapping):
        return "secure" in value or any(map(_is_encrypted, value.values()))
    return isinstance(value, list) and any(map(_is_encrypted, value))
