"""Reads a stack's configuration and files, checks them, and turns them into values."""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from model import names, ssh_key
from model.cost import Prices
from model.fleet import Fleet
from model.image import DIGEST, ImageLock, verified_file
from model.kind import PROFILES, Profile
from model.kind import Kind as StackKind
from model.problem import Problem, Refused, refuse
from model.secret import External, Generated, Secret, fault
from model.settings import Settings, shown
from services import catalogue, storage
from services.caddy import AUTHORITY_KEY
from stacks import buckets, fleets
from stacks.host_plan import HostPlan, host_plans
from stacks.placement_inputs import PlacementInputs

PRICES = "prices.yaml"
CLOUD_TOKEN = Secret(
    name="hcloud_token",
    source=External(
        obtain="Hetzner's console, the project, Security, API tokens: one with read and write access", pattern=r"[A-Za-z0-9]{64}"
    ),
)
"""Token of the Hetzner project whose servers the stack rents. No service has it, so it is in no fleet."""
_TEXT = {field.alias for field in Settings.model_fields.values() if field.annotation is str}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """All inputs of a deployment."""

    stack: str
    settings: Settings
    fleet: Fleet
    external: Mapping[str, str]
    """Values of the external secrets that are set, by name."""
    host_plans: Mapping[str, HostPlan]
    """Desired state of each host without its services, by name."""
    authorized_keys: tuple[str, ...]
    """The public keys that may log in on every host."""
    cloud_token: str
    """Empty where nothing is rented."""
    unresolved: tuple[Problem, ...]
    """Facts that nobody has looked up yet: a preview warns of them, an `up` refuses them."""
    unverified: tuple[str, ...]
    """Production's images that `make verify-images` has not passed in their present form."""

    @property
    def profile(self) -> Profile:
        """The profile of the stack's kind."""
        return PROFILES[self.settings.kind]

    @property
    def rents(self) -> bool:
        """Whether this stack rents any of its hosts."""
        return any(placement.host.rented for placement in self.fleet.placements)

    @property
    def cloud_project(self) -> str:
        """Prefix of the names of the stack's resources in the Hetzner project."""
        return f"{self.fleet.project}-{self.stack}"

    @property
    def deploy_key(self) -> str:
        """The public key for production's servers. Empty for a stack that generates its own key: Hetzner refuses a second copy of
        a key, so two such stacks in one project could not both have the operator's."""
        return self.authorized_keys[0] if self.profile.guarded else ""


def read(stack: str, raw: Mapping[str, str], encrypted: Set[str], directory: Path) -> Inputs:
    """Inputs of `stack` from its configuration (`raw`: key without namespace -> text) and the project's files.

    `encrypted` names the keys whose values are encrypted in the stack's file.

    Raises `Refused` with every problem found.
    """
    misnamed = _misnamed(stack, raw.get("subdomains", ""))
    known = catalogue.external_secrets(hosts=_hosts(raw))
    configured = {secret.name: raw.get(secret.name, "") for secret in (*known, CLOUD_TOKEN)}
    try:
        settings = parsed(stack, {key: text for key, text in raw.items() if key not in configured})
        keys = _authorized_keys(directory / settings.authorized_keys)
        files = _files(settings, directory)
        fleet = _placed(stack, settings, files)
        plans = host_plans(fleet, settings, keys)
    except Refused as refused:
        # Missing secrets can be found without a fleet, so that one run names all problems.
        needed = catalogue.external_secrets(raw.get("certificateAuthority", ""))
        if raw.get("kind") == StackKind.COPY and raw.get("hosts", "{}") == "{}":
            needed = (*needed, CLOUD_TOKEN)
        raise Refused([*refused.problems, *misnamed, *_bad_secrets(stack, needed, configured)]) from None
    profile = PROFILES[settings.kind]
    secrets = fleet.secrets()
    kept = {name: value.get_secret_value() for name, value in settings.kept.items()}
    external = {**{name: value for name, value in configured.items() if value}, **files.authority_key, **kept}
    token = external.pop(CLOUD_TOKEN.name, "")
    rents = any(placement.host.rented for placement in fleet.placements)
    plain = _plain_secrets(stack, [name for name, value in configured.items() if value], encrypted)
    refuse(
        [
            *misnamed,
            *_bad_secrets(stack, secrets, external),
            *(_bad_secrets(stack, (CLOUD_TOKEN,), {CLOUD_TOKEN.name: token}) if rents else ()),
            *(_shut_out(stack, settings) if rents and profile.guarded else ()),
            *plain,
            *_bad_rotations(settings, secrets),
            *_bad_kept(stack, settings, secrets, encrypted),
            *buckets.problems(stack, fleet.buckets, [host.name for host in fleet.hosts], external),
        ]
    )
    return Inputs(
        stack=stack,
        settings=settings,
        fleet=fleet,
        external=external,
        host_plans=plans,
        authorized_keys=keys,
        cloud_token=token,
        unresolved=(*unpinned_images(fleet, settings), *unpinned_hosts(fleet, directory / settings.known_hosts)),
        unverified=fleet.image_lock.unverified(_verified(directory / settings.image_lock), fleet.images())
        if profile.guarded
        else (),
    )


