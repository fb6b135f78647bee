"""The settings of a stack: typed `vpai:` keys of Pulumi.<stack>.yaml, with every mistake reported at once."""

import json
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from model.bucket import HETZNER_PRINCIPAL
from model.host import TIMEZONE, Role
from model.kind import Kind
from model.network import MESH
from model.problem import Problem, Refused

HostName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,29}[a-z0-9]$")]
"""At least two characters, the last no hyphen: Headscale 0.28 gives any other member a random name with "invalid-" (tried)."""
_DOMAIN = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$"
Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_ADDRESS_SHAPE = r"^([A-Za-z0-9.-]+|[0-9A-Fa-f]*(:[0-9A-Fa-f.]*){2,})$"
"""The part of an address's grammar that an editor can check: no user and no port beside it."""

_PATH = r"^([^-\n][^\n]*)?$"
"""A path begins with no dash: a key that is pasted in its place does."""


def _host_address(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        if not _NAME.fullmatch(text) or re.fullmatch(r"[0-9.]+", text):
            said = "is neither an IP address nor a host's name; the user and the port have settings of their own"
            raise PydanticCustomError("address", said) from None
    return text


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise PydanticCustomError("time_zone", "is no time zone of the IANA database") from None
    return text


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class ServerSettings(_Frozen):
    """A server of Hetzner's cloud that the stack itself makes; its image is the host's release."""

    type: str = Field(
        default="",
        pattern=r"^[a-z]*\d*$",
        description="type of the server; empty: the cheapest that has the memory that its services need",
        examples=["cx33"],
    )
    location: str = Field(default="fsn1", pattern=r"^[a-z]+\d+$", description="where it stands", examples=["fsn1"])
    backups: bool = Field(default=False, description="Hetzner's daily backups, a fifth of the server's price", examples=["true"])
    protected: bool = Field(
        default=False, description="refuse every deletion, by Pulumi, in the console and by the API", examples=["true"]
    )
    keeps_address: bool = Field(default=False, description="its IPv4 address outlives it", examples=["true"])


_ONE_OF_BOTH: Any = [
    {"required": ["address", "memoryMib"], "not": {"required": ["server"]}},
    {"required": ["server"], "not": {"required": ["address"]}},
]
"""JSON schema of `HostSettings._is_one_of_both`, for an editor."""


class MeshSettings(_Frozen):
    """A mesh that another stack's hub keeps."""

    server: str = Field(pattern=_DOMAIN, description="where machines join the mesh", examples=["mesh.example.org"])
    domain: str = Field(pattern=_DOMAIN, description="what its hosts' names are below", examples=["hosts.example.org"])
    project: str = Field(
        default="",
        pattern=r"^([a-z][a-z0-9]{1,15})?$",
        description="vpai:project of the stack that owns the hub; empty: the same as here",
        examples=["javisi"],
    )


class HostSettings(_Frozen):
    """Where a host is, how large and what for; or the server that it is to be."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _ONE_OF_BOTH})

    roles: tuple[Role, ...] = Field(
        default=(),
        description="what the host is for; the only host of a stack that says nothing is stack and hub",
        examples=['["stack", "hub"]'],
    )
    mesh: MeshSettings | None = Field(
        default=None,
        description="of a hub that another stack owns: the mesh that is joined there; nothing of that host is changed",
        examples=['{"server": "mesh.example.org", "domain": "hosts.example.org"}'],
    )
    address: Annotated[str, AfterValidator(_host_address)] = Field(
        default="",
        description="public address or name of the host",
        examples=["203.0.113.10"],
        json_schema_extra={"pattern": _ADDRESS_SHAPE},
    )
    server: ServerSettings | None = Field(
        default=None, description="make this server in Hetzner's cloud, instead of using a machine that is there", examples=["{}"]
    )
    first_user: str = Field(
        default="root",
        pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$",
        description="who may log in on the machine as the provider hands it over",
        examples=["debian"],
    )
    first_port: int = Field(default=22, ge=1, le=65535, description="port of sshd on the machine as handed over", examples=["22"])
    release: Literal["debian-13", "ubuntu-24.04"] = Field(
        default="debian-13", description="operating system of the host", examples=["ubuntu-24.04"]
    )
    memory_mib: int = Field(
        default=0,
        ge=1024,
        description="memory of the host in MiB; of a server that is made, its type says it",
        examples=["11264"],
    )

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "HostSettings":
        if self.server is None:
            for field, value in (("address", self.address), ("memoryMib", self.memory_mib)):
                if not value:
                    raise PydanticCustomError("missing", "is missing", {"field": field})
        elif self.address:
            said = "has an address already: leave out either that or the server"
            raise PydanticCustomError("two_hosts", said, {"field": "server"})
        return self


class Settings(_Frozen):
    """Every `vpai:` key that is not a secret. Paths are relative to the project."""

    kind: Kind = Field(
        description="what the stack is for: production, a copy that is thrown away, or a lab; what is guarded and protected "
        "follows from it, and its name does not say it",
        examples=["production"],
    )
    project: str = Field(
        default="javisi",
        pattern=r"^[a-z][a-z0-9]{1,15}$",
        description="names the host's directory /opt/<project> and every container and network",
        examples=["javisi"],
    )
    domain: str = Field(
        pattern=_DOMAIN,
        description="every route is a name below it",
        examples=["vpai.example.org"],
    )
    subdomains: Mapping[str, Label] = Field(
        default_factory=dict,
        description="what a site is called below the domain where not by its own name; front-page: the fleet's own page, which "
        "else is at the domain itself",
        examples=['{"n8n": "workflows"}'],
    )
    hosts: Mapping[HostName, HostSettings] = Field(
        min_length=1,
        description="where each host of the stack is, and what for",
        examples=['{"sese": {"address": "203.0.113.10", "memoryMib": 11264, "roles": ["stack", "hub"]}}'],
    )
    known_hosts: str = Field(
        min_length=1,
        pattern=_PATH,
        description="known_hosts file with the pinned key of each host under its name; without a pin anybody could play the host",
        examples=["hosts/prod.known_hosts"],
    )
    image_mirror: str = Field(
        default="",
        pattern=r"^([a-z0-9.-]+(:\d+)?)?$",
        description="registry that holds copies of all images; empty: the images' own registries",
        examples=["registry.example.org:5000"],
    )
    image_lock: str = Field(
        default="images.lock.yaml",
        min_length=1,
        pattern=_PATH,
        description="file with the digest of each image",
        examples=["images.lock.yaml"],
    )
    certificate_authority: str = Field(
        default="",
        pattern=_PATH,
        description="directory with root.crt and root.key of an own authority; empty: ACME over OVH's DNS",
        examples=["ca/"],
    )
    acme_email: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9._+-]+@([A-Za-z0-9-]+\.)+[A-Za-z]{2,})?$",
        description="contact for the ACME account",
        examples=["ops@example.org"],
    )
    acme_directory: str = Field(
        default="",
        pattern=r"^(https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?)?$",
        description="ACME directory of the authority that issues certificates; empty: Let's Encrypt's",
        examples=["https://acme-staging-v02.api.letsencrypt.org/directory"],
    )
    deploy_user: str = Field(
        default="deploy",
        pattern=r"^[a-z][a-z0-9-]{0,30}$",
        description="user that deploys, made on every host",
        examples=["deploy"],
    )
    authorized_keys: str = Field(
        min_length=1,
        pattern=_PATH,
        description="file with the public keys that may log in on the hosts; one taken out there is taken out on every host",
        examples=["hosts/prod.authorized_keys"],
    )
    runner: str = Field(
        default="",
        pattern=r"^([a-z][a-z0-9-]{0,29}[a-z0-9])?$",
        description="name under which `up` joins the machine it runs on to the mesh; empty: it is left as it is",
        examples=["operator"],
    )
    trusted_addresses: tuple[IPv4Network, ...] = Field(
        default=(), description="addresses that fail2ban never bans, besides the mesh", examples=['["203.0.113.7/32"]']
    )
    nameservers: tuple[IPv4Address, ...] = Field(
        default=(IPv4Address("1.1.1.1"), IPv4Address("8.8.8.8")),
        min_length=1,
        description="resolvers of containers and mesh members for names outside of the mesh",
        examples=['["1.1.1.1", "8.8.8.8"]'],
    )
    timezone: Annotated[str, AfterValidator(_time_zone)] = Field(
        default=TIMEZONE,
        description="time zone of the hosts, and of the services that show or plan times",
        examples=["Europe/Paris"],
    )
    reboot_window: str = Field(
        default="",
        pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$",
        description="time of day at which a host may reboot itself after an upgrade that needs it; empty: never",
        examples=["04:30"],
    )
    revert_seconds: int = Field(
        default=60,
        ge=10,
        le=600,
        description="after how long a change of SSH or firewall that nobody confirmed goes back",
        examples=["60"],
    )
    rescue_minutes: int = Field(
        default=10,
        ge=0,
        le=1440,
        description="after how long without a mesh a host opens SSH to the public (keys only); 0: never",
        examples=["10"],
    )
    services: tuple[str, ...] = Field(
        default=(),
        description="what runs, each with what it needs, behind Caddy; empty: everything, but of a copy that expires the core",
        examples=['["litellm", "n8n"]'],
    )
    placement: Mapping[str, HostName] = Field(
        default_factory=dict,
        description="the host of a service that stands elsewhere than its role's; who calls it then does so over the mesh, and "
        "what cannot be called so is refused",
        examples=['{"qdrant": "seko"}'],
    )
    expires: str = Field(
        default="",
        pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\dZ)?$",
        description="when `make reap` destroys the stack; empty: never",
        examples=["2026-11-30T12:00Z"],
    )
    most_ephemeral: int = Field(
        default=3, ge=0, le=50, description="how many stacks that expire may have a server in the project at once", examples=["3"]
    )
    offline: tuple[HostName, ...] = Field(
        default=(), description="hosts that are switched off; they are neither asked nor changed", examples=['["waza"]']
    )
    vpn_cidrs: tuple[IPv4Network, ...] = Field(
        default=(MESH,),
        description="client ranges that count as the VPN; Docker's frontend (172.20.1.0/24) beside the mesh is for hosts that "
        "masquerade members as their bridge, and then every container on frontend and whoever else is masqueraded is one too",
        examples=['["100.64.0.0/10"]'],
    )
    bucket_prefix: str = Field(
        default="",
        pattern=r"^([a-z0-9][a-z0-9-]{1,50})?$",
        description="what the names of the stack's buckets begin with, unique among all customers and stacks; empty: no buckets",
        examples=["example-org"],
    )
    bucket_principal: str = Field(
        default=HETZNER_PRINCIPAL,
        pattern=r"^.*\{key\}.*$",
        description="how the object storage names a key in a policy; Hetzner's has the number of the project in it",
        examples=[HETZNER_PRINCIPAL.replace("{project}", "1234567")],
    )
    adopt_buckets: bool = Field(
        default=False, description="take over buckets of these names that are there already", examples=["true"]
    )
    backup_lock_days: int = Field(
        default=0,
        ge=0,
        le=365,
        description="for how long no version in a new bucket of backups can be deleted; 0: no lock",
        examples=["14"],
    )
    backup_time: str = Field(
        default="03:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="time of day, in the hosts' time zone, at which their backups begin",
        examples=["03:00"],
    )
    backup_delay_minutes: int = Field(
        default=15, ge=0, le=180, description="by how much at most a backup begins later, at random", examples=["15"]
    )
    backup_databases_hourly: bool = Field(
        default=False,
        description="back PostgreSQL up every hour besides; such a run is kept for two days",
        examples=["true"],
    )
    attachments_copy: str = Field(
        default="",
        pattern=r"^(https?://[A-Za-z0-9.:-]+/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$",
        description="https://endpoint/bucket of another account, where `make copy-attachments` copies attachments to; "
        "empty: no second copy",
        examples=["https://s3.eu-central-003.backblazeb2.com/example-org-attachments"],
    )
    attachments_copy_region: str = Field(
        default="",
        pattern=r"^[a-z0-9-]*$",
        description="region of that bucket; empty: the provider has none",
        examples=["eu-central-003"],
    )
    protect_data: bool = Field(default=True, description="refuse every deletion of data directories", examples=["true"])
    delete_data: bool = Field(
        default=False,
        description="let `destroy` delete the data, buckets too; takes effect with an `up` before the destroy",
        examples=["false"],
    )
    rotations: Mapping[str, int] = Field(
        default_factory=dict,
        description="how often each generated secret has been rotated; raise a number to rotate",
        examples=['{"redis_litellm_password": 1}'],
    )
    kept: Mapping[str, SecretStr] = Field(
        default_factory=dict,
        description="values of irreplaceable secrets out of the recovery kit, for data that was kept while the state was not; "
        "encrypted",
        examples=['{"n8n_encryption_key": "..."}'],
    )
    recovery_recipient: str = Field(
        default="",
        pattern=r"^(age1[a-z0-9]{58})?$",
        description="public age key that the recovery kit is sealed to; its private half stays off this machine",
        examples=["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
    )

    @classmethod
    def parse(cls, raw: Mapping[str, object], stack: str) -> "Settings":
        """The settings in `raw` (key without namespace -> value); raises `Refused` with every problem."""
        try:
            return cls.model_validate({key: value for key, value in raw.items() if value not in ("", None)})
        except ValidationError as error:
            copy = raw.get("kind") == Kind.COPY
            raise Refused(_problem(dict(detail), stack, copy=copy) for detail in error.errors()) from None


def _problem(detail: Mapping[str, object], stack: str, *, copy: bool) -> Problem:
    location = detail["loc"]
    assert isinstance(location, tuple)
    context = detail.get("ctx")
    if isinstance(context, dict) and "field" in context:
        location = (*location, context["field"])
    if location[-1] == "[key]":
        return _name(location[:-2], location[-2], detail["msg"])
    key = ".".join(str(part) for part in location)
    model, field = _setting(location)
    if field is None:
        known = ", ".join(to_camel(name) for name in model.model_fields)
        return Problem(
            what=f"vpai:{key} is not a setting",
            why="a misspelt key would be ignored in silence",
            fix=f"remove it, or use one of: {known}",
            example=f"pulumi config rm -s {stack} --path 'vpai:{key}'",
        )
    example = (field.examples or [""])[0]
    if key == "hosts" and copy:
        # A copy names production's hub; its own server is rented.
        example = '{"seko": {"address": "203.0.113.11", "memoryMib": 2048, "roles": ["hub"]}}'
    missing = detail["type"] == "missing"
    return Problem(
        what=f"vpai:{key} is missing" if missing else f"vpai:{key} = {shown(location[0], detail['input'])}: {detail['msg']}",
        why=field.description or "",
        fix=_fix(stack, location, example),
    )


def _name(mapping: tuple[object, ...], name: object, why: object) -> Problem:
    """The problem of a mapping's key that is no valid name."""
    key = ".".join(map(str, mapping))
    _, field = _setting(mapping)
    assert field
    return Problem(
        what=f"vpai:{key}.{name} has a name that it cannot have: {why}",
        why=field.description or "",
        fix="name it otherwise",
        example=f"vpai:{key}: {(field.examples or [''])[0]}",
    )


def _fix(stack: str, location: tuple[object, ...], example: str) -> str:
    """The command or YAML that sets it. `pulumi config set` stores a list or mapping as a text, which is then refused."""
    key = ".".join(map(str, location))
    if not example.startswith(("[", "{")):
        return f"pulumi config set -s {stack} {'--path ' if len(location) > 1 else ''}'vpai:{key}' '{example}'"
    if len(location) > 1 and isinstance(location[1], int):
        return f"pulumi config set -s {stack} --path 'vpai:{location[0]}[{location[1]}]' '{json.loads(example)[0]}'"
    return f"set each member with `pulumi config set -s {stack} --path`; or write in Pulumi.{stack}.yaml: vpai:{key}: {example}"


_PRIVATE = re.compile("PRIVATE KEY|AGE-SECRET-KEY", re.IGNORECASE)
_LONGEST_SHOWN = 200


def shown(setting: object, value: object) -> str:
    """A wrong value for a message; encrypted values, and private keys pasted by mistake, are not shown."""
    text = repr(value)
    if setting == "kept" or _PRIVATE.search(text):
        return "(not shown)"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _setting(location: tuple[object, ...]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The model and the field of a place in the settings (hosts.<host>.server.<field>); None for an unknown field."""
    model, name = _named(location)
    return model, next((field for known, field in model.model_fields.items() if to_camel(known) == name), None)


def _named(location: tuple[object, ...]) -> tuple[type[BaseModel], object]:
    if location[0] != "hosts" or len(location) < 3:
        return Settings, location[0]
    if len(location) > 3 and location[2] in ("server", "mesh"):
        return (ServerSettings if location[2] == "server" else MeshSettings), location[3]
    return HostSettings, location[2]
