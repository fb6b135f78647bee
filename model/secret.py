"""Secrets travel as references inside ordinary strings; their values exist only in components.

`f"redis://litellm:{password}@redis"` with a `Secret` writes `redis://litellm:${secret:redis_litellm_password}@redis`.
`resolve` puts the values in, where values are known.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_REFERENCE = re.compile(r"\$\{secret:(?P<name>[a-z0-9_]+)(?P<forms>(?:\|[a-z0-9]+)*)\}")

_FORMS: dict[str, Callable[[str], str]] = {
    "sha256": lambda value: hashlib.sha256(value.encode()).hexdigest(),
    "json": lambda value: json.dumps(value)[1:-1],
    "sh": lambda value: value.replace("'", "'\\''"),
}


@dataclass(frozen=True, kw_only=True)
class Generated:
    """Made by the engine at the first `up` and kept in the encrypted state.

    `length` counts the random characters (letters and digits only, so that a value fits unescaped into URLs, SQL, YAML
    and shell); `prefix` is put in front of them.
    """

    length: int = 32
    prefix: str = ""
    hexadecimal: bool = False


@dataclass(frozen=True, kw_only=True)
class External:
    """Issued by somebody else; the operator sets it with `pulumi config set --secret`."""

    obtain: str
    """Where to get it, one line."""
    pattern: str = r"[A-Za-z0-9._~:/@+=-]{8,}"
    """What a value looks like; characters that would need escaping in YAML or URLs are refused."""
    optional: bool = False
    """Whether the secret may be missing; its feature is then off."""
    chosen: bool = False
    """Whether the operator chooses the value, at random, and enters it where it is asked for."""


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A named secret. Formatting it into a string yields a reference, never a value."""

    name: str
    source: Generated | External
    irreplaceable: str = ""
    """Why a new value would make data unreadable; such a secret is never rotated and goes into the recovery kit."""

    def __str__(self) -> str:
        return f"${{secret:{self.name}}}"

    @property
    def sha256(self) -> str:
        """A reference to the hex SHA-256 of the value (Redis ACL files take it instead of the password)."""
        return f"${{secret:{self.name}|sha256}}"


def references(text: str) -> frozenset[str]:
    """The names of the secrets that `text` refers to."""
    return frozenset(match["name"] for match in _REFERENCE.finditer(text))


def resolve(text: str, values: Mapping[str, str]) -> str:
    """`text` with each reference replaced by its value; KeyError names a secret that has none."""

    def value(match: re.Match[str]) -> str:
        text = values[match["name"]]
        for form in match["forms"].split("|")[1:]:
            text = _FORMS[form](text)
        return text

    return _REFERENCE.sub(value, text)


def sourced(environment: Mapping[str, str]) -> str:
    """A file that sh reads with `.`. Each variable gets its exact text, whatever characters it or its secrets contain.

    Raises ValueError for a text that no variable can hold.
    """
    return "".join(f"{name}='{_in_quotes(text)}'\n" for name, text in environment.items())


def _in_quotes(text: str) -> str:
    """`text` in sh's single quotes; its references to secrets get the form that fits there."""
    if "\0" in text:
        raise ValueError("a variable of the environment ends at a NUL")
    found, end = [], 0
    for match in _REFERENCE.finditer(text):
        found.append(_FORMS["sh"](text[end : match.start()]))
        found.append(_formed(match, "sh"))
        end = match.end()
    return "".join((*found, _FORMS["sh"](text[end:])))


def json_text(document: object, *, indent: int | None = None) -> str:
    """A document as JSON. The secrets that its strings refer to are escaped for JSON, whatever characters they contain."""
    return _REFERENCE.sub(lambda match: _formed(match, "json"), json.dumps(document, indent=indent))


def _formed(match: re.Match[str], form: str) -> str:
    """The reference, with one more form applied to its value."""
    return f"${{secret:{match['name']}{match['forms']}|{form}}}"


PLACEHOLDERS = ("changeme", "change_me", "placeholder", "todo", "example", "xxx", "your-", "<", "dummy-")
"""Prefixes (lower case) of values that were never filled in: `changeme` once reached production."""


def is_placeholder(value: str) -> bool:
    """Whether `value` looks like something left to be filled in."""
    return value.lower().startswith(PLACEHOLDERS)


def fault(source: External, value: str) -> str:
    """Fault of a value that an operator gives; empty for a sound one."""
    if not value:
        return "" if source.optional else "is missing"
    if is_placeholder(value):
        return "is a placeholder"
    return "" if re.fullmatch(source.pattern, value) else f"does not look like one (expected {source.pattern})"
