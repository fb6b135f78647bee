"""Dummy values for secrets."""

import re
from pathlib import Path

from operations.stack import CommandFailed


def dummy(name: str, pattern: str) -> str:
    """A dummy for the external secret `name`, whose values match `pattern`."""
    filled = f"preview0value0of0{name}"
    shapes = (filled, f"1000000001:{filled}", "-1000000001", "preview0" * 8)
    for shape in shapes:
        if re.fullmatch(pattern, shape):
            return shape
    raise CommandFailed(f"no dummy has the shape of {name}, {pattern}: add one to {Path(__file__).name}")
