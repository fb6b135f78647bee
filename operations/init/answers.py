"""Readers of typed answers: each returns a value, or raises `Wrong` with one message that says why not."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from model import ssh_key
from model.problem import Refused
from model.secret import External, Secret, fault
from operations.init.dialogue import Wrong
from stacks import inputs

Read = Callable[[str], str]


def setting(key: str, form: str, example: str) -> Read:
    """A setting, checked by its own rules."""

    def read(answer: str) -> str:
        if _faulty({key: answer}, key):
            raise Wrong(f"{answer!r} is no {form}. For example: {example}")
        return answer

    return read


def or_later(read: Read) -> Read:
    """An empty answer is accepted; any other goes to `read`."""
    return lambda answer: read(answer) if answer else ""


def of_host(field: str, form: str, example: str) -> Read:
    """A setting of a host, checked by its own rules."""

    def read(answer: str) -> str:
        value = int(answer) if answer.isascii() and answer.isdigit() else answer
        if _faulty({"hosts": json.dumps({"host": {field: value}})}, f"hosts.host.{field}"):
            raise Wrong(f"{answer!r} is no {form}. For example: {example}")
        return answer

    return read


def host_name(taken: Collection[str]) -> Read:
    """The name of a new host."""

    def read(answer: str) -> str:
        if answer in taken:
            raise Wrong(f"There is a {answer} already: {', '.join(sorted(taken))}.")
        if _faulty({"hosts": json.dumps({answer: {"server": {}}})}, f"hosts.{answer}"):
            raise Wrong(f"{answer!r} is no name of a host: small letters, digits and dashes. For example: sese")
        return answer

    return read


def one_of(names: Mapping[str, str], what: str) -> Read:
    """One of `names`; the values of `names` explain them."""

    def read(answer: str) -> str:
        if answer not in names:
            raise Wrong(f"{answer!r} is no {what}: it is one of {', '.join(names)}.")
        return answer

    return read


def some_of(names: Collection[str], what: str) -> Callable[[str], tuple[str, ...]]:
    """Some of `names`, separated by commas or blanks."""

    def read(answer: str) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(answer.replace(",", " ").split()))
        unknown = [word for word in words if word not in names]
        if unknown or not words:
            raise Wrong(f"{', '.join(map(repr, unknown)) or 'That'} is no {what}: give some of {', '.join(names)}.")
        return words

    return read


def keys(offered: Sequence[str], directory: Path) -> Callable[[str], tuple[str, ...]]:
    """Public keys: numbers of `offered` keys, or a file of keys."""

    def read(answer: str) -> tuple[str, ...]:
        words = answer.replace(",", " ").split()
        if words and all(word.isascii() and word.isdigit() for word in words):
            numbers = [int(word) for word in words]
            if not all(1 <= number <= len(offered) for number in numbers):
                raise Wrong(f"{answer!r}: the keys are numbered 1 to {len(offered)}.")
            return tuple(offered[number - 1] for number in numbers)
        return _of_file(directory / Path(answer).expanduser())

    return read


def secret(of: Secret) -> Read:
    """The value of an external secret; empty for later. Messages never repeat the answer."""

    def read(answer: str) -> str:
        assert isinstance(of.source, External)
        wrong = fault(of.source, answer) if answer else ""
        if wrong:
            raise Wrong(f"What was typed {wrong}. Where to get it: {of.source.obtain}")
        return answer

    return read


def _of_file(path: Path) -> tuple[str, ...]:
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError, ValueError):
        raise Wrong(f"{str(path)[:200]!r} is no file with public keys. For example: ~/.ssh/id_ed25519.pub") from None
    found = tuple(line for line in lines if line and not line.startswith("#"))
    for number, key in enumerate(found, 1):
        if wrong := ssh_key.fault(key):
            raise Wrong(f"{path}, line {number}, {wrong}. For example: ~/.ssh/id_ed25519.pub")
    if not found:
        raise Wrong(f"{path} holds no key. For example: ~/.ssh/id_ed25519.pub")
    return found


def _faulty(raw: Mapping[str, str], path: str) -> bool:
    """Whether the setting at `path` is refused; other settings may be missing."""
    try:
        inputs.parsed("", raw)
    except Refused as refused:
        reported = (f"vpai:{path} = ", f"vpai:{path} has a name", f"vpai:{path}.")
        return any(problem.what.startswith(reported) for problem in refused.problems)
    return False
