"""Dashboards of a service or of the fleet: panels with queries, and how a panel shows the numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

HERE = 'host=~"$host"'
"""Label matcher for the hosts that the viewer chose."""


def of_service(name: str) -> str:
    """Label matchers for a service on those hosts."""
    return f'{HERE},service="{name}"'


class Form(Enum):
    """How a panel shows its numbers."""

    CURVES = auto()
    NUMBER = auto()
    LOG = auto()


@dataclass(frozen=True)
class Panel:
    """A panel with its queries by legend; for `LOG` one LogQL query."""

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    form: Form = Form.CURVES


@dataclass(frozen=True)
class Dashboard:
    """A dashboard. `variables` are labels whose values the viewer chooses."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    variables: tuple[str, ...] = ("host",)
