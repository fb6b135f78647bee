"""Ten thousand strangers before each of our programs, its parsers fuzzed for longer. Writes docs/proofs/strangers.md."""

import re
import time

from tests.engine.test_own_programs import FUZZED, PROGRAMS, fuzz, go_test
from tests.prove import proof
from tests.support.fleets import PROJECT

INPUTS = 50_000


def test_strangers_keep_nobody_out_and_the_parsers_hold() -> None:
    rows: list[tuple[str, str, str]] = []
    for program in PROGRAMS:
        said = go_test(PROJECT / "images" / program, "-count=1", "-v", "-run=^TestTenThousandStrangers", GOWORK="off")
        [siege] = re.findall(r"_test\.go:\d+: (\d+ strangers .+)", said)
        rows.append((program, "siege", siege))
        print(*rows[-1], flush=True)
    for program, targets in FUZZED.items():
        for target in targets:
            start = time.monotonic()
            count = fuzz(PROJECT / "images" / program, target, INPUTS)
            rows.append((program, target, f"{count} inputs in {time.monotonic() - start:.0f} s, nothing found"))
            print(*rows[-1], flush=True)
    proof.write(
        "strangers",
        "Our own programs before strangers",
        "Slow, half, huge and concurrent requests from eight addresses, and an honest client; memory is the peak (VmHWM). "
        "Each target finds a fault that was put back, those of 29 November among them (tests/engine/test_own_programs.py).",
        ("program", "what", "seen"),
        rows,
    )
