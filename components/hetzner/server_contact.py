"""The first contact with a rented server as a resource: address noted, SSH answers with the pinned key, cloud-init is done.

No other resource has an address among its inputs: all resources on the server wait for this one and reach the server by the
alias that it writes. It is dynamic because the runner waits and writes. The module's path is part of the state: moving the
module breaks `destroy`.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from components import ssh
from components.difference import difference
from components.ssh.host_script import NO_ANSWER, SshHost

DEADLINE_SECONDS = 300
"""Hetzner's servers answer within a minute; cloud-init may wait for the distribution's mirrors."""
_SHORTEST_TRY_SECONDS = 3
"""Longer than ssh_proxy_command.py waits for a banner, so that the last try, too, ends with the reason."""


class ServerContactProvider(ResourceProvider):
    """Notes the address, waits for the server, forgets the address at the end."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        _meet(props)
        return CreateResult(id_=props["alias"], outs=props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return difference(_olds, _news, ("alias", "server", "address", "host_key"), replaces=("alias",))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        _meet(_news)
        return UpdateResult(outs=_news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        ssh.forget_server(Path(_props["config"]).parent, _props["alias"])
        ssh.hang_up(_props["config"], _props["alias"])


class ServerContact(Resource, module="hetzner-contact", name="ServerContact"):
    """The contact with `server` (its id) at `address`, which shows `host_key`, as the host `host`."""

    def __init__(
        self,
        name: str,
        *,
        host: SshHost,
        server: pulumi.Input[str],
        address: pulumi.Input[str],
        host_key: pulumi.Input[str],
        seconds: int = DEADLINE_SECONDS,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            ServerContactProvider(),
            name,
            {
                "alias": host.alias,
                "config": host.config,
                "server": server,
                "address": address,
                "host_key": host_key,
                "seconds": seconds,
            },
            opts,
        )


def _meet(props: Mapping[str, Any]) -> None:
    """Return once the server answers and cloud-init is done; raise RuntimeError with the next step after the deadline."""
    ssh.note_server(Path(props["config"]).parent, props["alias"], props["address"], props["host_key"])
    host = SshHost(alias=props["alias"], config=props["config"], new=True)
    deadline = time.monotonic() + int(props["seconds"])
    said = ""
    while (left := deadline - time.monotonic()) > 0:
        # The provider's first user is tried first: a server that already has the baseline refuses root at once.
        for machine in (host.as_handed_over, host):
            done = machine.run("first_boot.sh", [], seconds=max(left, _SHORTEST_TRY_SECONDS))
            if done.returncode == 0:
                return
            said = done.stderr.strip() or said
            if done.returncode != NO_ANSWER:
                raise RuntimeError(_failed(props, f"cloud-init failed on it: {said}"))
            if "host key verification failed" in said.lower():
                raise RuntimeError(_failed(props, f"it shows another host key than the one that it was given: {said}"))
        time.sleep(1)
    last = said.partition("\n")[0] or "nothing"
    raise RuntimeError(_failed(props, f"SSH has not answered within {int(props['seconds'])} s; the last try: {last}"))


def _failed(props: Mapping[str, Any], what: str) -> str:
    alias = props["alias"]
    return (
        f"{alias} ({props['address']}): {what}.\n"
        "Why: nothing can be deployed on a server that nobody can log in to.\n"
        "How to fix it: `pulumi up` again waits once more; the server's console at Hetzner shows how far it came; a new one is "
        f"made with `pulumi up --replace 'urn:...::hcloud:index/server:Server::{alias}'` (pulumi stack --show-urns shows it)."
    )
