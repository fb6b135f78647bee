"""A member of the mesh as a resource. The hub makes a join key, the member uses it, and no file or state keeps it.

The resource is dynamic, so that `refresh` sees a member that expired or was removed, and the next `up` lets it join again. The
module's path is part of the state: moving the module breaks `destroy`.
"""

import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from components import ssh
from components.difference import difference
from components.ssh.host_script import SshHost, text

RUNNER = ""
"""The alias of the runner, the machine on which the program runs."""

_HUB, _MEMBER = "mesh_hub.sh", "mesh_member.sh"
_SECONDS = 120
_NO_HEADSCALE = "no Headscale runs here"
"""What mesh_hub.sh prints where there is no Headscale."""


class MeshMemberProvider(ResourceProvider):
    """Joins the mesh, reads the membership, leaves."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        _join(props)
        return CreateResult(id_=props["name"], outs=props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return difference(_olds, _news, ("alias", "name", "login_server", "tag", "flags"), replaces=("alias",))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        _join(_news)
        return UpdateResult(outs=_news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        if _props.get("disposable"):
            # The machine is deleted too, or is gone already: only the hub has to forget it.
            _on_hub(_props, ["forget", _props["service"], _props["parts"], _props["name"]])
            return
        # Past the mesh where possible: at a stack's end its members leave at the same time, the runner among them.
        props = {**_props, **{host: _public_way(_props, host) for host in ("hub", "alias")}}
        # Another node key means that this name now belongs to another member.
        if _known(props) == _on_member(props, ["identity"]).strip():
            _on_member(props, ["leave"])
        _on_hub(props, ["forget", props["service"], props["parts"], props["name"]])
        for alias in {_props["hub"], _props["alias"]} - {RUNNER}:
            # The next command must not wait for a connection through the closed tunnel.
            subprocess.run(["ssh", "-F", props["config"], "-O", "exit", alias], capture_output=True)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        try:
            known = _known(props)
        except RuntimeError as error:
            if _NO_HEADSCALE not in str(error):
                raise
            # The hub does not answer; but the refresh must go on, for it is what finds that Headscale's container is gone.
            return ReadResult(id_, props)
        return ReadResult(None, {}) if known in ("absent", "expired") else ReadResult(id_, props)


class MeshMember(Resource, module="mesh", name="MeshMember"):
    """`name` in the mesh of `hub`, with `tag`. The member is the host `alias`, or the machine that runs the program (`RUNNER`).

    A `disposable` member is ephemeral in Headscale, and is not contacted when it is removed.
    """

    def __init__(
        self,
        name: str,
        *,
        alias: str,
        hub: SshHost,
        service: str,
        parts: str,
        login_server: str,
        member_name: str,
        tag: str,
        flags: Sequence[str],
        disposable: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            MeshMemberProvider(),
            name,
            {
                "alias": alias,
                "config": hub.config,
                "hub": hub.alias,
                "service": service,
                "parts": parts,
                "login_server": login_server,
                "name": member_name,
                "tag": tag,
                "flags": list(flags),
                "disposable": disposable,
            },
            opts,
        )


def _join(props: Mapping[str, Any]) -> None:
    hub, name = props["service"], props["name"]
    known = _known(props)
    if known == "expired":
        _on_hub(props, ["renew", hub, name])
    elif known != _on_member(props, ["identity"]).strip():
        # Headscale would give the new member another name if this one is taken, and MagicDNS would lead to the old member.
        _on_hub(props, ["forget", hub, props["parts"], name])
        key = _on_hub(props, ["key", hub, props["tag"], *(["--ephemeral"] if props.get("disposable") else [])])
        _on_member(props, ["join", props["login_server"], name, *props["flags"]], key)
    _on_hub(props, ["admitted", hub, props["parts"], name, props["tag"]])


def _known(props: Mapping[str, Any]) -> str:
    """The node key under which the hub knows the member, "expired" or "absent"."""
    return _on_hub(props, ["member", props["service"], props["name"]]).strip()


def _public_way(props: Mapping[str, Any], host: str) -> str:
    """The alias that goes past the mesh, if SSH is open to the public there; else `props[host]`."""
    alias: str = props[host]
    public = ssh.public_alias(alias)
    if alias == RUNNER or subprocess.run(ssh.command(props["config"], public, ("true",)), capture_output=True).returncode:
        return alias
    return public


def _on_hub(props: Mapping[str, Any], arguments: Sequence[str]) -> str:
    done = SshHost(alias=props["hub"], config=props["config"]).run(_HUB, arguments, seconds=_SECONDS)
    return _output(f"{props['hub']} (the hub)", _HUB, arguments[0], done)


def _on_member(props: Mapping[str, Any], arguments: Sequence[str], key: str = "") -> str:
    if props["alias"] == RUNNER:
        done = subprocess.run(
            ["bash", "-s", "--", *arguments], input=text(_MEMBER) + key, capture_output=True, text=True, timeout=_SECONDS
        )
    else:
        done = SshHost(alias=props["alias"], config=props["config"]).run(_MEMBER, arguments, key, seconds=_SECONDS)
    return _output(props["alias"] or "this machine", _MEMBER, arguments[0], done)


def _output(where: str, script: str, action: str, done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        raise RuntimeError(f"{where}: {script} {action} failed:\n{done.stderr.strip()}")
    return done.stdout
