"""URNs, by which the engine names resources: `urn:pulumi:<stack>::<project>::<types>::<name>`."""

from collections.abc import Mapping
from typing import Any


def name_of(urn: str) -> str:
    """The name in a URN."""
    return urn.rpartition("::")[2]


def resource_name(resource: Mapping[str, Any]) -> str:
    """The name of a resource of a state, an export or a preview."""
    return name_of(str(resource["urn"]))
