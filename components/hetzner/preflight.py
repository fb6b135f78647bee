"""Checks of servers and keys against Hetzner's API, before anything is changed."""

from collections.abc import Iterator, Sequence

from hcloud import Client

from components.hetzner.api import NO_ANSWER
from components.hetzner.project import bare
from model.cloud import CloudServer, Offer, unavailable
from model.problem import Problem


def problems(client: Client, servers: Sequence[CloudServer], *, key_name: str, public_key: str) -> Iterator[Problem]:
    """Problems: a server type that is not available, a key that exists under another name (`public_key` is empty where the key
    is still to be made), an invalid token.
    """
    try:
        existing_names = {server.name for server in client.servers.get_all()}
        new = tuple(server for server in servers if server.name not in existing_names)
        yield from unavailable(new, offers(client))
        for key in client.ssh_keys.get_all():
            if public_key and bare(str(key.public_key)) == bare(public_key) and key.name != key_name:
                yield _known_key(str(key.name), int(key.id or 0), key_name)
    except NO_ANSWER as refused:
        yield Problem(
            what=f"Hetzner's cloud does not answer: {refused}",
            why="servers, keys and firewalls are made there",
            fix="try again where it is out of order; else check the token of the project: one with read and write access",
            example="pulumi config set --secret vpai:hcloud_token",
        )


def offers(client: Client) -> tuple[Offer, ...]:
    """The server types, and where each is available now."""
    return tuple(
        Offer(
            name=str(kind.name),
            architecture=str(kind.architecture),
            memory_mib=int((kind.memory or 0) * 1024),
            locations=frozenset(str(place.location.name) for place in places if place.available),
            retired=bool(places) and all(place.deprecation for place in places),
        )
        for kind in client.server_types.get_all()
        for places in [kind.locations or []]
    )


def _known_key(name: str, identity: int, wanted: str) -> Problem:
    return Problem(
        what=f"the deploy key is in the project already, under the name {name!r}",
        why="Hetzner takes a public key once, and refuses it under a second name",
        fix="delete it: servers keep the keys that they were made with; where another program makes servers with it, let the "
        f"first line of vpai:authorizedKeys, which becomes {wanted}, be another key",
        example=f"hcloud ssh-key delete {identity}",
    )
