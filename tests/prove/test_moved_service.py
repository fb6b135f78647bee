"""Qdrant stands on the hub by one line of configuration: LiteLLM asks it over the mesh, and it goes back in the same way."""

import time

from lab.layout import SEKO
from services.litellm.proxy.answers import PAUSE_SECONDS
from tests.lab.deployment import Deployment, health_of
from tests.lab.test_litellm_budget import Bench


def test_a_service_on_another_host_is_asked_over_the_mesh_and_comes_back(stack: Deployment) -> None:
    stack.configure(f"hosts.{SEKO}.memoryMib", "4096")
    stack.configure("placement.qdrant", SEKO)
    stack.up()
    assert health_of(stack.lab.seko)["qdrant"] == "healthy"
    assert "qdrant" not in health_of(stack.host)
    _answers_a_similar_question(stack, "Namur", "Huy", "Dinant")
    stack.up("--expect-no-changes")
    stack.smoke()

    stack.reset()
    stack.up()
    assert health_of(stack.host)["qdrant"] == "healthy"
    assert "qdrant" not in health_of(stack.lab.seko)
    _answers_a_similar_question(stack, "Mons", "Tournai", "Ath")


def _answers_a_similar_question(stack: Deployment, *towns: str) -> None:
    """What Qdrant alone can answer: an equal question is answered from Redis."""
    bench, similar = Bench(stack), {"cache": {"similar": True}}
    for town in towns:
        assert bench.ask("claude-haiku", f"please tell me where the old town of {town} is", **similar).status == 200
        bench.calls()
        assert bench.ask("claude-haiku", f"please tell me where is the old town of {town}", **similar).status == 200
        if bench.calls() == []:
            return
        # It has a second to answer, then it is left alone: just after an `up` on a busy machine it may need more.
        time.sleep(PAUSE_SECONDS)
    raise AssertionError(f"no similar question was answered: {towns}")
