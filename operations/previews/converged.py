"""Computes the state that an `up` would leave, without an `up`: the program finds nothing to change in it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from operations.previews.ephemeral_stack import EphemeralStack, Resource, Step
from operations.stack import CommandFailed

SECRET_KEY, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
"""The engine's mark for a secret in an export; the value is JSON in `plaintext`."""
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The engine's mark for a value that is known only after an `up`."""
_PASSES = 8
"""More than the longest chain of dependent values: secret, configuration, container, gate, tasks."""
_NOT_KEPT = ("sourcePosition", "stackTrace", "outputs", "created", "modified")


def converge(program: EphemeralStack, resources: list[Resource]) -> list[Resource]:
    """`resources` with the inputs that the program computes; raises `CommandFailed` when the inputs do not become stable."""
    steps: list[Step] = []
    for _ in range(_PASSES):
        program.hold(resources)
        steps = program.planned()
        if not steps:
            return resources
        resources = list(_after(resources, steps))
    raise CommandFailed(f"not at rest after {_PASSES} previews: {', '.join(sorted(step['urn'] for step in steps))}")


def secret(value: object) -> Mapping[str, str]:
    """`value` in the form of an export with secrets in plain text."""
    return {SECRET_KEY: SECRET, "plaintext": json.dumps(value)}


def _after(resources: list[Resource], steps: list[Step]) -> Iterator[Resource]:
    """The state after an `up` of `steps`, as far as it is predictable; dependencies come first."""
    before = {resource["urn"]: resource for resource in resources}
    wanted = {step["urn"]: step["newState"] for step in steps if step.get("newState")}
    gone = {step["urn"] for step in steps if step["op"] == "delete"}
    providers = {resource["urn"] for resource in resources}
    for new in wanted.values():
        provider, _, _ = str(new.get("provider", "")).rpartition("::")
        if provider and provider not in providers and provider not in wanted:
            providers.add(provider)
            yield _default_provider(provider)
    for urn, resource in before.items():
        if urn not in gone:
            yield _made(wanted[urn], resource) if urn in wanted else resource
    for urn, new in wanted.items():
        if urn not in before:
            yield _made(new, None)


def _default_provider(urn: str) -> Resource:
    """The provider that the engine registers itself for resources that name none."""
    kind, name = urn.split("::")[-2:]
    version = ".".join(name.removeprefix("default_").split("_")) if name != "default" else ""
    inputs = {"__internal": {}, **({"version": version} if version else {})}
    return {"urn": urn, "custom": True, "type": kind, "id": _hash(urn), "inputs": inputs, "outputs": {}}


def _made(new: Mapping[str, Any], before: Resource | None) -> Resource:
    kept = {key: value for key, value in new.items() if key not in _NOT_KEPT}
    ignored = {key for key in new.get("ignoreChanges") or () if _UNKNOWN in json.dumps(new.get("inputs", {}).get(key))}
    # An ignored property would stay unknown for ever.
    inputs = {key: value for key, value in new.get("inputs", {}).items() if key not in ignored}
    if not new.get("custom"):
        return {**kept, "outputs": {}}
    if provider := new.get("provider"):
        urn = str(provider).rpartition("::")[0]
        kept["provider"] = f"{urn}::{_hash(urn)}" if before is None else before["provider"]
    old_inputs, outputs = (before.get("inputs", {}), before.get("outputs", {})) if before else ({}, {})
    computed = {
        **invented(str(new["type"]), str(new["urn"]), inputs),
        **outputs,
        **{key: value for key, value in inputs.items() if key not in outputs or old_inputs.get(key) != value},
    }
    computed.pop("__internal", None)
    return {**kept, "id": before["id"] if before else _identity(new), "inputs": inputs, "outputs": computed}


def seed(urn: str) -> str:
    """128 hexadecimal digits, always the same for a resource."""
    return hashlib.sha512(urn.encode()).hexdigest()


def invented(kind: str, urn: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Values that only the provider knows, invented in the right form."""
    text = seed(urn)
    match kind:
        case "random:index/randomPassword:RandomPassword":
            return {"result": secret((text * 2)[: inputs["length"]]), "bcryptHash": secret("")}
        case "random:index/randomBytes:RandomBytes":
            return {"hex": secret((text * 2)[: 2 * inputs["length"]]), "base64": secret("")}
        case "docker:index/remoteImage:RemoteImage":
            return {"imageId": f"sha256:{_hash(str(inputs['name']))}", "repoDigest": ""}
        case "docker:index/container:Container":
            off = dict.fromkeys(("attach", "logs", "rm", "stdinOpen", "tty"), False)
            return {**off, "memoryReservation": 0, "networkDatas": [], "command": [], "entrypoints": []}
        case "docker:index/network:Network":
            return {"options": {}, "scope": "local"}
        case "command:local:Command":
            return {"stdout": "", "stderr": ""}
        case "hcloud:index/server:Server":
            return {"ipv4Address": "203.0.113.200", "status": "running", "ignoreRemoteFirewallIds": False}
        case "pulumi-python:dynamic/hetzner:HostKey":
            return {"private": secret(f"private half of {text[:16]}"), "public": f"ssh-ed25519 {_PUBLIC_PREFIX}{text[:43]}"}
    return {}


_PUBLIC_PREFIX = "AAAAC3NzaC1lZDI1NTE5AAAAI"


def _identity(new: Mapping[str, Any]) -> str:
    """The resource's id; Hetzner's ids are numbers."""
    digest = _hash(str(new["urn"]))
    return str(int(digest[:8], 16)) if str(new["type"]).startswith("hcloud:") else digest


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
