"""What the program registers for the whole catalogue, by invariant."""

import pytest

from tests.graph.program import Graph, built
from tests.support.fleets import DUMMY_SECRETS, inputs

CONTAINER, NETWORK, COMMAND = "container:Container", "network:Network", "local:Command"


@pytest.fixture(scope="module", params=["preprod", "prod"])
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def graph(stack: str) -> Graph:
    return built(stack)


def test_every_service_has_image_container_gate_and_configuration(stack: str, graph: Graph) -> None:
    services = [(f"{placement.host.name}-{service.name}", service) for placement, service in inputs(stack).fleet.services()]
    names = {name for name, _ in services}
    assert {resource.name for resource in graph.of_type(CONTAINER)} == names
    assert {f"{name}-healthy" for name in names} <= {resource.name for resource in graph.of_type(COMMAND)}
    with_files = {f"{name}-configuration" for name, service in services if service.configuration}
    assert {resource.name for resource in graph.resources if resource.name.endswith("-configuration")} == with_files


def test_the_five_networks_stand_with_the_specifications_ranges(graph: Graph) -> None:
    found = {
        resource.name.partition("-")[2]: (resource.inputs["ipamConfigs"][0]["subnet"], resource.inputs["internal"])
        for resource in graph.of_type(NETWORK)
        if not resource.name.startswith(("seko-", "waza-"))
    }
    assert found == {
        "frontend": ("172.20.1.0/24", False),
        "backend": ("172.20.2.0/24", True),
        "monitoring": ("172.20.3.0/24", True),
        "egress": ("172.20.4.0/24", False),
        "sandbox": ("172.20.5.0/24", True),
    }


def test_only_who_has_a_link_asks_for_the_names_of_the_mesh() -> None:
    asks = {
        container.name: container.inputs["dns"] for container in built("prod").of_type(CONTAINER) if "dns" in container.inputs
    }
    # Not the hub's Caddy: without a certificate there is no mesh, and without the mesh no name of the authority.
    linked = ("seko-alloy", "seko-uptime-kuma", "waza-alloy", "waza-auto-fix")
    assert asks == {name: ["100.100.100.100"] for name in linked}


def test_containers_are_confined(stack: str, graph: Graph) -> None:
    services = {f"{placement.host.name}-{service.name}": service for placement, service in inputs(stack).fleet.services()}
    for container in graph.of_type(CONTAINER):
        values = container.inputs
        assert values["capabilities"]["drops"] == ["ALL"], container.name
        own_namespaces = services[container.name].user_namespaces
        unconfined = ["no-new-privileges:false", "seccomp=unconfined", "apparmor=unconfined"]
        assert values["securityOpts"] == (unconfined if own_namespaces else ["no-new-privileges:true"]), container.name
        assert [device["hostPath"] for device in values.get("devices", [])] == ["/dev/net/tun"] * own_namespaces, container.name
        assert [mount["target"] for mount in values.get("mounts", [])] == ["/host/proc", "/host/sys"] * own_namespaces
        assert values["memory"] == values["memorySwap"] > 0, container.name
        assert float(values["cpus"]) > 0, container.name
        assert values["logDriver"] == "json-file", container.name
        assert values["logOpts"] == {"max-size": "10m", "max-file": "3"}, container.name
        assert not values.get("privileged"), container.name


def test_what_a_service_sees_of_its_host_and_its_files_is_read_only(stack: str, graph: Graph) -> None:
    services = {f"{placement.host.name}-{service.name}": service for placement, service in inputs(stack).fleet.services()}
    writable = {
        (container.name, volume["containerPath"])
        for container in graph.of_type(CONTAINER)
        for volume in container.inputs.get("volumes", [])
        if not volume.get("readOnly")
    }
    assert writable == {
        (name, volume.path) for name, service in services.items() for volume in service.volumes if not volume.read_only
    }


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
        data = [resource for resource in built(stack).of_type(COMMAND) if resource.name.endswith("-data")]
        assert data
        assert all(resource.protect == protected for resource in data), stack


def test_a_service_waits_for_the_tasks_of_what_it_needs(graph: Graph) -> None:
    litellm = next(resource for resource in graph.of_type(CONTAINER) if resource.name.endswith("-litellm"))
    host = litellm.name.removesuffix("litellm")
    needed = {f"{host}{name}" for name in ("postgresql-healthy", "redis-healthy", "database-litellm")}
    assert needed <= set(litellm.dependencies)


def test_ssh_is_closed_to_the_public_after_everything_else_on_the_host() -> None:
    graph = built("prod")
    members = {resource.name for resource in graph.resources if resource.name.endswith("-in-mesh")}
    assert members == {"operator-in-mesh", "seko-in-mesh", "sese-in-mesh", "waza-in-mesh"}
    for placement in inputs("prod").fleet.placements:
        host = placement.host.name
        [closed] = [resource for resource in graph.resources if resource.name == f"{host}-mesh-only"]
        gates = {f"{host}-{service.name}-healthy" for service in placement.services}
        assert members | gates <= set(closed.dependencies), host


def test_nothing_of_a_host_that_is_switched_off_changes() -> None:
    everything = [resource for resource in built("prod", offline='["waza"]').resources if resource.name.startswith("waza-")]
    assert everything
    assert all(resource.ignore_changes == ("*",) for resource in everything)


def test_preprod_has_halved_limits_but_for_what_needs_more() -> None:
    least = {
        "grafana": 512,
        "alloy": 256,
        "webhook-gate": 64,
        "nocodb": 512,
        "openclaw": 1280,
        "sandboxes": 1056,
        "docker-proxy": 32,
        "sure-web": 384,
        "sure-worker": 256,
    }
    memory = {
        host: {c.name.removeprefix(host): c.inputs["memory"] for c in built(stack).of_type(CONTAINER) if c.name.startswith(host)}
        for host, stack in (("sese-", "prod"), ("preprod-", "preprod"))
    }
    assert memory["preprod-"] == {name: max(least.get(name, 0), value // 2) for name, value in memory["sese-"].items()}


def test_buckets_are_made_with_references_instead_of_keys_and_kept_where_data_is() -> None:
    found = {resource.name: resource for resource in built("prod").of_type("s3:Bucket")}
    assert set(found) == {"bucket-backups", "bucket-shared"}
    for bucket in found.values():
        assert bucket.protect and bucket.retained
        assert "${secret:s3_admin_access_key}" in bucket.inputs["policy"]
        assert not [name for name, value in DUMMY_SECRETS.items() if value in str(bucket.inputs)]
    changed = built("prod", s3_access_key="another0value0of0s3_access_key")
    before, after = (
        {bucket.name: bucket.inputs["keys"] for bucket in graph.of_type("s3:Bucket")} for graph in (built("prod"), changed)
    )
    assert all(before[name] != after[name] for name in before), "a new key writes both policies again"
    (copy,) = built("preprod").of_type("s3:Bucket")
    assert (copy.name, copy.inputs["emptied"], copy.protect, copy.retained) == ("bucket-shared", True, False, False)
    emptied = {
        resource.name: resource.inputs["emptied"]
        for resource in built("prod", deleteData="true", backupLockDays="14").of_type("s3:Bucket")
    }
    assert emptied == {"bucket-backups": False, "bucket-shared": True}, "what is locked is not emptied"
