"""`pulumi preview` of every stack works with the real engine, without a host, a cloud or a real secret."""

from pathlib import Path

import pytest

from tests.engine.project import Project
from tests.support.fleets import DUMMY_SECRETS, OPERATOR_CONFIG, REQUIRED_SECRETS, host_paths, inputs


@pytest.fixture(params=["prod", "preprod"])
def project(request: pytest.FixtureRequest, tmp_path: Path, toolchain: Path) -> Project:
    project = Project(tmp_path, toolchain, request.param)
    hosts = host_paths(request.param)
    project.configure({**OPERATOR_CONFIG, **hosts}, DUMMY_SECRETS)
    return project


def test_the_whole_catalogue_is_previewed_without_hosts_and_without_secrets_in_the_output(project: Project) -> None:
    shown = project.pulumi("preview", "--diff").stdout
    services = {f"{placement.host.name}-{service.name}" for placement, service in inputs(project.stack).fleet.services()}
    containers = {step["urn"].rpartition("::")[2] for step in project.preview() if "container:Container::" in step["urn"]}
    assert containers == services
    for name, value in DUMMY_SECRETS.items():
        assert value not in shown, f"{name} is printed"


def test_what_nobody_looked_up_is_warned_of_in_a_preview_and_refused_by_an_up(project: Project) -> None:
    assert "has no digest in images.lock.yaml" in project.pulumi("preview").stdout
    refused = project.pulumi("up", "--yes", "--skip-preview", check=False)
    assert refused.returncode != 0
    assert "nothing has been touched" in refused.stdout
    assert "host key of" in refused.stdout
    resources = project.pulumi("stack", "export").stdout
    assert '"docker:' not in resources
    assert "Traceback" not in refused.stdout


def test_all_missing_secrets_are_told_by_one_preview(project: Project) -> None:
    for name in DUMMY_SECRETS:
        project.pulumi("config", "rm", f"vpai:{name}")
    reported = project.pulumi("preview", check=False).stdout
    for name in REQUIRED_SECRETS:
        assert f"the secret {name} is missing" in reported
        assert f"pulumi config set -s {project.stack} --secret vpai:{name}" in reported


def test_a_wrong_passphrase_is_told_as_such(project: Project) -> None:
    reported = project.pulumi("preview", check=False, PULUMI_CONFIG_PASSPHRASE="wrong")
    assert reported.returncode != 0
    assert "incorrect passphrase" in reported.stdout


def test_secrets_are_encrypted_in_the_stacks_file(project: Project) -> None:
    text = (project.directory / f"Pulumi.{project.stack}.yaml").read_text()
    assert "encryptionsalt" in text
    for name, value in DUMMY_SECRETS.items():
        assert value not in text, name
