"""The program as the engine has shown it so far: resources with their inputs, and the waivers in force for each."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, TypeVar

from pulumi_policy.proxy import UnknownValueError

from model.kind import Kind
from model.waiver import Waiver

CONTAINER = "docker:index/container:Container"
DOCKER_NETWORK = "docker:index/network:Network"
DOCKER_VOLUME = "docker:index/volume:Volume"
REMOTE_IMAGE = "docker:index/remoteImage:RemoteImage"
IMAGE_TAG = "docker:index/tag:Tag"
DOCKER_PROVIDER = "pulumi:providers:docker"
LOCAL_COMMAND = "command:local:Command"
REMOTE_COMMAND = "command:remote:Command"
REMOTE_COPY = "command:remote:CopyToRemote"
HOST_ACCESS = "pulumi-python:dynamic/access:HostAccess"
CONFIGURATION = "pulumi-python:dynamic/configuration:ConfigurationDirectory"
CADDY = "pulumi-python:dynamic/configuration:CaddyConfiguration"
BUCKET = "pulumi-python:dynamic/s3:Bucket"
MESH_MEMBER = "pulumi-python:dynamic/mesh:MeshMember"
MANAGED_HOST = "vpai:index:ManagedHost"
SERVICE = "vpai:index:ServiceContainer"
SERVER = "hcloud:index/server:Server"
CLOUD_FIREWALL = "hcloud:index/firewall:Firewall"
FIREWALL_ATTACHMENT = "hcloud:index/firewallAttachment:FirewallAttachment"
CLOUD_NETWORK = "hcloud:index/network:Network"
CLOUD_VOLUME = "hcloud:index/volume:Volume"

_T = TypeVar("_T")


def known_first(values: Iterable[Callable[[], _T]]) -> Iterator[_T]:
    """Yield the known values, then raise the error of an unknown one, which must not hide the others."""
    unknown: UnknownValueError | None = None
    for value in values:
        try:
            known = value()
        except UnknownValueError as error:
            unknown = unknown or error
        else:
            yield known
    if unknown:
        raise unknown


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource as the engine shows it. `inputs` raises UnknownValueError for a value that is known only after `up`."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    secret_inputs: frozenset[str] = frozenset()
    """Top-level inputs that are, or contain, a secret."""
    parent: str = ""
    protect: bool = False
    ignore_changes: frozenset[str] = frozenset()
    host: str = ""
    """Host on which it is created: the alias in the address of its docker provider."""

    def list(self, key: str) -> list[Any]:
        """A list input; empty when not set."""
        return list(self.inputs.get(key) or ())

    def text(self, key: str) -> str:
        """A text input; empty when not set."""
        return str(self.inputs.get(key) or "")

    def texts(self, *keys: str) -> Iterator[tuple[str, str]]:
        """Several text inputs, by key."""
        return known_first((lambda key=key: (key, self.text(key))) for key in keys)  # type: ignore[misc]

    @cached_property
    def waivers(self) -> tuple[Waiver, ...]:
        """The waivers of a component; they apply to everything below it."""
        return tuple(Waiver.from_input(value) for value in self.list("waivers"))


@dataclass
class Program:
    """Resources in the order of their registration; a parent comes before its children."""

    stack: str
    kind: str
    """The value of vpai:kind; empty where a state is judged without its configuration."""
    today: date
    configured_secrets: tuple[str, ...] = ()
    """Encrypted values of the stack's configuration, in plain text."""
    resources: dict[str, Resource] = field(default_factory=dict)
    waived: dict[Waiver, list[str]] = field(default_factory=dict)
    """Names of the resources that each waiver has covered in this run."""
    undecided: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """(rule, input) -> names of the resources whose input is known only after `up`."""

    @property
    def is_production(self) -> bool:
        return self.kind == Kind.PRODUCTION

    def learn(self, resource: Resource) -> None:
        self.resources[resource.urn] = resource

    def of_type(self, *types: str) -> Iterator[Resource]:
        return (resource for resource in self.resources.values() if resource.type in types)

    def parent(self, resource: Resource) -> Resource | None:
        return self.resources.get(resource.parent)

    def accepts(self, rule: str, subject: str, resource: Resource | None) -> bool:
        """Whether a waiver in force covers a finding; the waiver is noted in `waived`."""
        for waiver in self._waivers(resource):
            if waiver.rule == rule and waiver.subject in ("", subject) and waiver.holds(self.today) and resource:
                names = self.waived.setdefault(waiver, [])
                if resource.name not in names:
                    names.append(resource.name)
                return True
        return False

    def _waivers(self, resource: Resource | None) -> Iterable[Waiver]:
        while resource is not None:
            yield from resource.waivers
            resource = self.parent(resource)
