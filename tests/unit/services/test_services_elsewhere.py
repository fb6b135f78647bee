"""A service is said in its own module: in no other its name stands, but where a reason is given here."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from services import catalogue
from tests.support.fleets import PROJECT

ROOMS = ("model", "components", "services", "stacks", "operations", "policy")
CALLS = "it calls, needs or brings them, or has keys to them"
KIND = "a kind of backup, called after the store's protocol: the backup program knows four"
MESH = "Headscale's own command, or the container that keeps the mesh"
REASONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "components/scripts/installed/vpai-backup.py": (KIND, ("postgresql", "qdrant", "redis")),
    "model/backup_plan.py": (KIND, ("postgresql", "qdrant", "redis")),
    "model/secret.py": ("an example of what a text may be", ("litellm",)),
    "operations/new_service.py": ("the database of the module that it writes", ("postgresql",)),
    "operations/mesh/renew.py": (MESH, ("headscale",)),
    "operations/hosts/replace_host.py": (MESH, ("headscale",)),
    "policy/rules/secrets.py": ("an example in a message", ("n8n", "postgresql")),
    "services/alloy/__init__.py": (CALLS, ("cadvisor", "node-exporter")),
    "services/apps.py": (CALLS, ("caddy", "postgresql")),
    "services/catalogue.py": ("the two that stand wherever there is something for them to do", ("caddy", "headscale")),
    "services/grafana/__init__.py": (CALLS, ("alloy", "loki", "n8n", "postgresql")),
    "services/grafana/dashboards.py": ("a word of Grafana's: the type of a source", ("loki",)),
    "services/litellm/__init__.py": (CALLS, ("postgresql", "qdrant", "redis")),
    "services/litellm/configuration.py": ("a word of LiteLLM's own: the type of its cache", ("redis",)),
    "services/n8n/__init__.py": (CALLS, ("litellm", "nocodb", "openclaw", "postgresql", "webhook-gate")),
    "services/n8n/workflows.py": (CALLS, ("litellm", "openclaw")),
    "services/nocodb.py": (CALLS, ("n8n", "postgresql")),
    "services/openclaw.py": (CALLS, ("litellm", "n8n", "sandboxes", "webhook-gate")),
    "services/sandboxes.py": ("the same program, whose image and network it shares", ("docker-proxy",)),
    "services/sure.py": (CALLS, ("litellm", "postgresql", "redis")),
    "services/webhook_gate.py": (CALLS, ("n8n",)),
    "stacks/deployment.py": (MESH, ("headscale",)),
    "stacks/fleets.py": ("a choice: what a copy runs that expires", ("litellm",)),
}
"""By module, the services that it may name and why."""


def names() -> frozenset[str]:
    return frozenset((*catalogue.names_of_services(), "caddy", "headscale")) - {"hello"}


def named(code: str) -> frozenset[str]:
    """The services that a module's code names: a whole text, the host of a URL."""
    texts = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return names() & {*texts, *(host for text in texts for host in re.findall(r"(?:://|@)([a-z0-9-]+)(?=[:/]|$)", text))}


def own(name: str, module: Path) -> bool:
    """Whether it is the service's own: `services/<name>`, or of the system whose part it is."""
    stem, (room, first, *_) = name.replace("-", "_"), module.with_suffix("").parts
    return room == "services" and (first == stem or stem.startswith(f"{first}_"))


def modules() -> Iterator[Path]:
    for room in ROOMS:
        yield from (path.relative_to(PROJECT) for path in sorted((PROJECT / room).rglob("*.py")))


def test_a_service_is_named_in_its_own_module_and_where_a_reason_says_why() -> None:
    found = {
        str(module): others
        for module in modules()
        if (others := {name for name in named((PROJECT / module).read_text()) if not own(name, module)})
    }
    assert found == {module: set(services) for module, (_, services) in REASONS.items()}


@pytest.mark.parametrize(
    ("code", "reported"),
    [
        ('if service.name == "redis": ...', {"redis"}),
        ('url = f"http://qdrant:{PORT}/"', {"qdrant"}),
        ('"""Redis and qdrant are told of in a text."""', set()),
    ],
)
def test_a_name_is_found_as_a_text_and_in_a_url(code: str, reported: set[str]) -> None:
    assert named(code) == reported
