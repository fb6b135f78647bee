"""Secrets: none where `docker inspect`, a process list, an error message or a state file would show it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policy.meaning.commands import CREDENTIAL, URL_PASSWORD, credentials, words_of
from policy.program import CONTAINER, LOCAL_COMMAND, REMOTE_COMMAND, REMOTE_COPY, SERVER, Program, Resource
from policy.rule import Finding, ResourceRule, Severity

_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|sk-(?<!\wsk-)(?:ant-|or-|proj-)?[A-Za-z0-9_-]{20,}"
    r"|gh(?<!\wgh)[pousr]_[A-Za-z0-9]{36}"
    r"|A(?<!\wA)(?:KIA|SIA)[A-Z0-9]{16}\b"
    r"|tskey-(?<!\wtskey-)[a-z]+-[A-Za-z0-9]{8,}"
    r"|:(?<=\d{8}:)[A-Za-z0-9_-]{35}\b"
)
"""Values that their issuers make recognisable: keys, tokens of LLM providers, GitHub, AWS, Tailscale, Telegram.

Each pattern begins with a character, not with `\\b`: the search then skips to possible starts, and takes a fifteenth of the
time.
"""
_TOLD = 8
"""Number of a value's characters that a message shows; for Telegram the digits, which are not secret."""

_PROVIDER_SECRETS = ("token", "password", "secretKey", "accessKey", "privateKey", "sshKey")
_SHOWN_BY_DOCKER = ("envs", "command", "entrypoints", "labels", "healthcheck", "hosts")


def _command_line(command: Resource, _: Program) -> Iterator[Finding]:
    for key in ("create", "update", "delete", "environment", "triggers"):
        if key in command.secret_inputs:
            yield Finding(what=f"{command.name} has a secret in `{key}`", subject=key)
        elif shape := _shape(command.inputs.get(key)):
            yield Finding(what=f"{command.name} has what looks like a secret in `{key}`: {shape}", subject=key)
        elif name := next(_given_away(command.inputs.get(key)), ""):
            yield Finding(what=f"{command.name} has the credential {name} in `{key}`", subject=key)


def _given_away(value: Any) -> Iterator[str]:
    """Names of credentials in variables of an environment, and in the words of a text."""
    if isinstance(value, Mapping):
        yield from credentials([f"{name}={value[name]}" for name in value])
    for text in _texts(value):
        yield from credentials(words_of(text))


def _container(container: Resource, _: Program) -> Iterator[Finding]:
    for key in _SHOWN_BY_DOCKER:
        if key in container.secret_inputs:
            yield Finding(what=f"{container.name} has a secret in `{key}`", subject=key)


def _environment(container: Resource, _program: Program) -> Iterator[Finding]:
    if "envs" in container.secret_inputs:
        return
    for pair in container.list("envs"):
        name, _, value = str(pair).partition("=")
        if value and CREDENTIAL.search(name):
            yield Finding(what=f"{container.name} has the credential {name} in its environment", subject=name)
    check: Any = container.inputs.get("healthcheck") or {}
    for words in (container.list("entrypoints"), container.list("command"), list(check.get("tests") or ())):
        # The words are read twice: as they are, and as a shell among them would read them.
        whole = [word for word in map(str, words) if not any(letter.isspace() for letter in word)]
        for name in dict.fromkeys((*credentials(whole), *_given_away(" ".join(map(str, words))))):
            yield Finding(what=f"{container.name} has the credential {name} on its command line", subject=name)


def _url(container: Resource, _program: Program) -> Iterator[Finding]:
    for pair in container.list("envs") if "envs" not in container.secret_inputs else ():
        name, _, value = str(pair).partition("=")
        if URL_PASSWORD.search(value):
            yield Finding(what=f"{container.name} has a URL with a password in {name}", subject=name)


def _user_data(server: Resource, _: Program) -> Iterator[Finding]:
    if "userData" in server.secret_inputs:
        yield Finding(what=f"{server.name} gets a secret in its user data")
    elif shape := _shape(server.inputs.get("userData")):
        yield Finding(what=f"{server.name} gets what looks like a secret in its user data: {shape}")


