"""n8n's workflows as values: they hang together, and ask only for what the service is given."""

import json
import re

import pytest

from services import n8n
from services.n8n.workflows import Workflow, workflows

SERVICE = n8n.service("vpai.test")
WORKFLOWS = [pytest.param(workflow, id=workflow.name) for workflow in workflows()]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_step_is_named_once_and_reached(workflow: Workflow) -> None:
    names = [node.name for node in workflow.nodes]
    assert len(set(names)) == len(names)
    led_to = {name for node in workflow.nodes for output in node.then for name in output}
    triggers = {node.name for node in workflow.nodes if node.kind in ("webhook", "scheduleTrigger")}
    assert led_to | triggers == set(names)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_what_a_workflow_takes_from_the_environment_is_there(workflow: Workflow) -> None:
    asked = set(re.findall(r"\$env\.(\w+)", json.dumps(workflow.document())))
    assert asked <= {*SERVICE.environment, *SERVICE.secret_environment}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_no_workflow_holds_a_secret(workflow: Workflow) -> None:
    assert "${secret:" not in json.dumps(workflow.document())


def test_the_encryption_key_has_64_hex_characters_and_is_never_rotated() -> None:
    assert n8n.ENCRYPTION_KEY.irreplaceable
    assert (n8n.ENCRYPTION_KEY.source.length, n8n.ENCRYPTION_KEY.source.hexadecimal) == (64, True)  # type: ignore[union-attr]
