"""Bad input is told whole, with remedy and example, before anything is touched."""

import json
import re
import tempfile
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from model.problem import Refused
from model.settings import Settings
from services import catalogue, storage
from stacks.inputs import CLOUD_TOKEN, read
from tests.support.fleets import (
    DUMMY_SECRETS,
    OPERATOR_CONFIG,
    PROJECT,
    RENTED_HOST,
    REQUIRED_SECRETS,
    committed,
    host_config,
    inputs,
)


def refused(stack: str = "prod", **changes: str) -> Refused:
    with pytest.raises(Refused) as caught:
        inputs(stack, **changes)
    assert "nothing has been touched" in str(caught.value)
    assert all(problem.why and problem.fix for problem in caught.value.problems)
    return caught.value


def test_the_committed_stacks_become_fleets() -> None:
    for stack in ("prod", "preprod"):
        assert inputs(stack).fleet.placements


def test_every_setting_and_secret_is_declared_in_the_project_with_type_description_and_default() -> None:
    declared = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]
    settings = {f"vpai:{field.alias}" for field in Settings.model_fields.values()}
    assert set(declared) == settings | {f"vpai:{secret.name}" for secret in (*catalogue.external_secrets(), CLOUD_TOKEN)}
    for key, schema in declared.items():
        assert {"type", "description", "default"} <= set(schema), key


def test_defaults_in_the_project_are_those_of_the_program() -> None:
    declared = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]
    for field in Settings.model_fields.values():
        default = field.get_default(call_default_factory=True)
        if field.is_required():
            continue
        shown = [str(item) for item in default] if isinstance(default, tuple) else default
        assert declared[f"vpai:{field.alias}"]["default"] == shown, field.alias


def test_an_empty_stack_is_told_everything_it_lacks_at_once() -> None:
    with pytest.raises(Refused) as caught:
        read("prod", {}, set(), PROJECT)
    reported = {problem.what.removesuffix(" is missing"): problem for problem in caught.value.problems}
    secrets = {f"the secret {name}" for name in REQUIRED_SECRETS}
    assert set(reported) == {"vpai:kind", "vpai:domain", "vpai:hosts", "vpai:knownHosts", "vpai:authorizedKeys", *secrets}
    assert all("pulumi config set -s prod" in problem.fix + problem.example for problem in reported.values())


def test_a_stack_as_it_is_committed_is_told_everything_it_lacks_at_once() -> None:
    with pytest.raises(Refused) as caught:
        read("prod", {**committed("prod"), "domain": ""}, set(), PROJECT)
    hosts = [problem.what for problem in caught.value.problems if "vpai:hosts" in problem.what]
    assert hosts == [f"vpai:hosts.{name}.address is missing" for name in ("sese", "seko", "waza")]
    assert len(caught.value.problems) == 1 + len(hosts) + len(REQUIRED_SECRETS)


def test_with_an_own_authority_no_key_for_dns_is_asked_for() -> None:
    with pytest.raises(Refused) as caught:
        read("prod", {"kind": "production", "certificateAuthority": "ca"}, set(), PROJECT)
    assert "ovh_" not in str(caught.value)


def test_all_missing_secrets_are_listed_each_with_its_command_and_source() -> None:
    without = {"kind": "production", **OPERATOR_CONFIG, "hosts": host_config("prod"), "knownHosts": "hosts/prod.known_hosts"}
    with pytest.raises(Refused) as caught:
        read("prod", without, set(), PROJECT)
    assert len(caught.value.problems) == len({*REQUIRED_SECRETS, *(secret.name for secret in storage.secrets(("sese", "seko")))})
    for name in REQUIRED_SECRETS:
        [problem] = [problem for problem in caught.value.problems if f"secret {name} is missing" in problem.what]
        assert problem.example == f"pulumi config set -s prod --secret vpai:{name}"
        assert problem.fix.startswith("get it: ")


@pytest.mark.parametrize("value", ["changeme", "<your key>", "TODO", "your-key-here", "xxxxxxxx"])
def test_placeholders_are_refused(value: str) -> None:
    assert "the secret openai_api_key is a placeholder" in str(refused(openai_api_key=value))


def test_values_that_would_break_a_file_are_refused_without_being_shown() -> None:
    reported = str(refused(openai_api_key="abc'; rm -rf /"))
    assert "does not look like one" in reported
    assert "rm -rf" not in reported


def test_a_secret_in_plain_text_is_refused() -> None:
    raw = {**committed("prod"), **OPERATOR_CONFIG, "hosts": host_config("prod"), **DUMMY_SECRETS}
    with pytest.raises(Refused, match=r"openai_api_key stands in plain text in Pulumi\.prod\.yaml"):
        read("prod", raw, set(DUMMY_SECRETS) - {"openai_api_key"}, PROJECT)


def test_memory_over_the_hosts_is_refused() -> None:
    hosts = json.dumps(
        {**json.loads(host_config("prod")), "sese": {"address": "203.0.113.10", "memoryMib": 2048, "roles": ["stack"]}}
    )
    assert re.search(r"memory limits add up to \d{4,} MiB; the host has 2048 MiB", str(refused(hosts=hosts)))


