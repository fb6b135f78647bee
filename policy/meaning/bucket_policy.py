"""The effect of a bucket policy: which keys it allows, and what it denies to whom."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

STRANGER = "arn:aws:iam:::user/p0:STRANGER"
"""A key that no policy names."""


class Unreadable(ValueError):
    """The text is no policy, or one that two readers would read differently."""


@dataclass(frozen=True)
class Statement:
    """One statement of a policy."""

    said: Mapping[str, Any]

    @property
    def allows(self) -> bool:
        return self.said.get("Effect") == "Allow"

    @property
    def denies(self) -> bool:
        return self.said.get("Effect") == "Deny"

    def is_for(self, principal: str) -> bool:
        """Whether the statement applies to a key."""
        if "NotPrincipal" in self.said:
            return not _matches(_words(self.said["NotPrincipal"]), principal)
        return _matches(_words(self.said.get("Principal")), principal)

    def is_about(self, action: str, resource: str) -> bool:
        """Whether the statement applies to an action (in any case) on a resource."""
        by_action = _matches(
            [word.lower() for word in _words(self.said.get("NotAction", self.said.get("Action")))], action.lower()
        )
        by_resource = _matches(_words(self.said.get("NotResource", self.said.get("Resource"))), resource)
        return by_action != ("NotAction" in self.said) and by_resource != ("NotResource" in self.said)

    @property
    def conditions(self) -> frozenset[tuple[str, str, str]]:
        """The conditions as operator, key and value, in lower case; all of them must hold."""
        return frozenset(
            (operator.lower(), key.lower(), str(word).lower())
            for operator, tests in (self.said.get("Condition") or {}).items()
            for key, words in tests.items()
            for word in (words if isinstance(words, list) else [words])
        )

    @property
    def principals(self) -> list[str]:
        """The keys that the statement names."""
        return [word for key in ("Principal", "NotPrincipal") for word in _words(self.said.get(key)) if word != "*"]


_PLAIN_HTTP = frozenset((f"bool{more}", "aws:securetransport", "false") for more in ("", "ifexists"))


def statements(policy: Any) -> list[Statement]:
    """A policy's statements. Raises Unreadable."""
    try:
        document = json.loads(policy or "{}", object_pairs_hook=_once) if isinstance(policy, str) or not policy else _data(policy)
        said = document.get("Statement", [])
        found = [Statement(statement) for statement in ([said] if isinstance(said, Mapping) else said)]
        if any(statement.allows == statement.denies for statement in found):
            raise Unreadable("an effect that is neither Allow nor Deny")
        for statement in found:
            statement.principals, statement.conditions, statement.is_about("s3:GetObject", "")
    except (ValueError, AttributeError, TypeError) as error:
        raise Unreadable(str(error)) from error
    return found


def denied(policy: Sequence[Statement], principal: str, action: str, resource: str, *, plain_http: bool = False) -> bool:
    """Whether an action is denied to a key in every request; with `plain_http`, in every request by plain HTTP."""
    return any(
        statement.denies
        and statement.is_for(principal)
        and statement.is_about(action, resource)
        and (not statement.conditions or (plain_http and statement.conditions <= _PLAIN_HTTP))
        for statement in policy
    )


def _words(value: Any) -> list[str]:
    """The words of a value: one or several, under any keys."""
    if isinstance(value, Mapping):
        return [word for part in value.values() for word in _words(part)]
    return [value] if isinstance(value, str) else [str(word) for word in value or ()]


def _matches(patterns: Sequence[str], text: str) -> bool:
    # In a policy only * and ? are wildcards.
    return any(fnmatchcase(text, pattern.replace("[", "[[]")) for pattern in patterns)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable("a key that is there twice")
    return found


def _data(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _data(value[key]) for key in value}
    return [_data(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
