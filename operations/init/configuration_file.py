"""Pulumi.<stack>.yaml as it stands, and how an answer gets into it: by the engine, which leaves the rest as it is."""

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from operations.reference.configuration import HEADER
from operations.stack import PROJECT, output

_NAMESPACE = "vpai:"


class ConfigurationFile:
    """The file of one stack. Whatever interrupts it, the file is as it was before an answer, or after it."""

    def __init__(self, stack: str, project: Path = PROJECT) -> None:
        self._stack, self.path = stack, project / f"Pulumi.{stack}.yaml"

    @property
    def text(self) -> str:
        """All of it; empty where there is none yet."""
        return self.path.read_text() if self.path.exists() else ""

    @property
    def values(self) -> Mapping[str, Any]:
        """What is set, by key without namespace; what is encrypted as `{"secure": ...}`."""
        config = (yaml.safe_load(self.text) or {}).get("config") or {}
        return {key.removeprefix(_NAMESPACE): value for key, value in config.items() if key.startswith(_NAMESPACE)}

    @property
    def secrets(self) -> frozenset[str]:
        """Names of what is encrypted."""
        return frozenset(key for key, value in self.values.items() if isinstance(value, Mapping) and "secure" in value)

    @property
    def settings(self) -> Mapping[str, str]:
        """What is not encrypted, as the engine hands it to the program."""
        values = self.values
        return {key: _text(values[key]) for key in values if key not in self.secrets}

    def begin(self) -> None:
        """Make the stack, and its file, which tells an editor of its schema."""
        with _to_the_end():
            self._pulumi("stack", "init", self._stack)

    def head(self) -> None:
        """The first line, by which an editor finds the schema."""
        if not self.text.startswith(HEADER):
            draft = self.path.with_name(f".{self.path.name}.new")
            draft.write_text(HEADER + self.text)
            draft.replace(self.path)

    def set(self, values: Mapping[str, Any]) -> None:
        """Plain settings, all at once: texts, and whole lists and mappings."""
        entries = {f"{_NAMESPACE}{key}": _entry(value) for key, value in values.items()}
        with _to_the_end():
            self._pulumi("config", "set-all", "--json", json.dumps(entries), "--stack", self._stack)

    def set_host(self, name: str, values: Mapping[str, Any]) -> None:
        """What is known of a host, all at once: an address without a memory would be refused."""
        hosts = self.values.get("hosts", {})
        self.set({"hosts": {**hosts, name: {**hosts.get(name, {}), **values}}})

    def set_secret(self, name: str, value: str) -> None:
        """An encrypted value; it is on no command line."""
        with _to_the_end():
            self._pulumi("config", "set", "--secret", f"{_NAMESPACE}{name}", "--stack", self._stack, stdin=value)

    def _pulumi(self, *arguments: str, stdin: str | None = None) -> str:
        return output(["pulumi", *arguments, "--non-interactive"], stdin, apart=True)


@contextmanager
def _to_the_end() -> Iterator[None]:
    """A Ctrl-C counts when the file is written, not in between."""
    asked: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
    if asked:
        raise KeyboardInterrupt


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _entry(value: object) -> Mapping[str, Any]:
    """As `pulumi config --json` shows it: beside an objectValue, which makes it one, the value is read."""
    return {"value": value} if isinstance(value, str) else {"value": json.dumps(value), "objectValue": value}