def placed(stack: str, settings: Settings, directory: Path) -> Fleet:
    """The fleet that these settings make; raises `Refused` for every law that it would break."""
    return _placed(stack, settings, _files(settings, directory))


def _placed(stack: str, settings: Settings, files: "_Files") -> Fleet:
    types, prices = _server_types(files.prices), Prices.written(files.prices)
    around = PlacementInputs(stack=stack, lock=files.lock, authority=files.authority, types=types, prices=prices)
    return fleets.fleet(settings, around)


@dataclass(frozen=True, kw_only=True)
class _Files:
    """The content of the project's files, besides the configuration."""

    lock: ImageLock
    authority: str
    """The PEM root of an own authority; empty where there is none."""
    authority_key: Mapping[str, str] = field(repr=False)
    prices: Mapping[str, Any]


def _files(settings: Settings, directory: Path) -> _Files:
    lock = _image_lock(directory / settings.image_lock)
    authority, key = _authority(settings, directory)
    return _Files(lock=lock, authority=authority, authority_key=key, prices=yaml.safe_load((directory / PRICES).read_text()))


def _hosts(raw: Mapping[str, str]) -> Iterator[str]:
    """Hosts that may have a backup key: the names in vpai:hosts as written, and every host with such a key in the configuration,
    even if the host is gone."""
    try:
        hosts = yaml.safe_load(raw.get("hosts", "")) or {}
    except yaml.YAMLError:
        hosts = {}
    yield from map(str, hosts) if isinstance(hosts, dict) else ()
    yield from (found[1] for key in raw if (found := storage.BACKUP_KEY.fullmatch(key)))


def _misnamed(stack: str, text: str) -> tuple[Problem, ...]:
    """Problems of vpai:subdomains, besides the form of each name, which the settings check."""
    try:
        renamed = yaml.safe_load(text) or {}
    except yaml.YAMLError:
        return ()
    if not isinstance(renamed, dict) or not renamed:
        return ()
    return tuple(names.problems(stack, {str(site): str(name) for site, name in renamed.items()}, catalogue.sites_of_all()))


def parsed(stack: str, raw: Mapping[str, str]) -> Settings:
    """The settings in `raw`; raises `Refused` with all that are unreadable or wrong."""
    values: dict[str, object] = {}
    unreadable = []
    for key, text in raw.items():
        try:
            values[key] = text if key in _TEXT else yaml.load(text, _Value)  # noqa: S506 - a SafeLoader
        except yaml.YAMLError:
            unreadable.append(_unreadable(stack, key, text))
    try:
        settings = Settings.parse(values, stack)
    except Refused as refused:
        # An unreadable value is not reported as missing too.
        unread = {f"vpai:{key} is missing" for key in raw.keys() - values.keys()}
        raise Refused([*unreadable, *(problem for problem in refused.problems if problem.what not in unread)]) from None
    refuse(unreadable)
    return settings


class _Value(yaml.SafeLoader):
    """YAML with decimal numbers only: 010, 0x10, 1_000 and 1:30 stay strings, which no numeric setting accepts."""


_Value.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("bool", "null")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Value.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?(0|[1-9][0-9]*)$"), list("-0123456789"))


