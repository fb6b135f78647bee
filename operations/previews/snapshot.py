"""`make snapshot`: writes the deployed state for previews to compare with, without any secret or hash of one.

Values are not masked: the program runs once more from dummies, without passphrase and host. Every secret, and every value that
follows from one (a version, a policy's principal), is computed anew; the program cannot leak what it does not know. A scan with
the true values still checks the result.
"""

import base64
import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from model.problem import Problem, refuse
from model.urn import resource_name
from operations.deploy import git_refs
from operations.previews.converged import SECRET_KEY, converge, invented, secret
from operations.previews.ephemeral_stack import EphemeralStack, Resource
from operations.stack import PROJECT, Stack, output

_DIGESTS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
_BCRYPT = re.compile(r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}")
_HEXADECIMAL = re.compile(r"\b[0-9a-f]{32,128}\b")
_SHORTEST = 5
"""Characters of the shortest value that the scan looks for: shorter ones occur by chance. No secret of ours is shorter."""
_PRINTED = ("stdout", "stderr", "containerLogs")
_CODE = "__provider"
_EMPTY: Mapping[type, object] = {str: "", dict: {}, list: [], int: 0, float: 0, bool: False}


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The deployed state, with dummies in plain text for secrets."""

    stack: str
    commit: str
    at: str
    """When it was taken, UTC."""
    resources: Sequence[Resource]
    reachability: str
    """The page of who reaches what, as the deployed commit computes it."""

    @classmethod
    def at_path(cls, path: Path) -> "Snapshot":
        """Read a written snapshot; raises `Refused` for any other file."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            refuse(
                [
                    Problem(
                        what=f"{path} is no snapshot: {error}",
                        why="nothing is known then of what is deployed",
                        fix="fetch the published one, or leave SNAPSHOT empty to compare with a commit",
                        example="make fetch-snapshot STACK=prod; make preview-pull-request SNAPSHOT=",
                    )
                ]
            )
            raise


def path_of(stack: str) -> Path:
    """Path to which snapshots are written and fetched."""
    return PROJECT / ".vpai" / "snapshot" / stack / "snapshot.json"


def snapshot(stack: Stack) -> None:
    """Write the snapshot; raises `Refused` when another commit is deployed, or when a secret would leak."""
    steps = json.loads(stack.pulumi("preview", "--json"))["steps"]
    refuse(_undeployed(stack.name, [step for step in steps if step["op"] != "same"]))
    deployed: list[Resource] = json.loads(stack.pulumi("stack", "export", "--show-secrets"))["deployment"]["resources"]
    with tempfile.TemporaryDirectory() as directory:
        program = EphemeralStack(PROJECT, Path(directory), stack.name, _configured(stack.name))
        taken = Snapshot(
            stack=stack.name,
            commit=output(["git", "rev-parse", "HEAD"]).strip(),
            at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            resources=[_without_code(resource) for resource in converge(program, [emptied(resource) for resource in deployed])],
            reachability=program.reachability,
        )
    found = [*_others(deployed, taken.resources), *leaks(deployed, _true_values(stack, deployed), taken.resources)]
    refuse(found)
    path = path_of(stack.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(taken), indent=1, sort_keys=True))
    leaves = sum(1 for resource in deployed for _ in _secret_leaves(resource))
    print(f"{path.relative_to(PROJECT)}: {len(taken.resources)} resources, {leaves} secret values exchanged, none told")


def publish(stack: str, remote: str) -> None:
    """Publish the written snapshot for `fetch`; raises `Refused` when there is none."""
    if not path_of(stack).exists():
        refuse(
            [
                Problem(
                    what=f"there is no snapshot of {stack} here",
                    why="there is nothing to publish",
                    fix="write one first, where the stack can be read",
                    example=f"make snapshot STACK={stack} && make publish-snapshot STACK={stack}",
                )
            ]
        )
    git_refs.put(path_of(stack).parent, _ref(stack), remote)


def fetch(stack: str, remote: str) -> None:
    """Fetch the published snapshot, if there is one, and say so."""
    path = path_of(stack)
    found = git_refs.take(_ref(stack), path.parent, remote)
    print(
        f"{path.relative_to(PROJECT)}: {Snapshot.at_path(path).commit[:12]}" if found else f"no snapshot of {stack} is published"
    )


def emptied(resource: Resource) -> Resource:
    """`resource` with secrets replaced by what its type needs; values computed from them are left to the program."""
    kind = str(resource["type"])
    if kind == "pulumi:pulumi:Stack":
        return {**resource, "outputs": {}}
    inputs, outputs = _without_secrets(resource.get("inputs", {})), _without_secrets(resource.get("outputs", {}))
    # No resource takes a host's output as input.
    outputs = {**outputs, **{key: "" for key in _PRINTED if outputs.get(key)}}
    if kind.startswith(("random:", "pulumi-python:dynamic/hetzner:HostKey")):
        outputs |= invented(kind, str(resource["urn"]), inputs)
    return {**resource, "inputs": inputs, "outputs": outputs}


