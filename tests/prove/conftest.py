"""The long rehearsals use the lab as the lab tests do."""

from tests.lab.conftest import _deployment, deployed, lab, stack

__all__ = ["_deployment", "deployed", "lab", "stack"]