def _unreadable(stack: str, key: str, text: str) -> Problem:
    return Problem(
        what=f"vpai:{key} = {shown(key, text)} is neither a plain value nor a whole list or mapping",
        why="nothing of it can be used, and what it was meant to set would stay as it is by default",
        fix="close every bracket and quote; or set one member of a list or mapping at a time",
        example=f"pulumi config set -s {stack} --path 'vpai:{key}[0]' value",
    )


def _server_types(prices: Mapping[str, Any]) -> tuple[tuple[str, Decimal, int], ...]:
    """(name, monthly price, memory in MiB) of each server type with a known price."""
    servers: Mapping[str, Mapping[str, str | int | None]] = prices["servers"]
    return tuple(
        (name, Decimal(str(server["monthly"])), int(server["memory_mib"] or 0))
        for name, server in servers.items()
        if server["monthly"]
    )


def _verified(lock: Path) -> Mapping[str, str | None]:
    file = lock.with_name(verified_file(lock.name))
    return (yaml.safe_load(file.read_text()) or {}) if file.exists() else {}


def _image_lock(path: Path) -> ImageLock:
    if not path.exists():
        example = "docker.io/library/redis:8.0-bookworm: sha256:..."
        refuse([_missing_file(path, "vpai:imageLock", "images could not be pinned", example)])
    try:
        digests = yaml.safe_load(_read(path, "vpai:imageLock")) or {}
        if not isinstance(digests, dict):
            raise yaml.YAMLError
    except yaml.YAMLError:
        raise Refused(
            [
                Problem(
                    what=f"{path.name} (vpai:imageLock) is no list of images with their digests",
                    why="no image could be pinned",
                    fix="take it out of git as it was, or write one image and its digest a line",
                    example=f"git checkout {path.name}",
                )
            ]
        ) from None
    refuse(
        Problem(
            what=f"{path.name}: {image}: {digest!r} is no digest",
            why="an image that is not pinned can change under us",
            fix="write the digest that the registry shows, or null",
            example=f"{image}: sha256:<64 hexadecimal digits>",
        )
        for image, digest in digests.items()
        if digest is not None and not DIGEST.fullmatch(str(digest))
    )
    return ImageLock(digests)


def _authorized_keys(path: Path) -> tuple[str, ...]:
    """The lines of a file in the form of authorized_keys, without comments."""
    if not path.exists():
        refuse([_missing_file(path, "vpai:authorizedKeys", "nobody could log in on the hosts", "ssh-ed25519 AAAA... operator")])
    lines = _read(path, "vpai:authorizedKeys").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _authority(settings: Settings, directory: Path) -> tuple[str, Mapping[str, str]]:
    """The root certificate and key of the operator's own authority; empty where there is none."""
    if not settings.certificate_authority:
        return "", {}
    place = directory / settings.certificate_authority
    certificate, key = place / "root.crt", place / "root.key"
    refuse(
        _missing_file(path, "vpai:certificateAuthority", "Caddy could not issue certificates", "openssl req -x509 ...")
        for path in (certificate, key)
        if not path.exists()
    )
    return certificate.read_text(), {AUTHORITY_KEY.name: key.read_text()}


def _read(path: Path, key: str) -> str:
    """The text of a file; raises `Refused` if it is not plain UTF-8, which sshd and ssh could not read either."""
    data = path.read_bytes()
    try:
        if not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return data.decode()
    except UnicodeDecodeError:
        pass
    refuse(
        [
            Problem(
                what=f"{path.name} ({key}) is not plain UTF-8",
                why="saved in another encoding, or with a mark in front, its first line would not be understood",
                fix="save it as UTF-8 without BOM",
                example=f"iconv -f UTF-16 -t UTF-8 {path.name} > {path.name}.new",
            )
        ]
    )
    raise AssertionError("refused above")


def _missing_file(path: Path, key: str, why: str, example: str) -> Problem:
    return Problem(what=f"{path} does not exist ({key})", why=why, fix="make the file, or correct the setting", example=example)


def _bad_secrets(stack: str, secrets: tuple[Secret, ...], external: Mapping[str, str]) -> list[Problem]:
    return [
        Problem(
            what=f"the secret {secret.name} {wrong}",
            why="the service that reads it would start and fail at its first use",
            fix=f"get it: {secret.source.obtain}",
            example=f"pulumi config set -s {stack} --secret vpai:{secret.name}",
        )
        for secret in secrets
        if isinstance(secret.source, External) and (wrong := fault(secret.source, external.get(secret.name, "")))
    ]


