"""Credentials of a service, and how each is checked: the right one is accepted, a wrong one and none are refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from model.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Header:
    """The credential is the value of a header, after the scheme where there is one."""

    name: str = "Authorization"
    scheme: str = "Bearer"


@dataclass(frozen=True, kw_only=True)
class Basic:
    """The credential is the password of `user`, in HTTP's basic authentication."""

    user: str


@dataclass(frozen=True, kw_only=True)
class Login:
    """The credential is the field `password` of a form, or of a JSON document; `others` are its other fields."""

    others: Mapping[str, str]
    password: str = "password"  # noqa: S105 - a field's name
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """An HTTP request to the service; through its route where it has one on this port."""

    port: int
    path: str
    place: Header | Basic | Login
    method: str = "GET"
    body: Mapping[str, object] = field(default_factory=dict)
    """Sent as JSON; empty for none."""
    accepted: tuple[int, ...] = (200,)
    refused: tuple[int, ...] = (401,)


@dataclass(frozen=True, kw_only=True)
class PostgresLogin:
    """`user` logs in to `database` over the network."""

    user: str
    database: str


@dataclass(frozen=True, kw_only=True)
class RedisLogin:
    """`user` logs in to Redis and sends PING."""

    user: str


@dataclass(frozen=True, kw_only=True)
class StoredSecret:
    """A secret that a service signs or encrypts with. No client presents it: the service's copy is compared with the state's."""

    variable: str = ""
    file: str = ""


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A secret that gives access to the service, and the request that proves it."""

    secret: Secret
    holder: str
    """Who presents it, in words."""
    proof: Request | PostgresLogin | RedisLogin | StoredSecret
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Unverifiable:
    """A secret that no request can check, and why."""

    secret: Secret
    reason: str
