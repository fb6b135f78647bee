"""Problems: everything that is wrong with an input, reported at once."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, why it matters, and how to fix it."""

    what: str
    why: str
    fix: str
    example: str = ""

    def __str__(self) -> str:
        lines = [self.what, f"  why it matters: {self.why}", f"  how to fix it: {self.fix}"]
        if self.example:
            lines.append(f"  example: {self.example}")
        return "\n".join(lines)


class Refused(Exception):
    """Raised before anything has been touched; carries every problem found, never only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(str(self))

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''}; nothing has been touched."
        return "\n\n".join([head, *(f"{number}. {problem}" for number, problem in enumerate(self.problems, 1))])


def refuse(problems: Iterable[Problem]) -> None:
    """Raise `Refused` with all `problems`, or return when there are none."""
    found = tuple(problems)
    if found:
        raise Refused(found)
