"""The real OpenClaw: n8n asks an agent for work, the agent's sandbox does it, and the result returns to n8n."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from services import openclaw, sandboxes
from tests.lab.deployment import Deployment
from tests.lab.test_n8n import Bench
from tests.support.fleets import inputs
from tests.support.waiting import until

PROJECT = inputs("lab").settings.project
LISTED = '{{.ID}} {{.Image}} {{.Networks}} {{.Label "openclaw.sessionKey"}}'


def docker(stack: Deployment, *words: str) -> str:
    """Output and errors of Docker's client in OpenClaw's container, which talks to the sandboxes' Docker through docker-proxy."""
    return stack.on_host("docker", "exec", stack.container("openclaw"), "docker", *words, check=False)


def of_agents(stack: Deployment) -> dict[str, tuple[str, str]]:
    """The image and the network of each agent's sandbox."""
    words = [line.split() for line in docker(stack, "ps", "--all", "--format", LISTED).splitlines()]
    return {scope.removeprefix("agent:"): (image, network) for _, image, network, scope in words}


@pytest.fixture
def bench(deployed: Deployment) -> Iterator[Bench]:
    yield Bench(deployed)
    remove(deployed)


def remove(stack: Deployment) -> None:
    found = docker(stack, "ps", "--all", "--quiet").split()
    if found:
        docker(stack, "rm", "--force", *found)


def asked(bench: Bench, agent: str, *calls: tuple[str, dict[str, Any]]) -> str:
    """The result of `agent` for n8n, as sent to Telegram; the lab's model makes `calls`."""
    message = "\n".join(f"lab:call {tool} {json.dumps(arguments)}" for tool, arguments in calls)
    before = len(bench.messages())
    status, said = bench.call("ask-agent", {"agent": agent, "message": f"{time.time_ns()}\n{message}"})
    assert status == 202 and said["run"], said
    reported: list[str] = []

    def came() -> bool:
        reported[:] = [text for text in bench.messages()[before:] if text.startswith(f"{agent}: ")]
        return bool(reported)

    until(came, 90, every=1.0)
    return reported[-1]


def test_what_n8n_asks_is_done_in_the_agents_own_sandbox_and_comes_back(deployed: Deployment, bench: Bench) -> None:
    note = f"made {time.time_ns()}"
    said = asked(
        bench,
        "builder",
        ("write", {"path": "note.txt", "content": note}),
        ("exec", {"command": "cat note.txt; id -u; env | grep -c LITELLM; hostname"}),
        ("read", {"path": "note.txt"}),
    )
    assert said.count(note) >= 2 and "1000" in said, said
    assert of_agents(deployed)["builder"] == (sandboxes.IMAGE, f"{PROJECT}_sandbox")
    assert deployed.on_host("cat", f"{openclaw.workspace(PROJECT)}/builder/note.txt") == note


def test_each_agent_gets_a_sandbox_on_its_network_though_there_are_more_agents_than_sandboxes(
    deployed: Deployment, bench: Bench
) -> None:
    most = openclaw.sandbox().at_most
    agents = openclaw.AGENTS[1:]
    assert len(agents) > most
    # The lab's model makes calls in both API formats, since the models behind LiteLLM use one or the other.
    assert {agent.model.startswith("claude") for agent in agents} == {True, False}
    for agent in agents:
        said = asked(bench, agent.name, ("exec", {"command": "echo from $(id -u)"}))
        assert "from 1000" in said, said
        containers = of_agents(deployed)
        assert containers[agent.name] == (sandboxes.IMAGE, f"{PROJECT}_{agent.network}")
        assert len(containers) <= most


def test_the_explorer_has_its_search_in_the_sandbox(bench: Bench) -> None:
    said = asked(bench, "explorer", ("no_such_tool", {}))
    assert "web_search" in said and "web_fetch" in said and "write" in said, said


def test_the_gateway_holds_what_it_takes(deployed: Deployment) -> None:
    shown = deployed.on_host(
        "docker", "inspect", "--format", "{{.State.Health.Status}} {{.RestartCount}}", deployed.container("openclaw")
    )
    assert shown == "healthy 0"
