"""`.lab/lab.json`: the facts of a running lab, for programs that use it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.errors import LabError
from lab.layout import Addresses


@dataclass(frozen=True)
class Record:
    """The facts; written at the end of each `lab up`."""

    id: str
    number: int
    containers: Mapping[str, str]
    images: Mapping[str, str]
    toolchain: str
    python_site: str

    @property
    def addresses(self) -> Addresses:
        return Addresses(self.number)

    def save(self, directory: Path) -> None:
        facts = {**asdict(self), "internet": self.addresses.internet}
        path = directory / "lab.json"
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(facts, indent=2) + "\n")
        draft.replace(path)

    @staticmethod
    def exists(directory: Path) -> bool:
        return (directory / "lab.json").exists()

    @classmethod
    def load(cls, directory: Path) -> "Record":
        try:
            facts = json.loads((directory / "lab.json").read_text())
            return cls(**{name: facts[name] for name in cls.__dataclass_fields__})
        except (FileNotFoundError, KeyError, ValueError) as error:
            raise LabError(
                f"no lab runs for {directory.parent} ({directory.name}/lab.json: {type(error).__name__}), so there is "
                "no machine to work with. Raise it first: python3 -m lab up"
            ) from error
