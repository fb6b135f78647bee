"""What is drawn of a service, or of the fleet: queries and how their numbers are shown, in one small vocabulary."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

HERE = 'host=~"$host"'
"""The labels of the hosts that the viewer chose."""


def of_service(name: str) -> str:
    """The labels of a service on those hosts."""
    return f'{HERE},service="{name}"'


class Form(Enum):
    """How a panel shows its numbers."""

    CURVES = auto()
    NUMBER = auto()
    LOG = auto()


@dataclass(frozen=True)
class Panel:
    """Queries by legend; for `LOG` one LogQL query."""

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    form: Form = Form.CURVES


@dataclass(frozen=True)
class Dashboard:
    """`variables` are labels that the viewer chooses values of."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    variables: tuple[str, ...] = ("host",)
