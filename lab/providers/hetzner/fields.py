"""Reads a request's fields; what is wrong with any of them is told at once, as the API does."""

import ipaddress
import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from lab.providers.hetzner.refusal import invalid

Json = dict[str, Any]
Value = TypeVar("Value")

HOSTNAME = r"(?=.{1,63}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
_LABEL_PREFIX = r"([a-zA-Z0-9]([-_.a-zA-Z0-9]{0,251}[a-zA-Z0-9])?/)?"
_LABEL_KEY = rf"{_LABEL_PREFIX}[a-zA-Z0-9]([-_.a-zA-Z0-9]{{0,61}}[a-zA-Z0-9])?"
_LABEL_VALUE = r"([a-zA-Z0-9]([-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)?"


class Fields:
    """One JSON object of a request. Read all fields, then call `check`."""

    def __init__(self, body: Json, path: str = "") -> None:
        self._body, self._path = body, path
        self._known: set[str] = set()
        self._mistakes: dict[str, list[str]] = {}

    def has(self, name: str) -> bool:
        """Whether the field is there; null counts as absent."""
        return self._body.get(name) is not None

    def text(
        self, name: str, *, required: bool = False, longest: int = 128, pattern: str = "", one_of: Collection[str] = ()
    ) -> str:
        value = self._read(name, str, "", required)
        if self.has(name) and isinstance(value, str):
            if required and not value:
                self.wrong(name, "is too short")
            if len(value) > longest:
                self.wrong(name, "is too long")
            elif pattern and not re.fullmatch(pattern, value):
                self.wrong(name, "is invalid")
            elif one_of and value not in one_of:
                self.wrong(name, f"must be one of {', '.join(one_of)}")
        return value

    def flag(self, name: str, default: bool = False, *, required: bool = False) -> bool:
        return self._read(name, bool, default, required)

    def number(self, name: str, *, required: bool = False, least: int = 0, most: int = 2**53) -> int:
        value = self._read(name, int, 0, required)
        if self.has(name) and not least <= value <= most:
            self.wrong(name, f"must be between {least} and {most}")
        return value

    def identity(self, name: str, *, required: bool = False) -> str:
        """An id or a name."""
        self._known.add(name)
        value = self._body.get(name)
        if value is None or isinstance(value, bool) or not isinstance(value, int | str):
            if required or value is not None:
                self.wrong(name, "is required" if value is None else "has the wrong type")
            return ""
        return str(value)

    def identities(self, name: str) -> list[str]:
        return [str(value) for value in self._items(name, (int, str))]

    def objects(self, name: str, most: int = 100, *, required: bool = False) -> list["Fields"]:
        """The objects of a list, each to be read and merged with `nested`."""
        if required and name not in self._body:
            self.wrong(name, "is required")
        found = self._items(name, (dict,))
        if len(found) > most:
            self.wrong(name, "has too many items")
        return [Fields(item, f"{self._path}{name}.{number}.") for number, item in enumerate(found)]

    def object(self, name: str) -> "Fields":
        value = self._read(name, dict, {}, False)
        return Fields(value if isinstance(value, dict) else {}, f"{self._path}{name}.")

    def labels(self, current: Json | None = None) -> Json:
        """Labels that keep the API's grammar; those of now where the request names none."""
        if not self.has("labels"):
            self._known.add("labels")
            return dict(current or {})
        value = self._read("labels", dict, {}, False)
        for key, text in (value if isinstance(value, dict) else {}).items():
            if not re.fullmatch(_LABEL_KEY, key):
                self.wrong("labels", f"key '{key}' is invalid")
            if not isinstance(text, str) or not re.fullmatch(_LABEL_VALUE, text):
                self.wrong("labels", f"value of '{key}' is invalid")
        return dict(value)

    def networks(self, name: str, *, required: bool = False) -> list[str]:
        """CIDRs without host bits."""
        found = self._items(name, (str,))
        if required and not found:
            self.wrong(name, "is required")
        for text in found:
            self._parse(name, text, ipaddress.ip_network)
        return [str(text) for text in found]

    def network(self, name: str, *, required: bool = False) -> ipaddress.IPv4Network | None:
        text = self.text(name, required=required)
        return self._parse(name, text, ipaddress.IPv4Network) if text else None

    def address(self, name: str) -> ipaddress.IPv4Address | None:
        text = self.text(name)
        return self._parse(name, text, ipaddress.IPv4Address) if text else None

    def wrong(self, name: str, message: str) -> None:
        """Remember a mistake."""
        self._mistakes.setdefault(self._path + name, []).append(message)

    def nested(self, *inner: "Fields") -> None:
        """Take over what is wrong in objects that were read out of this one."""
        for fields in inner:
            fields._complete()
            self._mistakes |= fields._mistakes

    def check(self) -> None:
        """Refuse the request with every mistake."""
        self._complete()
        if self._mistakes:
            raise invalid(self._mistakes)

    def _complete(self) -> None:
        for name in self._body.keys() - self._known:
            self.wrong(name, "is unknown")

    def _read(self, name: str, kind: type[Value], default: Value, required: bool) -> Value:
        self._known.add(name)
        value = self._body.get(name)
        if value is None:
            if required:
                self.wrong(name, "is required")
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.wrong(name, "has the wrong type")
            return default
        return value

    def _items(self, name: str, kinds: tuple[type, ...]) -> list[Any]:
        found = self._read(name, list, [], False)
        if any(isinstance(item, bool) or not isinstance(item, kinds) for item in found):
            self.wrong(name, "has an item of the wrong type")
            return []
        return list(found)

    def _parse(self, name: str, text: str, parse: Callable[[str], Value]) -> Value | None:
        try:
            return parse(text)
        except ValueError:
            self.wrong(name, f"'{text}' is invalid")
            return None
