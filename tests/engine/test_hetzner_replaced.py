"""Replacing a server replaces everything on it in one `up`; with the real engine, each server is an sshd."""

from pathlib import Path

from tests.engine.rented import Rented
from tests.support.hetzner import TOKEN, running
from tests.support.sshd import ADDRESSES, PORT, USER, Sshds, agent


def test_everything_on_a_server_moves_with_it_in_one_up(tmp_path: Path, toolchain: Path) -> None:
    with (
        agent(tmp_path) as (key, environment),
        Sshds(tmp_path) as machines,
        running(0.01, ADDRESSES, machines) as running_cloud,
    ):
        stack = Rented(tmp_path, toolchain, running_cloud)
        stack.environment |= environment
        stack.want(key=key, contact={"user": USER, "port": PORT, "seconds": 20, "stands": ["config", "container"]})
        stack.up()
        old = stack.server()
        assert {"make config", "make container"} <= given(machines, old.id)

        stack.want(server={"location": "nbg1"})
        shown = {step["urn"].rpartition("::")[2] for step in stack.preview() if step["op"] == "replace"}
        assert shown >= {"app-01", "app-01-config", "app-01-container"}, "a preview tells what moves"
        stack.up()
        new = stack.server()
        assert (new.id != old.id, new.location.name) == (True, "nbg1")
        assert {"make config", "make container"} <= given(machines, new.id)
        gone = given(machines, old.id) | given(machines, new.id)
        assert not [command for command in gone if command.startswith("remove")], "what goes with its server is not taken away"
        stack.up("--refresh", "--expect-no-changes")

        stack.destroy()
        assert not [command for command in given(machines, new.id) if command.startswith("remove")]
        assert running_cloud.cloud.inventory(TOKEN) == {}


def given(machines: Sshds, number: int) -> set[str]:
    """The last word of each command that the server ran."""
    return {line.rpartition(" sh ")[2].strip("'\"") for line in machines.ran(number).splitlines()}
