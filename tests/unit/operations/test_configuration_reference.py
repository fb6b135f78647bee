"""Settings and secrets are written once: Pulumi.yaml and the schema of a stack's file say what the program itself would."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from model.problem import Refused
from model.settings import Settings
from operations.reference import configuration as reference
from tests.support.fleets import CONFIGURATION, PROJECT

VALIDATOR = Draft202012Validator(reference.schema())
SOUND: Mapping[str, Any] = {
    "kind": "production",
    "domain": "vpai.example.org",
    "hosts": {"sese": {"address": "203.0.113.10", "memoryMib": 11264}},
    "knownHosts": "hosts/prod.known_hosts",
    "authorizedKeys": "hosts/prod.authorized_keys",
}


def faults(config: Mapping[str, Any]) -> list[ValidationError]:
    """What an editor underlines."""
    return list(VALIDATOR.iter_errors({"config": {f"vpai:{key}": value for key, value in config.items()}}))


def test_the_committed_declarations_are_what_make_docs_writes() -> None:
    stale = "is stale: run `make docs` and commit it"
    text = reference.PROJECT_FILE.read_text()
    assert text == reference.project_file(text), f"Pulumi.yaml {stale}"
    assert reference.SCHEMA_FILE.read_text() == reference.schema_file(), f"{reference.SCHEMA_FILE.name} {stale}"


def _is_nowhere_yet(error: ValidationError) -> bool:
    """A host of which the file says what it is for, and the operator has to say where it is."""
    return bool(error.validator == "oneOf" and not {"address", "memoryMib", "server"} & error.instance.keys())


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(reference.schema())


def test_the_schema_takes_each_committed_stack_but_for_what_the_operator_has_to_say() -> None:
    files = sorted({*PROJECT.glob("Pulumi.*.yaml"), *CONFIGURATION.glob("Pulumi.*.yaml")})
    assert {file.name for file in files} >= {"Pulumi.lab.yaml", "Pulumi.preprod.yaml", "Pulumi.prod.yaml"}
    for file in files:
        found = list(VALIDATOR.iter_errors(yaml.safe_load(file.read_text())))
        wrong = [error for error in found if error.validator != "required" and not _is_nowhere_yet(error)]
        assert [error.message for error in wrong] == [], file
        assert file.name != "Pulumi.lab.yaml" or found == []


def test_each_committed_stack_tells_an_editor_where_its_schema_is() -> None:
    for file in (PROJECT / "Pulumi.lab.yaml", *CONFIGURATION.glob("Pulumi.*.yaml")):
        assert file.read_text().startswith(reference.HEADER), file.name
    assert (PROJECT / reference.HEADER.strip().partition("$schema=")[2]) == reference.SCHEMA_FILE


def test_what_the_program_reads_is_taken() -> None:
    Settings.parse(SOUND, "prod")
    assert faults(SOUND) == []
    for changes in (
        {"domain": {"secure": "v1:AAAA:AAAA"}},
        {"revertSeconds": 60, "protectData": False, "vpnCidrs": ["100.64.0.0/10"]},
        {"revertSeconds": "60", "protectData": "false"},
        {"hosts": {"seko": {"server": {}}, "sese": {"address": "2001:db8::1", "memoryMib": 2048}}},
        {"kept": {"n8n_encryption_key": {"secure": "v1:AAAA:AAAA"}}, "rotations": {"redis_sure_password": 2}},
        {"s3_backups_app_prod_01_secret_key": {"secure": "v1:AAAA:AAAA"}},
        {"anthropic_api_key": {"secure": "v1:AAAA:AAAA"}, "hcloud_token": {"secure": "v1:AAAA:AAAA"}},
    ):
        assert faults({**SOUND, **changes}) == [], changes
    others = {"config": {**{f"vpai:{key}": value for key, value in SOUND.items()}, "pulumi:tags": {}}, "encryptionsalt": "v1:A"}
    assert list(VALIDATOR.iter_errors(others)) == [], "what is the engine's own"


@pytest.mark.parametrize(
    ("changes", "of_the_program"),
    [
        ({"kind": "prod"}, True),
        ({"domian": "vpai.example.org"}, True),
        ({"domain": "https://vpai.example.org"}, True),
        ({"domain": None}, True),
        ({"hosts": {}}, True),
        ({"hosts": {"Sese": {"address": "203.0.113.10", "memoryMib": 2048}}}, True),
        ({"hosts": {"sese": {"address": "203.0.113.10"}}}, True),
        ({"hosts": {"sese": {"address": "203.0.113.10:22", "memoryMib": 2048}}}, True),
        ({"hosts": {"sese": {"address": "root@203.0.113.10", "memoryMib": 2048}}}, True),
        ({"hosts": {"sese": {"address": "203.0.113.10", "memoryMib": "2 GB"}}}, True),
        ({"hosts": {"sese": {"address": "203.0.113.10", "memoryMib": 512}}}, True),
        ({"hosts": {"sese": {"address": "203.0.113.10", "memoryMib": 2048, "server": {}}}}, True),
        ({"hosts": {"sese": {"address": "203.0.113.10", "memoryMib": 2048, "adress": "x"}}}, True),
        ({"hosts": {"sese": {"address": "203.0.113.10", "memoryMib": 2048, "release": "debian-12"}}}, True),
        ({"hosts": {"sese": {"server": {"type": "CX 23"}}}}, True),
        ({"trustedAddresses": "203.0.113.7"}, True),
        ({"trustedAddresses": ["example.org"]}, True),
        ({"revertSeconds": "a minute"}, True),
        ({"revertSeconds": 5}, True),
        ({"protectData": "never"}, True),
        ({"backupTime": "25:00"}, True),
        ({"recoveryRecipient": "AGE-SECRET-KEY-1"}, True),
        ({"vpnCidrs": '["100.64.0.0/10"]'}, False),  # the engine refuses the text of one
        ({"anthropic_api_key": "sk-ant-plain"}, False),
        ({"s3_backups_sese_access_key": "plain"}, False),
        ({"hosts": {"sese": {"address": "203.0.113.10", "memoryMib": 2048, "roles": ["vpn"]}}}, True),
        ({"kept": {"n8n_encryption_key": "plain"}}, False),
    ],
    ids=str,
)
def test_a_typical_mistake_is_underlined_and_refused_by_the_program_too(changes: dict[str, Any], of_the_program: bool) -> None:
    whole = {key: value for key, value in {**SOUND, **changes}.items() if value is not None}
    assert faults(whole) != []
    if of_the_program:  # plain secrets: tests/unit/stacks/test_inputs.py
        with pytest.raises(Refused):
            Settings.parse(whole, "prod")


def test_a_setting_beside_config_is_underlined() -> None:
    whole = {"config": {f"vpai:{key}": value for key, value in SOUND.items()}}
    assert list(VALIDATOR.iter_errors(whole)) == []
    assert list(VALIDATOR.iter_errors({**whole, "vpai:timezone": "Europe/Paris"})) != []
    assert list(VALIDATOR.iter_errors({"configuration": {}})) != []


def test_each_example_is_one() -> None:
    for key, field in Settings.model_fields.items():
        for example in field.examples or ():
            value = yaml.safe_load(example) if field.annotation is not str else example
            if key != "kept":  # which is typed with --secret
                assert faults({**SOUND, str(field.alias): value}) == [], key
