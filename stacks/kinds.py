"""The kind of a stack, read from its file before the settings are read. Needs no package."""

from pathlib import Path

from model.kind import PROFILES, Kind, Profile, problems, written
from model.problem import refuse


def profile(stack: str, project: Path) -> Profile:
    """The profile of the kind in Pulumi.<stack>.yaml of `project`; raises `Refused` where the file has no kind."""
    file = project / f"Pulumi.{stack}.yaml"
    kind = written(file.read_text()) if file.exists() else ""
    refuse(problems(stack, kind))
    return PROFILES[Kind(kind)]
