"""The program of one checkout as a stack of its own: dummies for all secrets, a backend and a passphrase to be thrown away."""

import json
import os
import re
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
from operations.stack import CommandFailed, output

Step = Mapping[str, Any]
Resource = dict[str, Any]

_NEEDED = ("GOGC", "HOME", "LANG", "PATH", "PYTHONPATH", "TMPDIR")
"""Of the caller's environment; credentials stay outside."""
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
"""For what an operator has not set yet."""
_HOSTS: Mapping[str, Mapping[str, Any]] = {role: {"roles": [role]} for role in ("stack", "hub", "workstation")}
"""Of a stack that is no copy, where the operator has not set them."""
_KEPT = "vpai:kept"
_AUTHORITY = "vpai:certificateAuthority"
# Asked of the checkout itself: another commit may know other secrets.
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


def dummy(name: str, pattern: str) -> str:
    """What stands for the external secret `name`, whose values match `pattern`, wherever there is no real one."""
    filled = f"preview0value0of0{name}"
    shapes = (filled, f"1000000001:{filled}", "-1000000001", "preview0" * 8)
    for shape in shapes:
        if re.fullmatch(pattern, shape):
            return shape
    raise CommandFailed(f"no dummy has the shape of {name}, {pattern}: add one to {Path(__file__).name}")


@dataclass(frozen=True, kw_only=True)
class Previewed:
    """What a preview told: each resource's step, and what the policy pack refuses."""

    steps: tuple[Step, ...]
    refused: tuple[str, ...]


class EphemeralStack:
    """A stack named like the real one, made of `source` (a checkout) below `directory`.

    `config` is the stack's configuration, its secrets encrypted by whatever key or left out; without it, the checkout's own.
    """

    def __init__(self, source: Path, directory: Path, stack: str, config: Mapping[str, Any] | None = None) -> None:
        self.directory, self._stack, self._source = directory / "project", stack, source
        shutil.copytree(source, self.directory, ignore=_left_out(source))
        home, state = directory / "home", directory / "state"
        home.mkdir()
        state.mkdir()
        (home / "plugins").symlink_to((Path(os.environ["PULUMI_HOME"]) / "plugins").resolve())
        (home / "logs").touch()  # in the way of the engine's automatic log: docs/adr/0026
        self.environment = {
            **{name: os.environ[name] for name in _NEEDED if name in os.environ},
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
            "PULUMI_PYTHON_CMD": os.environ.get("PULUMI_PYTHON_CMD", sys.executable),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            # For the event log, the only machine-readable place of the pack's verdict.
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
        """Make `resources`, secrets in plain text, the stack's state."""
        state = json.loads(self._pulumi("stack", "export"))
        # Everything else stays as it is in an empty stack, its secrets provider above all: without one the import crashes.
        state["deployment"]["resources"] = resources
        self._pulumi("stack", "import", stdin=json.dumps(state))

    def planned(self) -> list[Step]:
        """The steps of a preview that change anything, the dummies as an export shows secrets: what `settle` goes by."""
        plan = self.directory.parent / "plan.json"
        steps = json.loads(self._pulumi("preview", "--json", "--show-secrets", "--save-plan", str(plan)))["steps"]
        # The steps alone say "[secret]": what it is stands in the plan.
        goals = json.loads(plan.read_text())["resourcePlans"]
        for step in steps:
            if new := step.get("newState"):
                changes = goals.get(step["urn"], {}).get("goal", {}).get("inputDiff", {})
                known = {**changes.get("adds", {}), **changes.get("updates", {})}
                new["inputs"] = {key: known.get(key, value) for key, value in new.get("inputs", {}).items()}
        return [step for step in steps if step["op"] != "same"]

    def previewed(self, *arguments: str) -> str:
        """What `pulumi preview --json ARGUMENTS` prints; raises `CommandFailed` when it fails."""
        return self._pulumi("preview", "--json", *arguments)

    def preview(self) -> Previewed:
        """What an `up` would do, and the policy pack's verdict on it."""
        events = self.directory.parent / "events.json"
        judged = self._run("preview", "--json", "--policy-pack", "policy", "--event-log", str(events))
        refused = tuple(sorted(set(refused_by_policy(events.read_text())))) if events.exists() else ()
        if judged.returncode and not refused:
            raise _failed(judged)
        # A refused preview ends before all steps are told.
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
        """The operator's settings as they are, dummies in place of what is encrypted."""
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
        """Files that settings name and a checkout may lack; never a private key."""
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
        """All that a stack needs; the optional ones where the real stack has them, too."""
        asked = (str(config.get(_AUTHORITY, "")), *config.get("vpai:hosts", {}))
        known: Mapping[str, tuple[str, bool]] = json.loads(self._python(_SECRETS, *asked))
        for name, (pattern, optional) in known.items():
            if not optional or name in configured:
                yield name, dummy(name, pattern)


def checked_out(commit: str, directory: Path) -> Path:
    """The files of `commit`, in a directory of their own."""
    directory.mkdir()
    archive = directory.with_suffix(".tar")
    output(["git", "archive", "--output", str(archive), commit])
    output(["tar", "-x", "-C", str(directory), "-f", str(archive)])
    return directory


def _left_out(source: Path) -> Any:
    """Of the top directory alone: services may have files in a directory of any name."""
    patterns = shutil.ignore_patterns(*_LEFT_OUT)
    everywhere = shutil.ignore_patterns("__pycache__")
    return lambda directory, names: (patterns if Path(directory) == source else everywhere)(directory, names)


def _placed(hosts: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The same hosts, each with an address and a size where the operator has given none."""
    return {
        name: given if "server" in given else {"address": f"203.0.113.{10 + number}", "memoryMib": 11264, **given}
        for number, (name, given) in enumerate(hosts.items())
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _failed(done: subprocess.CompletedProcess[str]) -> CommandFailed:
    """With what the program said, where it is the program that refuses."""
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
