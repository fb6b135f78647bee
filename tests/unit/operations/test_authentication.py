"""Every secret of the catalogue is a credential with a question that shows it, or says why there is none."""

from dataclasses import replace

import pytest

from lab.reference import PAGE, page, unproven
from model.credential import Credential
from model.fleet import Fleet
from model.secret import Generated, Secret
from operations.reference.catalogue import example_fleet

FLEET = example_fleet()
CREDENTIALS = [
    pytest.param(service, credential, id=f"{placement.host.name}-{service.name}-{credential.secret.name}")
    for placement, service in FLEET.services()
    for credential in service.credentials
]


def test_the_page_is_what_make_docs_writes() -> None:
    assert PAGE.read_text() == page(FLEET), "docs/reference/authentication.md is stale: run `make docs` and commit it"


def test_every_secret_has_a_question_or_a_reason() -> None:
    silent = [secret.name for secret, reason in unproven(FLEET) if not reason]
    assert not silent, f"say in the service's `credentials` what {silent} open, or why no question shows it"


def test_a_secret_that_nobody_thought_of_is_noticed() -> None:
    forgotten = Secret(name="forgotten", source=Generated())
    assert (forgotten, "") in unproven(_with_secret(FLEET, forgotten))


@pytest.mark.parametrize(("service", "credential"), CREDENTIALS)
def test_a_credential_is_a_secret_of_its_service_and_told_once(service, credential) -> None:  # type: ignore[no-untyped-def]
    own = {*service.secrets, *(database.password for database in service.databases)}
    assert credential.secret in own
    assert [credential.secret for credential in service.credentials].count(credential.secret) == 1


def test_the_credentials_of_the_specification_are_asked_for() -> None:
    asked = {
        credential.secret.name
        for _, service in FLEET.services()
        for credential in service.credentials
        if isinstance(credential, Credential)
    }
    assert {
        *("litellm_ui_password", "litellm_master_key", "litellm_salt_key", "openclaw_api_key", "qdrant_api_key"),
        *("nocodb_jwt_secret", "nocodb_api_token", "grafana_admin_password", "sure_secret_key_base", "sure_api_key"),
        *("couchdb_admin_password", "couchdb_obsidian_password", "n8n_owner_password", "n8n_encryption_key"),
    } <= asked


def _with_secret(fleet: Fleet, secret: Secret) -> Fleet:
    first, *others = fleet.placements
    service, *further = first.services
    changed = replace(service, secrets=(*service.secrets, secret))
    return replace(fleet, placements=(replace(first, services=(changed, *further)), *others))
