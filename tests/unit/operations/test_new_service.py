"""A new service is added as CONTRIBUTING.md says, in a copy of the checkout; and what a change touches is counted."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from operations import new_service
from stacks.inputs import Inputs
from tests.support.copies import tracked
from tests.support.fleets import PROJECT, inputs

TEXT = (PROJECT / "CONTRIBUTING.md").read_text().partition("## A new service\n")[2]
NAMES = """
import json
from tests.support.fleets import host_config, inputs
from tests.graph.program import build
found = inputs("prod", hosts=host_config("prod").replace("11264", "12288"))  # as it is, it has no room for one more
print(json.dumps([it.name for it in build(found).resources]))
print(json.dumps([site.host for site in found.fleet.sites()]))
"""


def run(where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=where, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("checkout")
    tracked(to)
    return to


def test_what_the_guide_says_adds_a_service(copy: Path) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    [name] = re.findall(r"`make service NAME=(\w+)`", TEXT)
    written = run(copy, "-m", "operations.new_service", name)
    assert written.returncode == 0, written.stderr
    module = copy / f"services/{name}.py"
    open_ = run(copy, "-m", "ruff", "check", "--select", "F821", "--output-format", "concise", str(module))
    assert open_.stdout.count("Undefined name `DECIDE`") >= 10, "the linter refuses what is left open"

    [decided] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert "DECIDE" not in decided
    module.write_text(decided)
    catalogue = copy / "services/catalogue.py"
    placed = catalogue.read_text().replace("\n        diun,\n", f"\n        diun,\n        {name},\n")
    catalogue.write_text(placed.replace("\n    loki,\n", f"\n    loki,\n    {name},\n"))
    [image] = re.findall(r"`(docker[^`]+: null)`", TEXT)
    lock = copy / "images.lock.yaml"
    lock.write_text(f"{lock.read_text()}{image}\n")

    clean = run(copy, "-m", "ruff", "check", str(module), str(catalogue))
    assert clean.returncode == 0, clean.stdout
    shown = run(copy, "-c", NAMES)
    assert shown.returncode == 0, shown.stderr[-2000:]
    resources, sites = map(json.loads, shown.stdout.splitlines()[-2:])
    wanted = {f"sese-{name}", f"sese-{name}-healthy", f"sese-{name}-configuration", f"sese-database-{name}"}
    assert wanted | {f"{name}-admin-password", f"postgresql-{name}-password"} <= {
        resource.replace("_", "-") for resource in resources
    }
    assert f"{name}.vpai.example.org" in sites

    changed = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file() and before.get(path) != path.read_bytes()}
    ours = {str(path) for path in changed if "__pycache__" not in path.parts and not path.parts[0].startswith(".")}
    assert ours == {f"services/{name}.py", "services/catalogue.py", "images.lock.yaml"}
    added = len(catalogue.read_text().splitlines()) - len(before[catalogue].decode().splitlines())
    assert added == 2, "its import and its role"


@pytest.mark.parametrize(
    ("setting", "value", "site"),
    [
        ("subdomains", {"qdrant": "vectors"}, "vectors.vpai.example.org on sese"),
        ("placement", {"qdrant": "seko"}, "qdrant.vpai.example.org on seko"),
        ("domain", "second.example.net", "qdrant.second.example.net on sese"),
    ],
)
def test_another_name_place_or_domain_is_configuration_alone(setting: str, value: object, site: str) -> None:
    changed = {"subdomains": {}, setting: value}
    found = inputs("prod", **{key: text if isinstance(text, str) else json.dumps(text) for key, text in changed.items()})
    assert site in _sites(found)


def _sites(of: Inputs) -> set[str]:
    return {f"{site.host} on {placement.host.name}" for placement in of.fleet.placements for site in placement.sites()}


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("Mini Flux", "'Mini Flux' cannot be the name of a service"),
        ("", "'' cannot be the name of a service"),
        ("qdrant", "services/ has a qdrant already"),
        ("caddy", "services/ has a caddy already"),
        ("context", "services/ has a context already"),
    ],
)
def test_a_name_that_cannot_be_is_told(name: str, reported: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert new_service.main(name) == 1
    assert reported in capsys.readouterr().err


def test_nothing_of_a_service_is_left_to_decide() -> None:
    modules = sorted((PROJECT / "services").rglob("*.py"))
    assert len(modules) > 20
    assert not [str(module) for module in modules if "DECIDE" in module.read_text()]
