"""SSH and firewall of a host as a resource that cannot lock its operator out.

The host reverts every change by itself unless the runner confirms it over a new connection to the new SSH endpoint. SSH stays
open to the public until the runner has logged in over the mesh. The resource is dynamic because the runner decides and
confirms. The module's path is part of the state: moving the module breaks `destroy`.
"""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from components import archive, ssh
from components.difference import difference
from components.host.access import Access
from components.mesh import mesh_status
from components.ssh.host_script import NO_ANSWER, SshHost
from model.host import SSH_PORT
from model.network import MESH

_UFW_RULES = "/etc/vpai/ufw.rules"
_SCRIPT = "access.sh"
_SECONDS = 90
_LOGIN_SECONDS = 10
_JOIN_SECONDS = 20
_WAITS = "a change waits for its confirmation"
"""What `access.sh last` prints while a change may still be confirmed or reverted."""
_NOT_TAKEN_BACK = "could NOT be taken back"
"""What vpai-revert prints about a change that it could not revert completely."""


class HostAccessProvider(ResourceProvider):
    """Puts a host's SSH and firewall in force, and opens SSH to the public again when the stack is destroyed."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        _converge(props)
        return CreateResult(id_=props["alias"], outs=props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        keys = ("alias", "files", "rules", "public_rules", "mesh_only")
        return difference(_olds, _news, keys, replaces=("alias", "mesh_only"))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        _converge(_news)
        return UpdateResult(outs=_news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        # The mesh is removed next: a host that only its members can reach would be lost.
        if _props["mesh_only"]:
            _change(_props, in_mesh=False)


class HostAccess(Resource, module="access", name="HostAccess"):
    """`access` in force on `host`. SSH is open to the public until the runner logs in over the mesh.

    With `mesh_only` the runner must log in over the mesh now: otherwise the update fails and says how to join.
    """

    def __init__(
        self,
        name: str,
        *,
        host: SshHost,
        access: Access,
        mesh_only: bool,
        revert_seconds: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        rules, public_rules = (list(access.ufw_rules(ssh_public=public)) for public in (False, True))
        super().__init__(
            HostAccessProvider(),
            name,
            {
                "alias": host.alias,
                "config": host.config,
                "files": {
                    file.path: {"content": file.content, "mode": f"{file.mode:04o}"}
                    for file in access.files(ssh_public=False)
                    if file.path != _UFW_RULES
                },
                "rules": rules,
                "public_rules": public_rules,
                "has_mesh": access.firewall.has_mesh,
                "mesh_only": mesh_only,
                "revert_seconds": revert_seconds,
            },
            opts,
        )


def _converge(props: Mapping[str, Any]) -> None:
    in_mesh = props["has_mesh"] and _logs_in_over_mesh(props)
    # A member that joined a moment ago is not yet known to all other members.
    deadline = time.monotonic() + _JOIN_SECONDS
    while props["mesh_only"] and not in_mesh and time.monotonic() < deadline:
        time.sleep(1)
        in_mesh = _logs_in_over_mesh(props)
    if props["mesh_only"] and not in_mesh:
        alias = props["alias"]
        raise RuntimeError(
            f"{alias}: this machine cannot log in over the mesh, so SSH stays open to the public (keys only).\n"
            f"tailscale here says: {mesh_status.trouble(alias)}.\n"
            "Why: closing it now would lock you out.\n"
            "How to fix it: join this machine to the mesh (vpai:runner and `pulumi up --refresh` do it; docs/runbooks/mesh.md), "
            f"then run `pulumi up` again. Test it with: ssh -F {props['config']} {ssh.mesh_alias(alias)} true"
        )
    _change(props, in_mesh=in_mesh)


def _change(props: Mapping[str, Any], *, in_mesh: bool) -> None:
    alias, seconds = props["alias"], int(props["revert_seconds"])
    host = SshHost(alias=alias, config=props["config"])
    start = time.monotonic()
    done = _run(host, ["apply", str(seconds), str(SSH_PORT)], _payload(props, in_mesh), seconds=_SECONDS)
    if done.returncode == NO_ANSWER:
        raise RuntimeError(_gone_back(host, alias, "the connection broke during the change", done.stderr.strip(), start, seconds))
    if done.returncode:
        became = "are half changed" if _NOT_TAKEN_BACK in done.stderr else "stay as they were"
        raise RuntimeError(f"{alias}: SSH and firewall {became}:\n{done.stderr.strip()}")
    token = done.stdout.strip().splitlines()[-1]
    if token == "unchanged":  # noqa: S105 - not a secret
        return
    start = time.monotonic()
    way = ssh.mesh_alias(alias) if in_mesh else ssh.public_alias(alias)
    said = ""
    while time.monotonic() - start < seconds:
        confirmed = replace(host, alias=way, new=True).run(_SCRIPT, ["confirm", token], seconds=_LOGIN_SECONDS)
        if not confirmed.returncode:
            _forget_shared_connection(host)
            return
        said = confirmed.stderr.strip() or said
        if "already gone back" in said:
            break
        time.sleep(0.5)
    what = f"after the change nobody could log in as {way} (port {SSH_PORT})"
    raise RuntimeError(_gone_back(host, way, what, said, start, seconds))


def _gone_back(host: SshHost, way: str, what: str, said: str, start: float, seconds: int) -> str:
    """The error's text, once the host answers again and no change waits for its confirmation."""
    deadline = time.monotonic() + seconds + 60
    answer = None
    while time.monotonic() < deadline:
        answer = _run(replace(host, new=True), ["last"], seconds=_LOGIN_SECONDS)
        if not answer.returncode and answer.stdout.strip() != _WAITS:
            break
        time.sleep(0.5)
    back = answer is not None and not answer.returncode
    words = answer.stdout.strip() if answer and back else ""
    taken = "and the host has NOT taken all of it back yet" if _NOT_TAKEN_BACK in words else "so the host took it back"
    after = f"SSH answers again after {time.monotonic() - start:.0f} s" if back else "SSH does NOT answer yet"
    return (
        f"{host.alias}: {what}, {taken}; {after}.\n"
        f"ssh said: {said or 'nothing'}\n"
        f"The host says: {words or ('no change was begun' if back else 'nothing yet')}\n"
        "Why: a rule set that closes the port; a network that broke meanwhile; or the provider's own firewall in front of the "
        f"host (IONOS lets only a few ports through: open {SSH_PORT}/tcp, 41641/udp and 3478/udp in its panel).\n"
        f"How to fix it: docs/runbooks/locked-out.md, then `pulumi up` again. Test with: ssh -F {host.config} {way} true"
    )


