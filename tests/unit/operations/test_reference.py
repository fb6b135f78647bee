"""The committed reference is what the catalogue says today."""

from operations.reference.catalogue import PAGE, example_fleet, page


def test_the_reference_page_is_what_make_docs_writes() -> None:
    assert PAGE.read_text() == page(example_fleet()), "docs/reference/catalogue.md is stale: run `make docs` and commit it"


def test_it_names_every_service_and_no_secret_value() -> None:
    fleet = example_fleet()
    text = page(fleet)
    for placement, service in fleet.services():
        assert f"| {placement.host.name} | {service.name} |" in text
    assert "${secret:" not in text
