"""The program: read the settings, build the stack."""

import sys
from pathlib import Path

import pulumi

from model.problem import Refused
from stacks import deployment, inputs

PROJECT = Path(__file__).parent


def main() -> None:
    """Deploy the selected stack, or say everything that is wrong with its inputs."""
    stack = pulumi.get_stack()
    try:
        deployment.deploy(inputs.read(stack, _configuration(), PROJECT), PROJECT)
    except Refused as refused:
        raise pulumi.RunError(str(refused)) from None


def _configuration() -> dict[str, str]:
    """This project's configuration: key without namespace -> text."""
    prefix = f"{pulumi.get_project()}:"
    configuration = pulumi.runtime.config.CONFIG.get()
    return {key.removeprefix(prefix): text for key, text in configuration.items() if key.startswith(prefix)}


sys.path.insert(0, str(PROJECT))
main()
