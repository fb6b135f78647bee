"""What a copy is given in place of real keys."""

import pytest

from model.problem import Refused
from operations.secrets.fake_secrets import fake_secrets, fakes
from operations.stack import Stack
from services import caddy
from tests.support.fleets import REQUIRED_SECRETS


def test_what_is_required_and_missing_is_fake_and_nothing_else() -> None:
    by_ovh = {secret.name for secret in caddy.OVH}
    assert by_ovh < REQUIRED_SECRETS
    assert set(fakes(["openai_api_key", "unknown"])) == REQUIRED_SECRETS - by_ovh - {"openai_api_key"}
    assert fakes(REQUIRED_SECRETS) == {}


@pytest.mark.parametrize("stack", ["prod", "lab"])
def test_only_copies_are_given_any(stack: str) -> None:
    with pytest.raises(Refused, match=f"{stack} is no copy"):
        fake_secrets(Stack(stack))