def _shut_out(stack: str, settings: Settings) -> Iterator[Problem]:
    if not settings.trusted_addresses:
        yield Problem(
            what="vpai:trustedAddresses is empty",
            why="Hetzner's firewall lets SSH into production's servers from these addresses alone: nobody could set up a new one",
            fix="name the address of the machine that deploys, as the Internet sees it",
            example=f"pulumi config set -s {stack} --path 'vpai:trustedAddresses[0]' 203.0.113.7/32",
        )


def _plain_secrets(stack: str, configured: Iterable[str], encrypted: Set[str]) -> list[Problem]:
    return [
        Problem(
            what=f"the secret {name} stands in plain text in Pulumi.{stack}.yaml",
            why="the file is committed, and the value would be readable in the state and in every preview",
            fix="set it again, encrypted, and replace it at its issuer: it may have been read",
            example=f"pulumi config set -s {stack} --secret vpai:{name}",
        )
        for name in configured
        if name not in encrypted
    ]


def _bad_rotations(settings: Settings, secrets: tuple[Secret, ...]) -> list[Problem]:
    generated = {secret.name: secret for secret in secrets if isinstance(secret.source, Generated)}
    found = []
    for name in settings.rotations:
        secret = generated.get(name)
        if secret is None:
            why, fix = "nothing would happen", f"use one of: {', '.join(sorted(generated))}"
        elif secret.irreplaceable:
            why, fix = secret.irreplaceable, "leave it; a new value makes the old data unreadable"
        else:
            continue
        found.append(Problem(what=f"vpai:rotations names {name!r}, which cannot be rotated", why=why, fix=fix))
    return found


def _bad_kept(stack: str, settings: Settings, secrets: tuple[Secret, ...], encrypted: Set[str]) -> Iterator[Problem]:
    irreplaceable = sorted(secret.name for secret in secrets if secret.irreplaceable)
    for name in settings.kept.keys() - set(irreplaceable):
        yield Problem(
            what=f"vpai:kept names {name!r}, which is no irreplaceable secret",
            why="any other is made anew, and whoever uses it is told",
            fix=f"use one of: {', '.join(irreplaceable)}",
        )
    for name, value in settings.kept.items():
        if not value.get_secret_value().isprintable():
            yield Problem(
                what=f"vpai:kept: the value of {name} has an end of line or another control character in it",
                why="no program would read it as it was",
                fix="give the value alone, as the recovery kit shows it",
                example=f"pulumi config set -s {stack} --secret --path 'vpai:kept.{name}' ...",
            )
    if settings.kept:
        yield from _plain_secrets(stack, ["kept"], encrypted)


def unpinned_images(fleet: Fleet, settings: Settings) -> list[Problem]:
    """Problems: images without a digest, whose content can change without a commit."""
    return [
        Problem(
            what=f"the image {image} has no digest in {settings.image_lock}",
            why="its tag can be moved to other content under us",
            fix="look the digest up where the registry can be reached and write it there",
            example=f"docker buildx imagetools inspect {image}",
        )
        for image in fleet.images()
        if not fleet.image_lock.digests.get(image)
    ]


def pinned(known_hosts: Path) -> frozenset[str]:
    """Names of the hosts with a complete key of the pinned type in `known_hosts`."""
    text = _read(known_hosts, "vpai:knownHosts") if known_hosts.exists() else ""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return frozenset(name for name, *key in lines if key[:1] == [ssh_key.HOST_KEY_TYPE] and not ssh_key.fault(" ".join(key)))


def unpinned_hosts(fleet: Fleet, known_hosts: Path) -> list[Problem]:
    """Problems: hosts without a pinned key, which any machine could impersonate."""
    known = pinned(known_hosts)
    return [
        Problem(
            what=f"the {ssh_key.HOST_KEY_TYPE} host key of {host.name} is not pinned in {known_hosts}",
            why="at the first contact anybody could play the host and would get every secret; sshd shows no other key afterwards",
            fix="read the key on the provider's console and add a whole line with the host's name",
            example=f"{host.name} ssh-ed25519 AAAA...   # from: cat /etc/ssh/ssh_host_ed25519_key.pub",
        )
        for host in fleet.hosts
        if host.name not in known and not host.rented
    ]
