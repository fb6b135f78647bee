"""sshd's configuration as `sshd -T` reads it: first value wins, keywords in any case, Include in place, Match kept apart."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from posixpath import dirname, join

from policy.meaning.paths import canonical

MAIN = "/etc/ssh/sshd_config"
_DROP_INS = "/etc/ssh/sshd_config.d/*.conf"
_DIRECTORY = "/etc/ssh"
_ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "keepalive": "tcpkeepalive",
}
_GATHERING = frozenset({"allowusers", "denyusers", "allowgroups", "denygroups", "acceptenv", "port", "listenaddress", "hostkey"})
"""Keywords whose lines add up."""
_TIMES = frozenset({"logingracetime", "clientaliveinterval"})
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LINE = re.compile(r"\s*(?P<key>[A-Za-z0-9]+)(?:\s*=\s*|\s+)(?P<value>.*)")
_DEEPEST = 16
"""Depth of nested Includes that sshd follows."""


@dataclass
class Sshd:
    """The configuration that several files form."""

    values: dict[str, str] = field(default_factory=dict)
    """Values outside of every Match, by keyword in lower case."""
    matched: list[tuple[str, str]] = field(default_factory=list)
    """Keyword and value of each line below a Match: it applies to some connections."""
    unseen: list[str] = field(default_factory=list)
    """Patterns of Includes that match none of the files."""


def read(files: Mapping[str, str]) -> Sshd:
    """The configuration that Debian's sshd reads from these files.

    Without a main file the distribution's applies, which includes the drop-ins first.
    """
    placed = {canonical(path): text for path, text in files.items()}
    found = Sshd()
    _read(placed.get(MAIN, f"Include {_DROP_INS}"), placed, found, matching=False, depth=0)
    return found


def keyword(name: str) -> str:
    """The keyword as it is compared: in lower case, aliases resolved."""
    return _ALIASES.get(name.lower(), name.lower())


def value(name: str, text: str) -> str:
    """The value as it is compared: in lower case, times in seconds, numbers without leading zeros."""
    said = text.strip().lower()
    if keyword(name) in _TIMES:
        return _seconds(said)
    return str(int(said)) if re.fullmatch("[0-9]+", said) else said


def _seconds(text: str) -> str:
    parts = re.findall(r"([0-9]+)([smhdw]?)", text)
    whole = "".join(number + unit for number, unit in parts) == text
    return str(sum(int(number) * _SECONDS[unit] for number, unit in parts)) if parts and whole else text


def _read(text: str, files: Mapping[str, str], found: Sshd, *, matching: bool, depth: int) -> None:
    for key, words in _lines(text):
        if key == "match":
            matching = True
        elif key == "include":
            for pattern in words:
                _include(pattern, files, found, matching=matching, depth=depth)
        elif matching:
            found.matched.append((key, " ".join(words)))
        elif key in _GATHERING and key in found.values:
            found.values[key] += " " + " ".join(words)
        else:
            found.values.setdefault(key, " ".join(words))


def _include(pattern: str, files: Mapping[str, str], found: Sshd, *, matching: bool, depth: int) -> None:
    whole = canonical(pattern if pattern.startswith("/") else join(_DIRECTORY, pattern))
    named = sorted(path for path in files if fnmatchcase(path, whole) and dirname(path) == dirname(whole))
    if depth >= _DEEPEST or (not named and whole != _DROP_INS):
        found.unseen.append(pattern)
        return
    for path in named:
        _read(files[path], files, found, matching=matching, depth=depth + 1)


def _lines(text: str) -> Iterator[tuple[str, list[str]]]:
    for line in text.splitlines():
        if (said := _LINE.fullmatch(line)) and not line.lstrip().startswith("#"):
            try:
                words = shlex.split(said["value"], comments=True)
            except ValueError:
                words = said["value"].split()
            yield keyword(said["key"]), words
