"""`python -m tests.graph.dump DIRECTORY`: what the program registers for the stacks that stand, to compare two commits.

One JSON file a stack, in the order of names: types, names, inputs, options and URNs. Run it in both checkouts, then `diff -r`.
"""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format  # type: ignore[import-untyped]

from tests.graph.program import build
from tests.support.fleets import RENTED_COPY, RENTED_HOST, inputs

STACKS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "prod": ("prod", {}),
    "prod-with-applications": ("prod", RENTED_HOST),
    "lab": ("lab", {}),
    "preprod": ("preprod", {}),
    "preprod-rented": ("preprod", RENTED_COPY),
}


def main(directory: Path) -> None:
    """Write the files."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, (stack, changes) in STACKS.items():
        found = [
            {
                **{
                    field.name: getattr(resource, field.name) for field in dataclasses.fields(resource) if field.name != "request"
                },
                "secret_inputs": sorted(resource.secret_inputs),
                "dependencies": sorted(resource.dependencies),
                "request": _ordered(json_format.MessageToDict(resource.request)),
            }
            for resource in build(inputs(stack, **changes)).resources
        ]
        found.sort(key=lambda each: (each["type"], each["name"]))
        (directory / f"{name}.json").write_text(json.dumps(found, indent=1, sort_keys=True, default=_unknown))


def _unknown(value: Any) -> str:
    return type(value).__name__


def _ordered(value: Any) -> Any:
    """URNs of dependencies are a set, and come in any order; where in the code a resource is made is nothing of it."""
    if isinstance(value, Mapping):
        return {
            key: sorted(item) if key in ("dependencies", "urns") and isinstance(item, list) else _ordered(item)
            for key, item in value.items()
            if key not in ("sourcePosition", "stackTrace")
        }
    return [_ordered(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main(Path(sys.argv[1]))
