"""Fleets and inputs for tests."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from model.host import Host, Role
from model.image import ImageLock
from model.names import Names
from model.network import MESH
from model.placement import Placement
from model.secret import External
from model.service import Service
from operations.secrets.dummies import dummy
from services import catalogue, storage
from services.caddy import IngressSettings
from services.context import Context
from services.networks import NETWORKS
from stacks.inputs import CLOUD_TOKEN, Inputs, read

PROJECT = Path(__file__).parents[2]
HOST = Host(name="sese", address="203.0.113.10", user="deploy", mesh_domain="na.vpai.test", memory_mib=11264)
DOOR = IngressSettings(vpn=(MESH,), acme_email="ops@example.org", authority="")
NAMES = Names("vpai.test")
EMPTY_LOCK = ImageLock({})


DUMMY_SECRETS: Mapping[str, str] = {
    secret.name: dummy(secret.name, secret.source.pattern)
    for secret in catalogue.external_secrets(hosts=("sese", "seko", "app-prod-01"))
    if isinstance(secret.source, External)
}
"""A value of the right form for each external secret, for previews without real ones."""

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
"""An operator's settings, without hosts and secrets."""


def context(**changes: object) -> Context:
    """The context of services on a stack's host, with a hub in the fleet."""
    of = Context(names=NAMES, project="javisi", relayed_to=f"sese.hosts.{NAMES.domain}")
    return replace(of, **changes)  # type: ignore[arg-type]


def stack_services(**changes: object) -> tuple[Service, ...]:
    """All services of the stack's host."""
    return catalogue.on({Role.STACK}, context(**changes), DOOR)


def placement(*services: Service, **changes: object) -> Placement:
    """The catalogue on one host, or `services` instead, with `changes` to the placement."""
    whole = Placement(host=HOST, networks=NETWORKS, services=services or stack_services())
    return replace(whole, **changes)  # type: ignore[arg-type]


def with_service(name: str, **changes: object) -> Placement:
    """The catalogue on one host, with one service changed."""
    return placement(
        *(
            replace(service, **changes) if service.name == name else service  # type: ignore[arg-type]
            for service in stack_services()
        )
    )


CONFIGURATION = PROJECT / "tests/configuration"
"""Stands in for the files that an operator fills in, so that an operator's rotation breaks no test
(tests/unit/stacks/test_operators_own.py)."""
_WITHOUT_A_LAB = {
    "imageLock": "tests/configuration/images.lock.yaml",
    "knownHosts": "tests/configuration/known_hosts",
    "certificateAuthority": "",
}
"""Replaces files of a running lab."""


def host_config(stack: str) -> str:
    """vpai:hosts as Pulumi hands it to the program."""
    roles = {"preprod": "stack"} if stack == "preprod" else {"sese": "stack", "seko": "hub", "waza": "workstation"}
    return json.dumps(
        {
            name: {"address": f"203.0.113.{10 + n}", "memoryMib": 11264, "roles": [role]}
            for n, (name, role) in enumerate(roles.items())
        }
    )


def host_paths(stack: str) -> Mapping[str, str]:
    """The settings of `host_config`, one path for each value."""
    return {
        f"hosts.{name}.{'roles[0]' if key == 'roles' else key}": str(value[0] if key == "roles" else value)
        for name, host in json.loads(host_config(stack)).items()
        for key, value in host.items()
    }


RENTED_HOST: Mapping[str, str] = {
    "hosts": json.dumps(
        {**json.loads(host_config("prod")), "app-prod-01": {"server": {"protected": True}, "roles": ["applications"]}}
    ),
    "trustedAddresses": '["203.0.113.7/32"]',
    "hcloud_token": "t" * 64,
}
"""Further settings of a production that rents a server for its applications."""

RENTED_COPY: Mapping[str, str] = {
    "hosts": json.dumps({"seko": {"address": "203.0.113.11", "memoryMib": 2048, "roles": ["hub"]}}),
    "hcloud_token": "t" * 64,
}
"""Further settings of a copy that rents its server and joins production's mesh."""


def _host(number: int, memory_mib: int, *roles: str, **more: object) -> Mapping[str, object]:
    return {"address": f"203.0.113.{number}", "memoryMib": memory_mib, "roles": list(roles), **more}


OTHERS: Mapping[str, Mapping[str, str]] = {
    "second": {
        "domain": "second.example.net",
        "subdomains": '{"n8n": "workflows", "mesh": "vpn"}',
        "services": '["n8n", "couchdb", "grafana"]',
        "hosts": json.dumps({"alpha": _host(40, 8192, "stack"), "beta": _host(41, 2048, "hub")}),
        "trustedAddresses": '["198.51.100.0/24"]',
        "vpnCidrs": '["100.64.0.0/10", "172.20.1.0/24"]',
        "project": "second",
        "bucketPrefix": "",
    },
    "moved": {
        "domain": "moved.example.net",
        "subdomains": "{}",
        "services": '["litellm", "qdrant", "grafana"]',
        "placement": '{"qdrant": "beta"}',
        "hosts": json.dumps({"alpha": _host(40, 8192, "stack"), "beta": _host(41, 2048, "hub")}),
        "bucketPrefix": "",
    },
    "alone": {
        "subdomains": "{}",
        "hosts": json.dumps({"box": {"address": "203.0.113.50", "memoryMib": 12288}}),
        "bucketPrefix": "",
    },
    "joining": {
        "domain": "third.example.net",
        "subdomains": "{}",
        "hosts": json.dumps(
            {
                "gamma": _host(60, 11264, "stack"),
                "seko": _host(61, 2048, "hub", mesh={"server": "singa.vpai.example.org", "domain": "na.vpai.example.org"}),
            }
        ),
        "bucketPrefix": "",
    },
}
"""Productions of other operators: how their Pulumi.<name>.yaml differs from ours."""


def inputs(stack: str = "prod", *, like: str = "", **changes: str) -> Inputs:
    """Inputs of a stack with dummy secrets, as a preview without hosts reads them; `like` names the committed stack to use."""
    of = like or stack
    raw = {**committed(of), **_WITHOUT_A_LAB, **OPERATOR_CONFIG, "hosts": host_config(of), **DUMMY_SECRETS, **changes}
    backups = {key for key in raw if storage.BACKUP_KEY.fullmatch(key)}
    return read(stack, raw, {*DUMMY_SECRETS, CLOUD_TOKEN.name, *backups}, PROJECT)


def committed(stack: str) -> dict[str, str]:
    """The configuration in the committed Pulumi.<stack>.yaml, in the form in which Pulumi gives it to the program."""
    file = CONFIGURATION / f"Pulumi.{stack}.yaml"
    config = yaml.safe_load((file if file.exists() else PROJECT / file.name).read_text())["config"]
    return {key.removeprefix("vpai:"): value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
