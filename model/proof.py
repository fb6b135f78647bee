"""Proofs: the request that `make drill` makes of a service after the restore of its backup. Only complete data answers it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from model.secret import Secret


class Restored(Protocol):
    """A restored service in a copy of its host, and the services beside it."""

    def inside(self, service: str, *command: str) -> str:
        """The output of a command in `service`, the restored one or one beside it, run with its secret environment."""

    def secret(self, secret: Secret) -> str:
        """The secret's value."""

    def ask(self, port: int, path: str, headers: Mapping[str, str], body: object = None) -> Any:
        """The JSON that the service answers; `body` is posted as JSON."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The answer in words, and whether it is right. Empty data is right, and is described as empty."""

    words: str
    right: bool = True


Proof = Callable[[Restored], Found]
