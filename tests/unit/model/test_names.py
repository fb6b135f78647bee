"""What a site is called below the domain is the operator's: by default its own name, and another by configuration alone."""

import json

import pytest

from model.names import FRONT_PAGE
from model.problem import Refused
from services import catalogue
from tests.support.fleets import RENTED_HOST, inputs

PREDECESSORS = {"n8n": "mayi", "grafana": "tala", "litellm": "llm", "mesh": "singa"}


def hosts(**changes: str) -> set[str]:
    return {site.host for site in inputs("prod", **{**RENTED_HOST, **changes}).fleet.sites()}


def test_a_site_is_called_by_its_own_name_unless_the_operator_says_otherwise() -> None:
    given = hosts(subdomains="{}")
    everything = catalogue.sites_of_all() - {"hosts", FRONT_PAGE}
    assert given == {"vpai.example.org", *(f"{site}.vpai.example.org" for site in everything)}
    assert hosts(subdomains='{"n8n": "workflows"}') == {*given, "workflows.vpai.example.org"} - {"n8n.vpai.example.org"}


def test_the_predecessors_names_are_its_operators_configuration() -> None:
    assert {f"{name}.vpai.example.org" for name in PREDECESSORS.values()} <= hosts()


def test_whatever_says_a_renamed_sites_address_says_the_new_one() -> None:
    old, new = (repr(inputs("prod", subdomains=json.dumps(renamed)).fleet) for renamed in ({}, _all_renamed()))
    for site in sorted(catalogue.sites_of_all()):
        assert f"{site}.vpai.example.org" not in new, site
        assert f"{site}-own.vpai.example.org" in new or f"{site}.vpai.example.org" not in old, site


def _all_renamed() -> dict[str, str]:
    return {site: f"{site}-own" for site in catalogue.sites_of_all()}


def test_names_that_cannot_be_are_told_all_at_once_with_everything_else() -> None:
    wrong = {"n8n": "grafana", "wordpress": "blog", "litellm": "No Label", "status": "misu"}
    with pytest.raises(Refused) as refused:
        inputs("prod", subdomains=json.dumps(wrong), revertSeconds="5")
    reported = " | ".join(problem.what for problem in refused.value.problems)
    assert "gives the name 'grafana' to grafana and n8n" in reported
    assert "names 'wordpress'" in reported
    assert "vpai:subdomains.litellm = 'No Label'" in reported
    assert "vpai:revertSeconds" in reported


@pytest.mark.parametrize("wrong", ["n8n.automation", "-n8n", "n8n_", "", "a" * 64, "ünicode"])
def test_a_name_is_one_dns_label(wrong: str) -> None:
    with pytest.raises(Refused, match=r"vpai:subdomains\.n8n"):
        inputs("prod", subdomains=json.dumps({"n8n": wrong}))
