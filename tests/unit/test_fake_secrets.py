"""What a copy is given in place of real keys."""

import pytest

from model.problem import Refused
from operations.fake_secrets import fake_secrets, missing
from operations.stack import Stack
from services import catalogue
from tests.fleets import REQUIRED_SECRETS


def test_what_is_required_and_missing_is_fake_and_nothing_else() -> None:
    made = missing(catalogue.external_secrets(), {"openai_api_key", "vpai_unknown"})
    assert set(made) == REQUIRED_SECRETS - {"openai_api_key"}
    assert missing(catalogue.external_secrets(), set(REQUIRED_SECRETS)) == {}


@pytest.mark.parametrize("stack", ["prod", "lab"])
def test_only_copies_are_given_any(stack: str) -> None:
    with pytest.raises(Refused, match=f"{stack} is no copy"):
        fake_secrets(Stack(stack))
