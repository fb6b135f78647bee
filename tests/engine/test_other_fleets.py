"""Another operator's fleet needs only a Pulumi.<name>.yaml: previewed by the real engine, checked by the policy pack."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.engine.project import Project
from tests.support.fleets import DUMMY_SECRETS, OPERATOR_CONFIG, OTHERS, inputs

_REPORTS = {"waivers-in-force", "waivers-ending", "undecided-in-preview"}
_TEXTS = ("domain", "project", "bucketPrefix")


@pytest.mark.parametrize("name", list(OTHERS))
def test_a_fleet_that_only_configuration_knows_is_previewed_and_breaks_no_rule(
    name: str, tmp_path: Path, toolchain: Path
) -> None:
    project = Project(tmp_path, toolchain, name)
    lock = project.directory / "images.lock.yaml"
    lock.write_text(lock.read_text().replace(": null", f": sha256:{'a' * 64}"))
    before = _files(project.directory)
    settings = {
        "kind": "production",
        "knownHosts": "hosts/known_hosts",
        **OPERATOR_CONFIG,
        **{
            key: value if key in ("domain", "project", "bucketPrefix") else json.loads(value)
            for key, value in OTHERS[name].items()
        },
    }
    file = project.directory / f"Pulumi.{name}.yaml"
    written = yaml.safe_load(file.read_text()) or {}
    config = {f"vpai:{key}": value for key, value in settings.items() if value != ""}
    file.write_text(yaml.safe_dump({**written, "config": config}))
    project.configure({}, DUMMY_SECRETS)
    reported = project.pulumi("preview", "--policy-pack", "policy").stdout
    assert set(re.findall(r"\[(?:mandatory|advisory)\] \[severity: \w+\]\s+(\S+)", reported)) <= _REPORTS, reported
    containers = {step["urn"].rpartition("::")[2] for step in project.preview() if "container:Container::" in step["urn"]}
    fleet = inputs(name, like="prod", **OTHERS[name]).fleet
    assert containers == {f"{placement.host.name}-{service.name}" for placement, service in fleet.services()}
    changed = {path for path, text in _files(project.directory).items() if before.get(path) != text}
    assert changed == {Path(file.name)}, "one file, and it is configuration"


def _files(directory: Path) -> dict[Path, bytes]:
    """The files that git would keep."""
    kept = (".py", ".yaml", ".md", ".sh", ".js", ".mjs", ".txt", ".json")
    found = (path for path in directory.rglob("*") if path.suffix in kept and ".vpai" not in path.parts)
    return {path.relative_to(directory): path.read_bytes() for path in found}