@pytest.mark.parametrize(
    ("changes", "reported"),
    [
        ({"domain": "no dots"}, "vpai:domain = 'no dots'"),
        ({"vpnCidrs": '["100.64.0.0/33"]'}, "vpai:vpnCidrs.0"),
        ({"hosts": '{"sese": {"address": "203.0.113.10"}}'}, "vpai:hosts.sese.memoryMib is missing"),
        ({"hosts": '{"seko": {"address": "203.0.113.10", "memoryMib": 9000, "roles": ["hub"]}}'}, "is the stack"),
        ({"hosts": host_config("prod").replace("113.11", "113.10")}, "the address '203.0.113.10' belongs to 2 hosts"),
        ({"authorizedKeys": "nowhere"}, "nowhere does not exist"),
        ({"authorizedKeys": "README.md"}, "is not a whole public key"),
        ({"rebootWindow": "25:00"}, "vpai:rebootWindow"),
        ({"trustedAddresses": '["home"]'}, "vpai:trustedAddresses.0"),
        ({"imageMiror": "x"}, "vpai:imageMiror is not a setting"),
        ({"imageLock": "nowhere.yaml"}, "nowhere.yaml does not exist"),
        ({"certificateAuthority": "nowhere"}, "root.crt does not exist"),
        ({"rotations": '{"litellm_salt_key": 1}'}, "cannot be rotated"),
        ({"rotations": '{"no_such": 1}'}, "cannot be rotated"),
        (
            {"hosts": host_config("prod").replace('"sese"', '"Sese"')},
            "vpai:hosts.Sese has a name that it cannot have: String should match",
        ),
        ({"kept": '{"redis_health_password": "x"}'}, "vpai:kept names 'redis_health_password'"),
        ({"kept": '{"litellm_salt_key": "x"}'}, "the secret kept stands in plain text"),
        ({"recoveryRecipient": "AGE-SECRET-KEY-1"}, "vpai:recoveryRecipient"),
        ({"offline": "[waza"}, "vpai:offline = '[waza' is neither a plain value nor a whole list"),
        ({"offline": "[waza", "hosts": "{sese: {", "revertSeconds": "5"}, "3 problems"),
        ({"revertSeconds": "0x10"}, "vpai:revertSeconds = '0x10'"),
        ({"revertSeconds": "1:30"}, "vpai:revertSeconds = '1:30'"),
        ({"revertSeconds": "007"}, "greater than or equal to 10"),
        ({"acmeEmail": "ops@example.org\nadmin 0.0.0.0:2019"}, "vpai:acmeEmail"),
        ({"acmeEmail": "ops@example.org {"}, "vpai:acmeEmail"),
        ({"timezone": "Europe/Pariss"}, "vpai:timezone = 'Europe/Pariss': is no time zone"),
        ({"timezone": "../../etc/passwd"}, "is no time zone"),
        *(
            ({"hosts": json.dumps({**json.loads(host_config("prod")), name: {"address": "203.0.113.99"}})}, f"vpai:hosts.{name}")
            for name in ("a", "host-")
        ),
        *(
            (
                {"hosts": json.dumps({**json.loads(host_config("prod")), "sese": {"address": wrong, "memoryMib": 11264}})},
                "is neither an IP",
            )
            for wrong in ("root@203.0.113.10", "203.0.113.10:22", " 203.0.113.10", "203.0.113", "203.0.113.10\n", "-example.org")
        ),
        (
            {"hosts": json.dumps({**json.loads(host_config("prod")), "app-prod-01": {"server": {"type": "CX 33"}}})},
            "vpai:hosts.app-prod-01.server.type = 'CX 33'",
        ),
        (
            {"hosts": json.dumps({**json.loads(host_config("prod")), "app-prod-01": {"server": {"typ": "cx33"}}})},
            "vpai:hosts.app-prod-01.server.typ is not a setting",
        ),
    ],
)
def test_a_wrong_setting_is_told_by_name(changes: dict[str, str], reported: str) -> None:
    assert reported in str(refused(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"kept": '{"n8n_encryption_key": "SECRET", "litellm_salt_key": [SECRET]}'},
        {"kept": "{n8n_encryption_key: [SECRET"},
        {"recoveryRecipient": "AGE-SECRET-KEY-1SECRET"},
        {"recoveryRecipient": "age-secret-key-1SECRET"},
        {"knownHosts": "-----BEGIN OPENSSH PRIVATE KEY-----SECRET"},
        {"domain": "-----BEGIN OPENSSH PRIVATE KEY----- SECRET"},
        {"hosts": '{"sese": {"address": "-----BEGIN RSA PRIVATE KEY-----SECRET", "memoryMib": 2048}}'},
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_never_shown(changes: dict[str, str]) -> None:
    assert "SECRET" not in str(refused(**changes)).replace("AGE-SECRET-KEY", "")


def test_what_nobody_looked_up_is_left_to_the_up_to_refuse() -> None:
    reported = [problem.what for problem in inputs().unresolved]
    assert any("has no digest" in what for what in reported)
    assert any("host key of sese is not pinned" in what for what in reported)


def test_a_first_up_of_preprod_is_told_everything_that_it_lacks_at_once() -> None:
    with pytest.raises(Refused) as caught:
        read("preprod", {**committed("preprod"), "domain": "", "hosts": "{}"}, set(), PROJECT)
    reported = {problem.what: problem for problem in caught.value.problems}
    secrets = {f"the secret {name} is missing" for name in (*REQUIRED_SECRETS, CLOUD_TOKEN.name)}
    [hosts] = [problem for what, problem in reported.items() if what.startswith("vpai:hosts")]
    assert reported.keys() == {"vpai:domain is missing", hosts.what, *secrets}
    assert '"seko": {"address"' in hosts.fix, "the hub is what a copy has to be told of"


HUB = '{"seko": {"address": "203.0.113.11", "memoryMib": 2048, "roles": ["hub"]}}'


def test_the_hub_of_a_copy_is_pinned_before_anything_is_touched() -> None:
    reported = [problem.what for problem in inputs("preprod", hosts=HUB, hcloud_token="t" * 64).unresolved]
    assert any(what.startswith("the ssh-ed25519 host key of seko is not pinned in") for what in reported)


def test_a_copy_that_names_no_hub_is_no_copy_without_a_mesh_by_mistake() -> None:
    [problem] = refused("preprod", hosts='{"sese": {"address": "203.0.113.10", "memoryMib": 11264}}').problems
    assert "vpai:hosts.sese is for nothing: a copy has a stack, which it rents, and joins a hub" in problem.what


def test_what_is_to_expire_can_be_destroyed() -> None:
    expiring = {"hosts": HUB, "expires": "2026-11-30T12:00Z", "hcloud_token": "t" * 64}
    assert inputs("preprod", **expiring)
    [problem] = refused("preprod", **expiring, protectData="true").problems
    assert "vpai:protectData" in problem.what


def test_hosts_and_services_have_the_one_time_zone_that_is_set() -> None:
    for stack, changes in (("prod", RENTED_HOST), ("preprod", {})):
        found = inputs(stack, **changes, timezone="America/Lima")
        services = [service for _, service in found.fleet.services()]
        assert "Europe/Paris" not in repr([services, found.host_plans])
        reported = {service.name for service in services if "America/Lima" in repr(service)}
        assert reported >= {"postgresql", "n8n", "openclaw", "diun", "sure-web", "sure-worker"}


def test_a_number_is_decimal_and_what_looks_like_a_word_stays_one() -> None:
    assert inputs(revertSeconds="010").settings.revert_seconds == 10
    assert inputs(offline='["waza"]').settings.offline == ("waza",)
    assert inputs(protectData="false").settings.protect_data is False


@pytest.mark.parametrize(
    ("data", "reported"),
    [
        ("\ufeff{key}".encode(), "is not plain UTF-8"),
        ("{key}".encode("utf-16"), "is not plain UTF-8"),
        (b"ssh-ed25519 AAAA \xe9t\xe9", "is not plain UTF-8"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUSECRET\n", "is the beginning of a private key"),
        (b"{key_cut}", "is not a whole public key"),
        (b"ssh-rsa {blob}", "is not a whole public key"),
        (b"{rsa}", "is an RSA key of 2048 bits; sshd accepts 3072 and more"),
    ],
    ids=["a mark in front", "UTF-16", "Latin-1", "a private key", "half a key", "another type than its blob", "too small"],
)
def test_a_key_that_sshd_would_not_take_is_refused_and_never_shown(data: bytes, reported: str) -> None:
    key = next(line for line in (PROJECT / "tests/authorized_keys").read_text().splitlines() if line.startswith("ssh-"))
    if b"{rsa}" in data:
        public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
        data = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    data = (
        data.replace(b"{key_cut}", key[:40].encode()).replace(b"{blob}", key.split()[1].encode()).replace(b"{key}", key.encode())
    )
    with tempfile.NamedTemporaryFile(suffix=".authorized_keys") as file:
        Path(file.name).write_bytes(data)
        said = str(refused(authorizedKeys=file.name))
    assert reported in said
    assert "SECRET" not in said


def test_a_pin_counts_when_it_is_whole_and_of_the_type_that_sshd_shows() -> None:
    key = next(line for line in (PROJECT / "tests/authorized_keys").read_text().splitlines() if line.startswith("ssh-"))
    _, blob, _ = key.split()
    pins = f"sese ssh-ed25519 {blob}\nseko ssh-ed25519 {blob[:30]}\nwaza ecdsa-sha2-nistp256 {blob}\n"
    with tempfile.NamedTemporaryFile(suffix=".known_hosts") as file:
        Path(file.name).write_text(pins)
        found = [problem.what for problem in inputs(knownHosts=file.name).unresolved if "host key of" in problem.what]
    assert [what.split()[5] for what in found] == ["seko", "waza"]
