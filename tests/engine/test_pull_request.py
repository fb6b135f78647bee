"""A pull request's preview without secrets and hosts: each sample prints its reviewed text, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from operations.previews.pull_request import Deployed
from tests.engine.samples import EXAMPLES, SAMPLES, deployed, shown


@pytest.fixture(scope="module")
def engine(toolchain: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_HOME", str(toolchain / "home"))
        patch.setenv("PATH", f"{toolchain / 'bin'}:/usr/local/bin:/usr/bin:/bin")
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, engine: None) -> Deployed:
    return deployed(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_change_reads_as_it_was_reviewed(name: str, base: Deployed, tmp_path: Path) -> None:
    reviewed = (EXAMPLES / f"{name}.md").read_text()
    assert shown(name, base, tmp_path) == reviewed, "python -m tests.engine.samples, and read what it wrote"


def test_every_reviewed_example_has_its_sample() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.md")} == SAMPLES.keys()
