"""Coverage: every resource type, input and part of an input is known to the pack."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pulumi_policy.proxy import UnknownValueError

from policy.known import ANY, COMPONENT_INPUTS, COMPONENTS, KNOWN, OFF, PARTS
from policy.program import Program, Resource
from policy.rule import Finding, ResourceRule, Severity


def _types(resource: Resource, _: Program) -> Iterator[Finding]:
    if not resource.type.startswith(COMPONENTS) and resource.type not in KNOWN:
        yield Finding(what=f"{resource.name} is a {resource.type}, which no rule has looked at", subject=resource.type)


def _inputs(resource: Resource, _: Program) -> Iterator[Finding]:
    known = COMPONENT_INPUTS if resource.type.startswith(COMPONENTS) else KNOWN.get(resource.type)
    if known is None or ANY in known:
        return
    for key in resource.inputs:
        # Inputs of the engine itself, and the code of a dynamic provider.
        if key.startswith("__"):
            continue
        if known.get(key, OFF) == OFF:
            if (key not in known or resource.inputs[key]) and _is_set(resource.inputs, key):
                yield Finding(what=f"{resource.name} sets {key}, which no rule has looked at", subject=key)
        elif parts := PARTS.get((resource.type, key)):
            for part in dict.fromkeys(part for block in _each(resource.inputs, key) for part in block if part not in parts):
                if not part.startswith("__") and any(
                    _is_set(block, part) for block in _each(resource.inputs, key) if part in block
                ):
                    yield Finding(what=f"{resource.name} sets {key}.{part}, which no rule has looked at", subject=f"{key}.{part}")


def _is_set(inputs: Mapping[str, Any], key: str) -> bool:
    try:
        return inputs[key] not in (None, "", [], {})
    except UnknownValueError:
        return True


def _each(inputs: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The known parts of an input; another rule asks for the unknown ones."""
    try:
        value = inputs[key]
        several = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    except UnknownValueError:
        return []
    return [block for block in several if isinstance(block, Mapping)]


TYPES = ResourceRule(
    name="coverage-types",
    asks="Every resource is of a type that the pack knows.",
    severity=Severity.HIGH,
    decides=("COV-1",),
    why="what nobody has looked at may do anything: a docker.Service is a container without one of these rules",
    fix="read what it can do, and add it to policy/known.py: a rule or a reason for each input",
    example='"hcloud:index/sshKey:SshKey": _inputs("", name=_NAME, publicKey="the deploy key\'s public half")',
    types=(),
    check=_types,
)
INPUTS = ResourceRule(
    name="coverage-inputs",
    asks="Every input of a resource is judged by a rule, or has a reason why none has to.",
    severity=Severity.HIGH,
    decides=("COV-2",),
    why="an input that came with a new version of a provider would pass because no rule had heard of it",
    fix="leave it out, or add it to policy/known.py: with a rule that judges it, or with a reason",
    example='_inputs("image user", workingDir="a directory inside it")',
    types=(),
    check=_inputs,
)

RULES = (TYPES, INPUTS)
