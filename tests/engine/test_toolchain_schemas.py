"""Our builds of the plugins are interchangeable with the official ones: their schemas match the PyPI SDKs.

If a property were missing, a program that runs with the official plugin would fail with ours, and the other way round.
"""

import inspect
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Union, get_args, get_origin

import pulumi
import pulumi_command.local
import pulumi_docker
import pulumi_hcloud
import pulumi_random
import pytest
from pulumi import _types

from toolchain import parts
from toolchain.provision import provide_bundle

USED: dict[str, list[type[pulumi.CustomResource]]] = {
    "docker": [pulumi_docker.Container, pulumi_docker.Network, pulumi_docker.RemoteImage, pulumi_docker.Volume],
    "random": [pulumi_random.RandomPassword, pulumi_random.RandomId],
    "hcloud": [
        pulumi_hcloud.Server,
        pulumi_hcloud.SshKey,
        pulumi_hcloud.Firewall,
        pulumi_hcloud.Network,
        pulumi_hcloud.NetworkSubnet,
        pulumi_hcloud.PrimaryIp,
    ],
    "command": [pulumi_command.local.Command],
}
Json = dict[str, Any]


@pytest.mark.parametrize("package", USED)
def test_plugin_and_sdk_agree(package: str) -> None:
    schema = get_schema(package)
    assert [difference for resource in USED[package] for difference in differences(resource, schema)] == []


def get_schema(package: str) -> Json:
    toolchain, _ = provide_bundle(parts.deploy(), official=False)
    (plugin,) = toolchain.glob(f"home/plugins/resource-{package}-v*/pulumi-resource-{package}")
    shown = subprocess.run(
        [toolchain / "bin/pulumi", "package", "get-schema", plugin], capture_output=True, text=True, check=True
    )
    schema: Json = json.loads(shown.stdout)
    return schema


def differences(resource: type[pulumi.CustomResource], schema: Json) -> Iterator[str]:
    token = resource.pulumi_type  # type: ignore[attr-defined]
    known = schema["resources"].get(token)
    if known is None:
        yield f"{token}: unknown to the plugin"
        return
    arguments = getattr(inspect.getmodule(resource), f"{resource.__name__}Args")
    yield from input_differences(token, arguments, known.get("inputProperties", {}), known.get("requiredInputs", []), schema)
    for name in _types.resource_pulumi_to_py_names(resource).keys() - known["properties"].keys():
        yield f"{token}.{name}: no such output of the plugin"


def input_differences(path: str, arguments: type, known: Json, required: Sequence[str], schema: Json) -> Iterator[str]:
    names = _types.input_type_py_to_pulumi_names(arguments)
    types = _types.input_type_types(arguments)
    optional = {
        names.get(key, key) for key, value in inspect.signature(arguments).parameters.items() if value.default is not value.empty
    }
    for name in optional & set(required):
        yield f"{path}.{name}: the plugin requires what the SDK leaves out"
    for name in names.values():
        if name not in known:
            yield f"{path}.{name}: no such input of the plugin"
        else:
            yield from type_differences(f"{path}.{name}", types[name], known[name], schema)


def type_differences(path: str, offered: Any, known: Json, schema: Json) -> Iterator[str]:
    while get_origin(offered) is Union:  # a value, or an awaitable or output of one
        offered = get_args(offered)[0]
    reference = known.get("$ref", "").removeprefix("#/types/")
    if reference in schema.get("types", {}):
        known = schema["types"][reference]
    wanted = shape(offered)
    if wanted != known.get("type", wanted):
        yield f"{path}: {wanted} in the SDK, {known['type']} in the plugin"
    elif wanted == "array":
        yield from type_differences(f"{path}[]", get_args(offered)[0], known["items"], schema)
    elif wanted == "object" and _types.is_input_type(offered):
        yield from input_differences(path, offered, known.get("properties", {}), known.get("required", []), schema)


def shape(offered: Any) -> str:
    """The schema's name for a type of the SDK."""
    origin = get_origin(offered) or offered
    if origin is Any:
        return "any"
    if issubclass(origin, Enum):
        return shape(type(next(iter(origin)).value))
    if _types.is_input_type(origin) or issubclass(origin, Mapping):
        return "object"
    scalars = {str: "string", bool: "boolean", int: "integer", float: "number"}
    if origin in scalars:
        return scalars[origin]
    return "array" if issubclass(origin, Sequence) else str(origin.__name__)
