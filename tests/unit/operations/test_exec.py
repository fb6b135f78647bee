"""`make exec`: a command arrives in the service as it was typed, beside what the service's own program finds there."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from components import ssh
from model.secret import resolve, sourced
from model.service import Configuration
from operations.__main__ import inside
from tests.support.fleets import placement
from tests.support.shell import stub

N8N = next(service for service in placement().services if service.name == "n8n")
SHOW = f"{sys.executable} -c 'import json, sys; print(json.dumps(sys.argv[1:]))'"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """ssh as sshd runs what it is given, and docker as it runs a command in a container."""
    stub(tmp_path / "bin", "ssh", 'exec sh -c "${@: -1}"')
    stub(tmp_path / "bin", "docker", 'shift 3; exec "$@"')
    return tmp_path / "bin"


def executed(programs: Path, words: list[str]) -> str:
    service = replace(
        N8N,
        secret_environment={"WEBHOOK": "it's ${secret:key}"},
        configuration=Configuration(directory=str(programs), files=()),
    )
    assert service.configuration
    (programs / "environment").write_text(resolve(sourced(service.secret_environment), {"key": "$5 'a' \\ ☃"}))
    command = ssh.command("config", "sese", inside(service, "container", words))
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": "/home/of the service"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_quotation_marks_and_the_services_home_survive(programs: Path) -> None:
    seen = executed(programs, ["sh", "-c", f"""{SHOW} "a  b" "$HOME" 'it'"'"'s' '$x' "☃" \\\\ '' | cat"""])
    assert json.loads(seen) == ["a  b", "/home/of the service", "it's", "$x", "☃", "\\", ""]


def test_the_secret_environment_is_there(programs: Path) -> None:
    assert executed(programs, ["sh", "-c", 'printf %s "$WEBHOOK"']) == "it's $5 'a' \\ ☃"


def test_words_are_handed_on_as_words(programs: Path) -> None:
    shown = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", "a  b", "$HOME", "it's"]
    assert json.loads(executed(programs, shown)) == ["a  b", "$HOME", "it's"]


def test_a_service_without_secrets_needs_no_shell() -> None:
    loki = next(service for service in placement().services if service.name == "loki")
    assert inside(loki, "id", ["loki", "-version"]) == ["docker", "exec", "-i", "id", "loki", "-version"]
