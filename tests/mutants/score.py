"""What a run of mutants came to."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.mutants.rooms import Accepted, Room


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One changed place: `change` has its lines, `- old` and `+ new`, of a mutant that no test killed."""

    name: str
    status: str
    change: str

    @property
    def function(self) -> str:
        """The function that was changed, e.g. `model.laws.capacity.memory_fits`."""
        module, _, name = self.name.partition("__mutmut_")[0].rpartition(".")
        return f"{module}.{name.removeprefix('x_').removeprefix('xǁ').replace('ǁ', '.')}"

    @property
    def survived(self) -> bool:
        """No test saw it; one that hangs or crashes the run is seen."""
        return self.status in ("survived", "no tests")


@dataclass(frozen=True, kw_only=True)
class Score:
    """Numbers of mutants."""

    killed: int
    survived: int
    accepted: int
    unasked: int
    """Not reached within the time; in no percentage."""

    @classmethod
    def of(cls, mutants: Sequence[Mutant], accepted: Sequence[Accepted]) -> "Score":
        """The score of a run."""
        left = len(survivors_in(mutants, accepted))
        all_left = len(survivors_in(mutants, ()))
        unasked = sum(mutant.status == "not checked" for mutant in mutants)
        return cls(killed=len(mutants) - all_left - unasked, survived=left, accepted=all_left - left, unasked=unasked)

    @property
    def percent(self) -> float:
        """Killed of those that are not accepted."""
        return 100 * self.killed / ((self.killed + self.survived) or 1)

    def __str__(self) -> str:
        numbers = f"{self.killed} killed, {self.survived} survived, {self.accepted} accepted, {self.unasked} not asked"
        return f"{self.percent:.1f} % ({numbers})"

    def as_row(self) -> Mapping[str, float]:
        """As it is kept."""
        return {**asdict(self), "percent": round(self.percent, 1)}


def survivors_in(mutants: Iterable[Mutant], accepted: Sequence[Accepted]) -> tuple[Mutant, ...]:
    """The mutants that no test killed and that nothing accepts."""
    return tuple(
        mutant
        for mutant in mutants
        if mutant.survived
        and not any(re.fullmatch(each.where, mutant.function) and re.search(each.change, mutant.change) for each in accepted)
    )


def page(results: Mapping[str, Mapping[str, Any]], rooms: Mapping[str, Room]) -> str:
    """The scores as Markdown, and what is accepted."""
    lines = [
        "# Mutants",
        "",
        "`make mutants` changes the functions of a room in one place at a time (mutmut) and runs the room's tests; one that",
        "no test sees survives. The text of messages is left alone. Percent are of what is neither accepted nor left unasked;",
        "the last column is the run before its survivors were looked at.",
        "",
        "| Room | Killed | Survived | Accepted | Not asked | Score | First run |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, room in rooms.items():
        if name not in results:
            lines.append(f"| `{room.path}` | not measured | | | | | |")
            continue
        now, first = results[name]["now"], results[name]["first"]
        numbers = " | ".join(f"{now[key]:g}" for key in ("killed", "survived", "accepted", "unasked"))
        lines.append(f"| `{room.path}` | {numbers} | {now['percent']} % | {first['percent']} % |")
    lines += [f"\n`{rooms[name].path}`: {result['note']}" for name, result in results.items() if "note" in result]
    lines += ["", "## Accepted", "", "| Where | Change | Why |", "| --- | --- | --- |"]
    for room in rooms.values():
        for each in room.accepted:
            where, change = (text.replace("|", "\\|") for text in (each.where, each.change))
            lines.append(f"| `{where}` | `{change}` | {each.reason} |")
    return "\n".join(lines) + "\n"