def _plain(resource: Resource, program: Program) -> Iterator[Finding]:
    for key in resource.inputs:
        if key in resource.secret_inputs or key == "__provider":  # the code of a dynamic provider
            continue
        if any(secret in text for text in _texts(resource.inputs[key]) for secret in program.configured_secrets):
            yield Finding(what=f"{resource.name} has a configured secret in `{key}`, in plain text", subject=key)
        elif resource.type.startswith("pulumi:providers:") and key in _PROVIDER_SECRETS and resource.text(key):
            yield Finding(what=f"{resource.name} has {key} in plain text", subject=key)
        elif shape := _shape(resource.inputs[key]):
            yield Finding(what=f"{resource.name} has what looks like a secret in `{key}`, in plain text: {shape}", subject=key)


def _shape(value: Any) -> str:
    """The harmless beginning of a value that looks like a secret; empty when none does."""
    found = next(filter(None, map(_SHAPES.search, _texts(value))), None)
    if not found:
        return ""
    begin = found.start() - (_TOLD if found[0].startswith(":") else 0)
    return f"{found.string[begin : begin + _TOLD]}..."


def _texts(value: Any) -> Iterator[str]:
    """Every text inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for key in value for text in _texts(value[key]))
    elif isinstance(value, Sequence):
        yield from (text for item in value for text in _texts(item))


COMMAND_LINE = ResourceRule(
    name="secrets-command-line",
    asks="No command has a secret in its text, environment or triggers.",
    severity=Severity.CRITICAL,
    decides=("SEC-1",),
    why="a failing command prints its text whatever its logging says, and the process list shows it",
    fix="send it over stdin: HostScript(payload=...)",
    example='HostScript(..., payload=store.resolve(f"{PASSWORD}"))',
    types=(LOCAL_COMMAND, REMOTE_COMMAND, REMOTE_COPY),
    check=_command_line,
)
CONTAINER_INPUTS = ResourceRule(
    name="secrets-docker-inspect",
    asks="No container has a secret in what `docker inspect` shows.",
    severity=Severity.CRITICAL,
    decides=("SEC-2",),
    why="everybody who may ask Docker reads it, and so does whoever reads the host's files",
    fix="use secret_environment or a File",
    example='secret_environment={"API_KEY": f"{API_KEY}"}',
    types=(CONTAINER,),
    check=_container,
)
ENVIRONMENT = ResourceRule(
    name="secrets-environment",
    asks="No container has a credential in its plain environment or command.",
    severity=Severity.HIGH,
    decides=("CL-0020",),
    why="it stands in the code, in the state and in `docker inspect`",
    fix="use secret_environment or a File; where the image reads NAME_FILE, give the path",
    example='environment={"POSTGRES_PASSWORD_FILE": "/etc/postgresql/superuser-password"}',
    types=(CONTAINER,),
    check=_environment,
)
URL = ResourceRule(
    name="secrets-url",
    asks="No container has a password inside a URL of its plain environment.",
    severity=Severity.HIGH,
    decides=("CL-0021",),
    why="such URLs end up in logs and error messages whole",
    fix="put the URL into secret_environment",
    example='secret_environment={"DATABASE_URL": f"postgresql://n8n:{password}@postgresql/n8n"}',
    types=(CONTAINER,),
    check=_url,
)
USER_DATA = ResourceRule(
    name="secrets-user-data",
    asks="A server's user data holds no secret.",
    severity=Severity.CRITICAL,
    decides=("H10",),
    why="every process on the server may ask the metadata service for it, for ever",
    fix="let cloud-init make the user and the keys; bring secrets over SSH",
    example="ssh_authorized_keys: [ssh-ed25519 AAAA...]",
    types=(SERVER,),
    check=_user_data,
)
PLAIN = ResourceRule(
    name="secrets-plain-inputs",
    asks="No input that is not marked as secret looks like one.",
    severity=Severity.CRITICAL,
    decides=("SEC-3",),
    why="it would stand in the state and in every preview in plain text",
    fix="declare it as a Secret, or wrap it with pulumi.Output.secret; replace it at its issuer, it may have been read",
    example="pulumi config set --secret vpai:openrouter_api_key",
    types=(),
    check=_plain,
)

RULES = (COMMAND_LINE, CONTAINER_INPUTS, ENVIRONMENT, URL, USER_DATA, PLAIN)
