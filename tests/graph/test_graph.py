"""What the program registers for the whole catalogue, by invariant."""

import pytest

from stacks.inputs import KINDS
from tests.fleets import DUMMY_SECRETS, inputs
from tests.graph.program import Graph, build

CONTAINER, NETWORK, COMMAND = "container:Container", "network:Network", "local:Command"


@pytest.fixture(scope="module", params=sorted(set(KINDS) - {"lab"}))
def graph(request: pytest.FixtureRequest) -> Graph:
    return build(inputs(request.param))


def test_every_service_has_image_container_gate_and_configuration(graph: Graph) -> None:
    fleet = inputs().fleet
    names = {service.name for _, service in fleet.services()}
    assert {resource.name for resource in graph.of_type(CONTAINER)} == names
    assert {f"{name}-healthy" for name in names} <= {resource.name for resource in graph.of_type(COMMAND)}
    with_files = {f"{service.name}-configuration" for _, service in fleet.services() if service.configuration}
    assert {resource.name for resource in graph.resources if resource.name.endswith("-configuration")} == with_files


def test_the_five_networks_stand_with_the_specifications_ranges(graph: Graph) -> None:
    found = {
        resource.name.partition("-")[2]: (resource.inputs["ipamConfigs"][0]["subnet"], resource.inputs["internal"])
        for resource in graph.of_type(NETWORK)
    }
    assert found == {
        "frontend": ("172.20.1.0/24", False),
        "backend": ("172.20.2.0/24", True),
        "monitoring": ("172.20.3.0/24", True),
        "egress": ("172.20.4.0/24", False),
        "sandbox": ("172.20.5.0/24", True),
    }


def test_containers_are_confined(graph: Graph) -> None:
    for container in graph.of_type(CONTAINER):
        values = container.inputs
        assert values["capabilities"]["drops"] == ["ALL"], container.name
        assert values["securityOpts"] == ["no-new-privileges:true"], container.name
        assert values["memory"] == values["memorySwap"] > 0, container.name
        assert float(values["cpus"]) > 0, container.name
        assert values["logDriver"] == "json-file", container.name
        assert values["logOpts"] == {"max-size": "10m", "max-file": "3"}, container.name
        assert not values.get("privileged"), container.name


def test_traps_of_the_docker_provider_are_wrapped(graph: Graph) -> None:
    for container in graph.of_type(CONTAINER):
        assert {"healthcheck", "tmpfs", "cpus"} <= set(container.replace_on_changes), container.name
        assert container.inputs["wait"] is False, container.name
        owns = bool(container.inputs.get("ports")) or any(
            not volume.get("readOnly") for volume in container.inputs.get("volumes", [])
        )
        assert container.delete_before_replace == owns, container.name
        assert ("name" in container.inputs) == owns, container.name


def test_no_secret_reaches_a_command_line_or_a_container(graph: Graph) -> None:
    for command in graph.of_type(COMMAND):
        assert not command.secret_inputs & {"create", "delete", "environment", "triggers"}, command.name
    for container in graph.of_type(CONTAINER):
        assert not container.secret_inputs, f"{container.name} shows {container.secret_inputs} in docker inspect"
        text = str(container.inputs)
        for name, value in DUMMY_SECRETS.items():
            assert value not in text, f"{name} in {container.name}"


def test_data_directories_are_protected_in_prod_alone() -> None:
    for stack, protected in (("prod", True), ("preprod", False)):
        data = [resource for resource in build(inputs(stack)).of_type(COMMAND) if resource.name.endswith("-data")]
        assert data
        assert all(resource.protect == protected for resource in data), stack


def test_a_service_waits_for_the_tasks_of_what_it_needs(graph: Graph) -> None:
    litellm = next(resource for resource in graph.of_type(CONTAINER) if resource.name == "litellm")
    assert {"postgresql-healthy", "redis-healthy", "database-litellm"} <= set(litellm.dependencies)


def test_preprod_has_halved_limits() -> None:
    memory = {
        stack: {c.name: c.inputs["memory"] for c in build(inputs(stack)).of_type(CONTAINER)} for stack in ("prod", "preprod")
    }
    assert memory["preprod"] == {name: value // 2 for name, value in memory["prod"].items()}
