"""Commands by which a benchmark prepares what it measures, in the lab's operator."""

from pathlib import Path

from benchmarks.meter import Failed
from lab.lab import Lab


def operate(lab: Lab, directory: Path, *command: str) -> str:
    """What `command` prints in `directory`; raises `Failed` with its last output when it does not succeed."""
    done = lab.operator.run(command, directory=str(directory), check=False, timeout=1200)
    if done.returncode:
        raise Failed(f"`{' '.join(command)}` failed in {directory}; it said last:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout
