"""`pulumi up` killed in every second of its life: always recovered, nothing orphaned. Writes docs/proofs/kills.md."""

from collections.abc import Iterator

import pytest

from tests.lab.deployment import Deployment
from tests.lab.test_failures import kill_recover_converge
from tests.prove import proof

MOMENTS = [(signal, second + 0.5) for signal in ("INT", "KILL") for second in range(8)]


@pytest.fixture(scope="module")
def results() -> Iterator[list[tuple[str, str, str, str]]]:
    rows: list[tuple[str, str, str, str]] = []
    yield rows
    how = "An `up` that replaces Redis and LiteLLM was killed."
    proof.write("kills", "Killed deployments", how, ("signal", "after", "left behind", "converged"), rows)


@pytest.mark.parametrize(("signal", "seconds"), MOMENTS)
def test_an_up_killed_at_any_moment_is_recovered(
    stack: Deployment, results: list[tuple[str, str, str, str]], signal: str, seconds: float
) -> None:
    said = kill_recover_converge(stack, signal, seconds).splitlines()
    left = [line for line in said if line.startswith("unfinished:") or ": removed " in line]
    results.append((signal, f"{seconds:.1f} s", "; ".join(left) or "nothing", "yes"))
