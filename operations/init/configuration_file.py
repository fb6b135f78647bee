"""Reads Pulumi.<stack>.yaml, and writes answers into it through the engine, which leaves the rest unchanged."""

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
    """The file of one stack. An interruption leaves it as before an answer or as after it."""

    def __init__(self, stack: str, project: Path = PROJECT) -> None:
        self._stack, self.path = stack, project / f"Pulumi.{stack}.yaml"

    @property
    def text(self) -> str:
        """The whole text; empty when there is no file."""
        return self.path.read_text() if self.path.exists() else ""

    @property
    def values(self) -> Mapping[str, Any]:
        """Every value, by key without namespace; an encrypted one is `{"secure": ...}`."""
        config = (yaml.safe_load(self.text) or {}).get("config") or {}
        return {key.removeprefix(_NAMESPACE): value for key, value in config.items() if key.startswith(_NAMESPACE)}

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the encrypted values."""
        return frozenset(key for key, value in self.values.items() if isinstance(value, Mapping) and "secure" in value)

    @property
    def settings(self) -> Mapping[str, str]:
        """Plain values, as the engine gives them to the program."""
        values = self.values
        return {key: _text(values[key]) for key in values if key not in self.secrets}

    def begin(self) -> None:
        """Create the stack and its file, with the line that names the schema."""
        with _to_the_end():
            self._pulumi("stack", "init", self._stack)

    def head(self) -> None:
        """Write the first line, by which an editor finds the schema."""
        if not self.text.startswith(HEADER):
            draft = self.path.with_name(f".{self.path.name}.new")
            draft.write_text(HEADER + self.text)
            draft.replace(self.path)

    def set(self, values: Mapping[str, Any]) -> None:
        """Write plain settings in one step: texts, lists and mappings."""
        entries = {f"{_NAMESPACE}{key}": _entry(value) for key, value in values.items()}
        with _to_the_end():
            self._pulumi("config", "set-all", "--json", json.dumps(entries), "--stack", self._stack)

    def set_host(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a host's settings in one step: an address without a memory size would be refused."""
        hosts = self.values.get("hosts", {})
        self.set({"hosts": {**hosts, name: {**hosts.get(name, {}), **values}}})

    def set_secret(self, name: str, value: str) -> None:
        """Encrypt and write a value, which is on no command line."""
        with _to_the_end():
            self._pulumi("config", "set", "--secret", f"{_NAMESPACE}{name}", "--stack", self._stack, stdin=value)

    def _pulumi(self, *arguments: str, stdin: str | None = None) -> str:
        return output(["pulumi", *arguments, "--non-interactive"], stdin, apart=True)


@contextmanager
def _to_the_end() -> Iterator[None]:
    """Delay Ctrl-C until the file is written."""
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
    """An entry in the form of `pulumi config --json`: `objectValue` marks a list or mapping, `value` is the text that is read."""
    return {"value": value} if isinstance(value, str) else {"value": json.dumps(value), "objectValue": value}
