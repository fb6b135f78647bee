"""The contracts of the applications' stand-ins: each accepts what our services give it, and refuses each wrong input once."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from model.service import Service
from services import nocodb, qdrant, sure, zerobyte
from tests.fleets import PROJECT

IMAGES = PROJECT / "lab/images"
SERVICES = {
    "zerobyte": (zerobyte.service("example.org"),),
    "nocodb": (nocodb.service("example.org", bucket="b"),),
    "sure": (sure.web(), sure.worker()),
    "qdrant": (qdrant.service(),),
}


def contract(name: str) -> Any:
    found = importlib.util.spec_from_file_location("contract", IMAGES / "stand-in/contract.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    sys.modules["contract"] = module
    found.loader.exec_module(module)
    return module.Contract.load(IMAGES / name / "contract.json")


def words(service: Service) -> list[str]:
    return [*service.entrypoint[1:], *(service.command if service.entrypoint else service.command[1:])]


@pytest.mark.parametrize("name", SERVICES)
def test_what_our_service_gives_is_accepted(name: str) -> None:
    for service in SERVICES[name]:
        environment = {**service.environment, **service.secret_environment}
        assert list(contract(name).at_start(words(service), environment)) == []


@pytest.mark.parametrize(
    ("name", "arguments", "variable", "refusal"),
    [
        ("zerobyte", ["-s", "--", "bun", "server.ts"], "", 'error: Module not found "server.ts"'),
        ("zerobyte", [], "APP_KEY", "APP_KEY is no variable that Zerobyte reads"),
        ("nocodb", ["--", "/usr/src/app/start.sh"], "", "[dumb-init] /usr/src/app/start.sh: No such file or directory"),
        ("nocodb", [], "NC_API_TOKEN", "NC_API_TOKEN is no variable that NocoDB reads"),
        ("sure", ["bundle", "exec", "sidekick"], "", "bundler: command not found: sidekick"),
        ("sure", [], "SURE_API_KEY", "SURE_API_KEY is no variable that Sure reads"),
        ("qdrant", ["--config", "/etc/qdrant/config.yaml"], "", "error: unexpected argument '--config' found"),
        ("qdrant", [], "QDRANT_API_KEY", "QDRANT_API_KEY is no variable that Qdrant reads"),
    ],
)
def test_a_wrong_input_is_refused(name: str, arguments: list[str], variable: str, refusal: str) -> None:
    assert list(contract(name).at_start(arguments, {variable: "x"} if variable else {})) == [refusal]


@pytest.mark.parametrize("name", SERVICES)
def test_everything_accepted_and_refused_has_a_source(name: str) -> None:
    document = json.loads((IMAGES / name / "contract.json").read_text())
    sources = [source for kind in document["accepted"].values() for source in kind.values()]
    sources += [refusal["source"] for refusal in document["refusals"].values()]
    assert all(sources) and "@" in document["upstream"]


def test_a_token_of_a_programs_own_interface_is_no_variable(tmp_path: Path) -> None:
    for name in ("nocodb", "sure"):
        [port] = json.loads((IMAGES / name / "spec.json").read_text())["ports"]
        assert all("variable" not in credential for credential in port["credentials"])
