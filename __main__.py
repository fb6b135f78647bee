"""The program: read the settings, build the stack."""

import gc
from pathlib import Path

import pulumi
from pulumi.runtime import config

from model.problem import Refused
from stacks import deployment, event_loop, inputs

PROJECT = Path(__file__).parent


def main() -> None:
    """Deploy the selected stack, or say everything that is wrong with its inputs."""
    prefix = f"{pulumi.get_project()}:"
    configuration = {key.removeprefix(prefix): text for key, text in config.CONFIG.get().items() if key.startswith(prefix)}
    encrypted = {key for key in configuration if config.is_config_secret(prefix + key)}
    try:
        deployment.deploy(inputs.read(pulumi.get_stack(), configuration, encrypted, PROJECT), PROJECT)
    except Refused as refused:
        raise pulumi.RunError(str(refused)) from None


# Nearly everything is needed to the end, and the collector looks at it again and again: a fifth of the program's time.
gc.disable()
event_loop.patch_sdk()
main()