def _without_code(resource: Resource) -> Resource:
    """Without the pickled provider, which dynamic resources keep as a secret; a preview uses the program's own."""
    kept = {key: {name: value for name, value in resource.get(key, {}).items() if name != _CODE} for key in ("inputs", "outputs")}
    return {**resource, **kept}


def leaks(deployed: Iterable[Resource], true_values: Mapping[str, str], published: Iterable[Resource]) -> Iterator[Problem]:
    """A problem for each secret of `deployed`, or hash of one, that occurs in `published`."""
    deployed, published = list(deployed), list(published)
    text = json.dumps(published, ensure_ascii=False)
    for name, value in true_values.items():
        if len(value) >= _SHORTEST:
            yield from (_leak(name, form) for form, shape in _forms(value) if shape in text)
    before = {resource["urn"]: resource for resource in deployed}
    for resource in published:
        old = dict(_secret_leaves(before[resource["urn"]]))
        for where, value in _secret_leaves(resource):
            if value == old.get(where) and value not in map(json.dumps, _EMPTY.values()):
                yield _leak(f"{resource_name(resource)} {where}", "unchanged")
    for resource in deployed:
        for where, value in _secret_leaves(resource):
            hashes = [*_BCRYPT.findall(value), *_HEXADECIMAL.findall(value), hashlib.sha256(value.encode()).hexdigest()]
            yield from (_leak(f"{resource_name(resource)} {where}", "a hash") for digest in hashes if digest in text)
        version = resource.get("inputs", {}).get("version", "")
        if _HEXADECIMAL.fullmatch(str(version)) and str(version) in text:
            yield _leak(f"{resource_name(resource)} version", "keyed hash")


def _forms(value: str) -> Iterator[tuple[str, str]]:
    raw = value.encode()
    yield "plain", value
    yield "as JSON in JSON", json.dumps(json.dumps(value)[1:-1])[1:-1]
    for encoded in _inside_base64(raw):
        yield "base64", encoded
        yield "base64 for URLs", encoded.replace("+", "-").replace("/", "_")
    yield "hexadecimal", raw.hex()
    yield "in a URL", quote(value, safe="")
    for name in _DIGESTS:
        digest = hashlib.new(name, raw)
        yield name, digest.hexdigest()
        yield f"{name}, base64", base64.b64encode(digest.digest()).decode().rstrip("=")


def _inside_base64(raw: bytes) -> Iterator[str]:
    """The base64 texts that anything containing `raw` would show, for each of the three alignments."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        # Characters that share bits with the neighbouring bytes are left out.
        yield encoded[(0, 2, 3)[shift] : -1 if (len(raw) + shift) % 3 else None]


def _true_values(stack: Stack, deployed: Iterable[Resource]) -> Mapping[str, str]:
    """Every secret value, by a name for it."""
    found = {**stack.inputs.external, "hcloud_token": stack.inputs.cloud_token, **stack.outputs.get("secrets", {})}
    for resource in deployed:
        if str(resource["type"]).startswith(("random:", "pulumi-python:dynamic/hetzner:")):
            for where, value in _secret_leaves(resource):
                plain = json.loads(value)
                if isinstance(plain, str):
                    found[f"{resource_name(resource)} {where}"] = plain
    return {name: str(value) for name, value in found.items()}


def _secret_leaves(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Path and JSON text of each secret in a resource."""
    if isinstance(value, Mapping):
        if SECRET_KEY in value:
            yield where, str(value["plaintext"])
            return
        for key, item in value.items():
            yield from _secret_leaves(item, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _secret_leaves(item, f"{where}[{number}]")


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        if SECRET_KEY in value:
            return secret(_EMPTY.get(type(json.loads(value["plaintext"])), ""))
        return {key: _without_secrets(item) for key, item in value.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def _configured(stack: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return found


def _undeployed(stack: str, steps: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    if steps:
        names = ", ".join(f"{step['op']} {step['urn'].rpartition('::')[2]}" for step in steps[:5])
        yield Problem(
            what=f"this checkout would change {stack}: {names}{' ...' if len(steps) > 5 else ''}",
            why="the snapshot would show as deployed what is not",
            fix="deploy it first, or take the snapshot from the commit that is deployed",
            example=f"make up STACK={stack}; make snapshot STACK={stack}",
        )


def _others(deployed: Iterable[Resource], published: Iterable[Resource]) -> Iterator[Problem]:
    names = [{resource["urn"] for resource in resources} for resources in (deployed, published)]
    for urn in sorted(names[0] ^ names[1]):
        yield Problem(
            what=f"{urn.rpartition('::')[2]} stands on one side only",
            why="from dummies the program makes other resources than from the real values",
            fix="look at which secret or setting decides whether it is there",
        )


def _leak(name: str, form: str) -> Problem:
    return Problem(
        what=f"the snapshot would tell {name} ({form})",
        why="it is published, and whoever reads it could use or confirm the value",
        fix="see where the program writes it; nothing has been published",
    )


def _ref(stack: str) -> str:
    return f"refs/snapshots/{stack}"
