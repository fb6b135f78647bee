"""The lab's addresses, names, images and records, without a machine to raise it on."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lab import images, machines
from lab.errors import LabError
from lab.layout import CLOUD, HOSTS, OPERATOR, OUTSIDER, PROVIDERS, SEKO, STORAGE, Addresses, Layout
from lab.machine import FileInside, Machine
from lab.machines import HUB_SITES
from lab.record import Record
from tests.support.fleets import PROJECT, inputs


def test_two_checkouts_have_two_labs(tmp_path: Path) -> None:
    one, other = (Layout.of_checkout(tmp_path / name) for name in ("one", "other"))
    assert one.id != other.id
    assert one.named("sese") != other.named("sese")
    assert one.directory != other.directory


def test_a_checkout_keeps_its_lab(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "checkout")
    assert Layout.of_checkout(tmp_path / "link").id == Layout.of_checkout(tmp_path / "checkout").id


def test_the_id_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPAI_LAB_ID", "00c0ffee")
    assert Layout.of_checkout(tmp_path).id == "00c0ffee"


def test_an_id_that_no_network_can_bear_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPAI_LAB_ID", "my lab")
    with pytest.raises(LabError, match=r"VPAI_LAB_ID is 'my lab'.*eight hexadecimal digits.*export VPAI_LAB_ID="):
        Layout.of_checkout(tmp_path)


@pytest.mark.parametrize("digits", ["00000000", "ffffffff", "000000fe"])
def test_every_id_leads_to_a_usable_octet(tmp_path: Path, digits: str) -> None:
    assert 1 <= Layout(tmp_path, digits, tmp_path).first_number <= 254


def test_machines_keep_their_places() -> None:
    addresses = Addresses(7)
    places = [addresses.on_internet(machine) for machine in (CLOUD, STORAGE, OPERATOR, OUTSIDER, *HOSTS)]
    assert places == [f"198.18.7.{octet}" for octet in (2, 3, 5, 6, 10, 11, 12)]
    assert Addresses(254).on_internet_v6(SEKO) == "fd00:c612:fe::11"


def test_names_lead_to_public_addresses_and_nowhere_else() -> None:
    lines = machines.names(Addresses(7), SEKO).splitlines()
    assert "address=/vpai.test/198.18.7.10" in lines
    assert "address=/singa.vpai.test/198.18.7.11" in lines
    assert "address=/waza.vpai.test/198.18.7.12" in lines
    assert "address=/na.vpai.test/" in lines
    assert "address=/registry.vpai.test/198.18.7.2" in lines
    assert all(f"address=/{name}/198.18.7.2" in lines for name in PROVIDERS)
    assert "address=/fsn1.your-objectstorage.com/198.18.7.3" in lines
    assert "no-resolv" in lines
    assert [line for line in lines if line.startswith("server=")] == ["server=/vpai.test/127.0.0.1#5300"]


def test_a_changed_description_makes_another_machine() -> None:
    one = Machine("sese", "c", "image:1", "net", ("198.18.7.10", "fd00::10"), files={"/a": FileInside("text")})
    assert one.recipe == replace(one).recipe
    assert one.recipe != replace(one, files={"/a": FileInside("text", mode=0o600)}).recipe
    assert one.recipe != replace(one, addresses=("198.18.8.10", "fd00::10")).recipe
    assert one.recipe != replace(one, resolver=(Path("resolv"), "nameserver 198.18.7.2")).recipe


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the images' recipes that a test may change."""
    for name in ("images", "providers"):
        shutil.copytree(Path("lab") / name, tmp_path / "lab" / name)
    monkeypatch.setattr(images, "_HERE", tmp_path / "lab")
    for program in ("caddy", "headscale", "tailscale", "tailscaled", "versitygw", "restic"):
        (tmp_path / program).write_text(program)
    return tmp_path


def _keys(recipes: Path, root: str = "root") -> dict[str, str]:
    inputs = images.Inputs(root_certificate=root, executables=recipes, cache=recipes)
    return {name: image.key for name, image in images.describe(inputs).items()}


def test_only_what_changed_is_built_again(recipes: Path) -> None:
    before = _keys(recipes)
    with (recipes / "lab/images/litellm/prod_entrypoint.sh").open("a") as script:
        script.write("# changed\n")
    after = _keys(recipes)
    assert {name for name in before if before[name] != after[name]} == {"litellm", "litellm-next"}


@pytest.mark.parametrize(
    ("program", "changed"), [("caddy", {"caddy"}), ("headscale", {"headscale"}), ("tailscaled", {"host", "server"})]
)
def test_another_executable_is_another_image(recipes: Path, program: str, changed: set[str]) -> None:
    before = _keys(recipes)
    (recipes / program).write_text("newer")
    after = _keys(recipes)
    assert {name for name in before if before[name] != after[name]} == changed


def test_another_authority_changes_all_but_debian(recipes: Path) -> None:
    before, after = _keys(recipes), _keys(recipes, root="another")
    assert {name for name in before if before[name] == after[name]} == {"debian"}


def test_every_served_image_says_what_it_holds(recipes: Path) -> None:
    inputs = images.Inputs(root_certificate="root", executables=recipes, cache=recipes)
    described = images.describe(inputs)
    for service in images.SERVICES.values():
        assert service.real.startswith(("real: ", "stand-in: "))
        assert described[service.recipe].label == service.real


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = Record("00c0ffee", 7, {"sese": "vpai-00c0ffee-sese"}, {"sese": "vpai-lab/host:1"}, "/toolchain", "/site")
    record.save(tmp_path)
    assert Record.load(tmp_path) == record


@pytest.mark.parametrize("text", [None, "{", "{}"])
def test_without_a_lab_the_message_says_how_to_raise_one(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "lab.json").write_text(text)
    with pytest.raises(LabError, match="python3 -m lab up"):
        Record.load(tmp_path)


def test_dns_leads_every_site_of_the_hub_to_the_hub_in_the_lab_and_in_the_runbook() -> None:
    [hub] = [placement for placement in inputs("lab").fleet.placements if placement.host.name == "seko"]
    assert set(HUB_SITES) == {site.host.partition(".")[0] for site in hub.sites()}
    runbook = (PROJECT / "docs/runbooks/first-deploy.md").read_text()
    assert all(f"`{site}`" in runbook for site in HUB_SITES)


def test_a_further_lab_is_found_in_its_checkout_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    further = Layout.of_checkout(tmp_path).further("gw1")
    assert Layout.of_checkout(further.checkout).id != further.id
    monkeypatch.setenv("VPAI_LAB_ID", further.id)
    assert Layout.of_checkout(further.checkout).named("operator") == further.named("operator")
