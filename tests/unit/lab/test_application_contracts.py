"""The contracts of the applications' stand-ins: each accepts what our services give it, and refuses each wrong input once."""

import json
from pathlib import Path

import pytest

from lab.contract import Contract
from model.service import Service
from services import nocodb, qdrant, sure, zerobyte
from tests.support.fleets import NAMES, PROJECT, context

IMAGES = PROJECT / "lab/images"
SERVICES = {
    "zerobyte": (zerobyte.service(NAMES),),
    "nocodb": (nocodb.service(NAMES, bucket="b"),),
    "sure": (sure.web(context()), sure.worker(context())),
    "qdrant": (qdrant.service(),),
}


def contract(name: str) -> Contract:
    return Contract.load(IMAGES / name / "contract.json")


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


def test_a_token_of_a_programs_own_interface_is_no_variable(tmp_path: Path) -> None:
    for name in ("nocodb", "sure"):
        [port] = json.loads((IMAGES / name / "spec.json").read_text())["ports"]
        assert all("variable" not in credential for credential in port["credentials"])
