"""Fleets and inputs for tests."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from model.host import Endpoint, Host
from model.image import ImageLock
from model.network import MESH
from model.placement import Placement
from model.service import Service
from services import catalogue
from services.caddy import Door
from services.networks import NETWORKS
from stacks.inputs import Inputs, read

PROJECT = Path(__file__).parent.parent
HOST = Host(name="sese", endpoints=(Endpoint(address="203.0.113.10", port=22),), user="deploy", memory_mib=8192)
DOOR = Door(vpn=(MESH,), acme_email="ops@example.org", authority="")
EMPTY_LOCK = ImageLock({})

DUMMY_SECRETS: Mapping[str, str] = {secret.name: f"preview0value0of0{secret.name}" for secret in catalogue.external_secrets()}
"""A value of the right shape for each external secret, for previews without real ones."""

OPERATOR_CONFIG: Mapping[str, str] = {
    "domain": "vpai.example.org",
    "acmeEmail": "ops@example.org",
}
"""What the operator sets besides hosts and secrets."""


def placement(*services: Service, **changes: object) -> Placement:
    """The catalogue on one host, or `services` instead, with `changes` to the placement."""
    whole = Placement(host=HOST, networks=NETWORKS, services=services or catalogue.services("vpai.test", DOOR))
    return replace(whole, **changes)  # type: ignore[arg-type]


def with_service(name: str, **changes: object) -> Placement:
    """The catalogue with one service changed."""
    return placement(
        *(
            replace(service, **changes) if service.name == name else service  # type: ignore[arg-type]
            for service in catalogue.services("vpai.test", DOOR)
        )
    )


def host_config(stack: str) -> str:
    """vpai:hosts as Pulumi hands it to the program."""
    name = "preprod" if stack == "preprod" else "sese"
    return f'{{"{name}": {{"address": "203.0.113.10", "memoryMib": 11264}}}}'


def inputs(stack: str = "prod", **changes: str) -> Inputs:
    """Inputs of a stack with dummy secrets, as a preview without hosts reads them."""
    raw = {**committed(stack), **OPERATOR_CONFIG, "hosts": host_config(stack), **DUMMY_SECRETS, **changes}
    return read(stack, raw, DUMMY_SECRETS.keys(), PROJECT)


def committed(stack: str) -> dict[str, str]:
    """The configuration in Pulumi.<stack>.yaml, as Pulumi hands it to the program."""
    config = yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {key.removeprefix("vpai:"): value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
