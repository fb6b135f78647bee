"""Every credential of the catalogue, tried on the deployed lab: the right one is accepted, a wrong one and none are refused."""

from collections.abc import Mapping

from model.credential import Credential
from tests.lab.deployment import Deployment
from tests.support.fleets import inputs


def answers(stack: Deployment) -> Mapping[tuple[str, str, str], tuple[str, str, str, str]]:
    """Host, service and credential -> verdict, and the results of the right one, a wrong one, and none."""
    lines = stack.operate("authentication", check=False).stdout.splitlines()
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[2 : lines.index("")]]
    return {(row[1], row[2], row[3]): (row[0], row[4], row[5], row[6]) for row in rows}


def test_each_credential_is_accepted_a_wrong_one_and_none_are_refused(deployed: Deployment) -> None:
    declared = {
        (placement.host.name, service.name, credential.secret.name)
        for placement, service in inputs("lab").fleet.services()
        for credential in service.credentials
        if isinstance(credential, Credential)
    }
    found = answers(deployed)
    assert set(found) == declared
    right = ("ok", "let in", "refused", "refused")
    assert {name: answer for name, answer in found.items() if answer != right} == {}


def test_the_walk_sees_a_password_that_somebody_changed(deployed: Deployment) -> None:
    own = deployed.secrets["postgresql_sure_password"]
    deployed.sql("postgres", "ALTER ROLE sure PASSWORD 'another'")
    try:
        assert answers(deployed)["sese", "postgresql", "postgresql_sure_password"] == ("FAILED", "refused", "refused", "refused")
    finally:
        deployed.sql("postgres", f"ALTER ROLE sure PASSWORD '{own}'")
