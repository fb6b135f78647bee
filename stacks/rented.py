"""The servers that a stack rents: what is asked of Hetzner before `up` touches anything, and where those that stand are."""

from collections.abc import Iterator
from pathlib import Path

from hcloud import APIException, Client

from components import ssh
from components.docker_host import LABEL_STACK
from components.hetzner import preflight
from components.hetzner.host_key import HOST_KEY_LABEL, labelled_host_key
from model.cloud import EXPIRES, NEVER
from model.problem import Problem
from stacks.inputs import Inputs


def client(inputs: Inputs) -> Client:
    """The project of the stack's token."""
    return Client(token=inputs.cloud_token, application_name="vpai")


def note(inputs: Inputs, directory: Path) -> None:
    """Note address and host key of every server that stands: in a clone that has not made them the files are missing."""
    try:
        servers = client(inputs).servers.get_all(label_selector=f"{LABEL_STACK}={inputs.stack}")
    except APIException:
        return  # `problems` says it
    wanted = {placement.host.name for placement in inputs.fleet.placements if placement.host.rented}
    for server in servers:
        label, net = (server.labels or {}).get(HOST_KEY_LABEL), server.public_net
        if server.name in wanted and label and net and net.ipv4:
            ssh.note_server(directory, str(server.name), str(net.ipv4.ip), labelled_host_key(label))


def problems(inputs: Inputs) -> Iterator[Problem]:
    """A type that cannot be had, a key that is there under another name, a token that nobody knows, too many stacks."""
    servers = tuple(placement.host.rented for placement in inputs.fleet.placements if placement.host.rented)
    if not servers:
        return
    yield from preflight.problems(client(inputs), servers, key_name=inputs.key_name, public_key=inputs.deploy_key)
    if inputs.settings.expires:
        yield from _too_many(inputs)


def _too_many(inputs: Inputs) -> Iterator[Problem]:
    try:
        living = client(inputs).servers.get_all(label_selector=f"{EXPIRES},{EXPIRES}!={NEVER}")
    except APIException:
        return
    stacks = {(server.labels or {}).get(LABEL_STACK, str(server.name)) for server in living}
    most = inputs.settings.most_ephemeral
    if inputs.stack not in stacks and len(stacks) >= most:
        yield Problem(
            what=f"{len(stacks)} stacks that expire have a server already ({', '.join(sorted(stacks))}), and {most} may",
            why="each of them is paid for by the hour, and one that is forgotten for a month",
            mend="destroy one that is not needed, or raise vpai:mostEphemeral",
            example=f"make reap; pulumi destroy --remove -s {min(stacks, default='pr-1')}",
        )
