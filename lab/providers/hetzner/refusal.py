"""Refusals in the API's own form: an HTTP status, a code, a sentence and, for some codes, the fields concerned."""

from collections.abc import Mapping, Sequence
from typing import Any

from lab.providers.api import Api

HOST = "api.hetzner.cloud"
API = Api.of(HOST)


class Refusal(Exception):
    """What the API answers instead of doing it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.details = status, code, message, details
        self.headers = headers or {}

    @property
    def document(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message, "details": self.details}}


def invalid(mistakes: Mapping[str, Sequence[str]]) -> Refusal:
    """Fields that say what the API cannot take."""
    name, messages = next(iter(mistakes.items()))
    fields = [{"name": field, "messages": list(said)} for field, said in mistakes.items()]
    return Refusal(422, "invalid_input", f"invalid input in field '{name}': {', '.join(messages)}", {"fields": fields})


def unknown(kind: str, identity: object) -> Refusal:
    return Refusal(404, "not_found", f"{kind} with ID '{identity}' not found")


def taken(message: str, field: str) -> Refusal:
    return Refusal(409, "uniqueness_error", message, {"fields": [{"name": field}]})


def protected(kind: str) -> Refusal:
    return Refusal(403, "protected", f"{kind} is delete protected")


def locked(kind: str) -> Refusal:
    return Refusal(423, "locked", f"{kind} is locked: another action is running")


def in_use(kind: str, identity: object) -> Refusal:
    return Refusal(409, "resource_in_use", f"{kind} with ID '{identity}' is still in use")
