"""Fleets and inputs for tests."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from model.host import Host
from model.image import ImageLock
from model.names import Names
from model.network import MESH
from model.placement import Placement
from model.secret import External
from model.service import Service
from operations.offline.throwaway import dummy
from services import catalogue
from services.caddy import Door
from services.networks import NETWORKS
from stacks.inputs import CLOUD_TOKEN, Inputs, read

PROJECT = Path(__file__).parent.parent
HOST = Host(name="sese", address="203.0.113.10", user="deploy", mesh_domain="na.vpai.test", memory_mib=11264)
DOOR = Door(vpn=(MESH,), acme_email="ops@example.org", authority="")
NAMES = Names("vpai.test")
EMPTY_LOCK = ImageLock({})


DUMMY_SECRETS: Mapping[str, str] = {
    secret.name: dummy(secret.name, secret.source.pattern)
    for secret in catalogue.external_secrets()
    if isinstance(secret.source, External)
}
"""A value of the right shape for each external secret, for previews without real ones."""

REQUIRED_SECRETS = frozenset(
    secret.name for secret in catalogue.external_secrets() if isinstance(secret.source, External) and not secret.source.optional
)

OPERATOR_CONFIG: Mapping[str, str] = {
    "domain": "vpai.example.org",
    "acmeEmail": "ops@example.org",
    "bucketPrefix": "example-org",
    "bucketPrincipal": "arn:aws:iam:::user/p1234567:{key}",
    "authorizedKeys": "tests/authorized_keys",
}
"""What the operator sets besides hosts and secrets."""


def placement(*services: Service, **changes: object) -> Placement:
    """The catalogue on one host, or `services` instead, with `changes` to the placement."""
    whole = Placement(host=HOST, networks=NETWORKS, services=services or catalogue.sese(NAMES, DOOR, "javisi"))
    return replace(whole, **changes)  # type: ignore[arg-type]


def with_service(name: str, **changes: object) -> Placement:
    """The catalogue with one service changed."""
    return placement(
        *(
            replace(service, **changes) if service.name == name else service  # type: ignore[arg-type]
            for service in catalogue.sese(NAMES, DOOR, "javisi")
        )
    )


CONFIGURATION = PROJECT / "tests/configuration"
"""What stands in for the files that an operator fills: an operator's own turn no test red (tests/unit/test_operators_own.py)."""
_WITHOUT_A_LAB = {
    "imageLock": "tests/configuration/images.lock.yaml",
    "knownHosts": "tests/configuration/known_hosts",
    "certificateAuthority": "",
}
"""In place of files that a raised lab has."""


def host_config(stack: str) -> str:
    """vpai:hosts as Pulumi hands it to the program."""
    names = ["preprod"] if stack == "preprod" else ["sese", "seko", "waza"]
    return json.dumps({name: {"address": f"203.0.113.{10 + n}", "memoryMib": 11264} for n, name in enumerate(names)})


RENTED_HOST: Mapping[str, str] = {
    "hosts": json.dumps({**json.loads(host_config("prod")), "app-prod-01": {"server": {"protected": True}}}),
    "trustedAddresses": '["203.0.113.7/32"]',
    "hcloud_token": "t" * 64,
}
"""What is set besides where production rents a server for its applications."""

RENTED_COPY: Mapping[str, str] = {
    "hosts": json.dumps({"seko": {"address": "203.0.113.11", "memoryMib": 2048}}),
    "hcloud_token": "t" * 64,
}
"""What is set where a copy rents its server and joins production's mesh."""


def inputs(stack: str = "prod", *, like: str = "", **changes: str) -> Inputs:
    """Inputs of a stack with dummy secrets, as a preview without hosts reads them; of another name, `like` a committed one."""
    of = like or stack
    raw = {**committed(of), **_WITHOUT_A_LAB, **OPERATOR_CONFIG, "hosts": host_config(of), **DUMMY_SECRETS, **changes}
    return read(stack, raw, {*DUMMY_SECRETS, CLOUD_TOKEN.name}, PROJECT)


def committed(stack: str) -> dict[str, str]:
    """The configuration in Pulumi.<stack>.yaml as this project comes, in the form in which Pulumi hands it to the program."""
    file = CONFIGURATION / f"Pulumi.{stack}.yaml"
    config = yaml.safe_load((file if file.exists() else PROJECT / file.name).read_text())["config"]
    return {key.removeprefix("vpai:"): value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
