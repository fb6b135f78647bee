"""What only whole data answers: the question that `make drill` asks of a service whose backup it brought back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from model.secret import Secret


class Restored(Protocol):
    """The service in a copy of its host, and what stands beside it there."""

    def inside(self, service: str, *command: str) -> str:
        """What a command prints in that service, itself or one beside it, with its secret environment."""

    def secret(self, secret: Secret) -> str:
        """Its value."""

    def ask(self, port: int, path: str, headers: Mapping[str, str], body: object = None) -> Any:
        """The JSON that the service answers; `body` is posted as JSON."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What it answers, in words, and whether that is right; data that is empty is told as such, and right."""

    words: str
    right: bool = True


Proof = Callable[[Restored], Found]