def _run(host: SshHost, arguments: Sequence[str], payload: str = "", *, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run the script on the host, or as the provider's first user: a first change that was reverted leads back to that user."""
    done = host.run(_SCRIPT, arguments, payload, seconds=seconds)
    if done.returncode != NO_ANSWER:
        return done
    first = host.as_handed_over.run(_SCRIPT, arguments, payload, seconds=seconds)
    return done if first.returncode == NO_ANSWER else first


def _logs_in_over_mesh(props: Mapping[str, Any]) -> bool:
    """Whether this machine can log in over the tunnel. It compares addresses: the name could resolve to the public one."""
    command = ssh.command(props["config"], ssh.mesh_alias(props["alias"]), ("printenv", "SSH_CONNECTION"), new=True)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LOGIN_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    words = done.stdout.split()
    return done.returncode == 0 and len(words) == 4 and IPv4Address(words[2]) in MESH


def _forget_shared_connection(host: SshHost) -> None:
    """Close the shared connection gently and open a new one, now: commands that start together would each try to open it."""
    stop: Sequence[str] = ("ssh", "-F", host.config, "-O", "stop", host.alias)
    for command in (stop, ssh.command(host.config, host.alias, ("true",))):
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)


def _payload(props: Mapping[str, Any], in_mesh: bool) -> str:
    rules = props["rules"] if in_mesh else props["public_rules"]
    files = {**props["files"], _UFW_RULES: {"content": "".join(f"{rule}\n" for rule in rules), "mode": "0644"}}
    return archive.packed(files)
