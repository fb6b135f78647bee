"""The lab's Alloy reads what production's is given, and refuses what the real one would refuse."""

import importlib.util
import struct
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from services import monitoring
from tests.support.fleets import NAMES, PROJECT
from tests.support.whole import placements

CONFIGURATIONS = {
    placement.host.name: file.content
    for placement in monitoring.with_monitoring(placements(), NAMES, "-----BEGIN CERTIFICATE-----\n")
    for service in placement.services
    if service.configuration
    for file in service.configuration.files
    if file.path == "config.alloy"
}


@pytest.fixture(scope="module")
def alloy() -> Iterator[ModuleType]:
    sys.path.insert(0, str(PROJECT / "lab/images/stand-in"))
    try:
        found = importlib.util.spec_from_file_location("alloy_stand_in", PROJECT / "lab/images/alloy/alloy.py")
        assert found and found.loader
        module = importlib.util.module_from_spec(found)
        # Where its dataclasses look for what their annotations name.
        sys.modules["alloy_stand_in"] = module
        found.loader.exec_module(module)
        yield module
    finally:
        sys.path.pop(0)
        sys.modules.pop("alloy_stand_in", None)


@pytest.mark.parametrize("host", CONFIGURATIONS)
def test_it_reads_and_knows_every_part_of_a_configuration(alloy: ModuleType, host: str) -> None:
    assert {block.name for block in alloy.read(CONFIGURATIONS[host])} >= {"prometheus.remote_write.store", "loki.write.store"}


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        # What broke the predecessor's configuration as soon as its workstation was known.
        ("honor_labels", "extra_labels", 'unrecognized attribute name "extra_labels"'),
        ("stage.docker", "stage.dockers", 'unrecognized block name "stage.dockers"'),
        ("prometheus.relabel", "prometheus.rename", 'cannot find the definition of component name "prometheus.rename"'),
        (
            "[prometheus.relabel.containers.receiver]",
            "[prometheus.relabel.container.receiver]",
            "does not exist or is out of scope",
        ),
        ('"labeldrop"', '"labelfall"', 'unrecognized action type "labelfall"'),
        ('job_name        = "alloy"', "job_name        = ", "config.alloy"),
    ],
)
def test_it_refuses_what_the_real_one_would(alloy: ModuleType, was: str, becomes: str, message: str) -> None:
    assert was in CONFIGURATIONS["sese"]
    with pytest.raises(ValueError, match=message):
        alloy.read(CONFIGURATIONS["sese"].replace(was, becomes))


def test_a_containers_numbers_belong_to_its_service(alloy: ModuleType) -> None:
    rules = next(block for block in alloy.read(CONFIGURATIONS["sese"]) if block.name == "prometheus.relabel.containers").inner(
        "rule"
    )
    series = {"__name__": "container_last_seen", "service": "cadvisor", "name": "javisi_redis"}
    ours = {**series, "container_label_vpai_service": "redis", "container_label_vpai_stack": "prod"}
    assert alloy._relabelled(rules, ours) == {**series, "service": "redis"}
    assert alloy._relabelled(rules, series) == {name: value for name, value in series.items() if name != "service"}
    own = {"__name__": "up", "service": "cadvisor"}
    assert alloy._relabelled(rules, own) == own


def test_what_it_writes_is_snappy_around_every_byte(alloy: ModuleType) -> None:
    body = alloy._write_request([({"__name__": "up", "number": str(number)}, 1.0) for number in range(5000)])
    length, at = 0, 0
    for shift in range(0, 35, 7):
        length |= (body[at] & 127) << shift
        at += 1
        if body[at - 1] < 128:
            break
    text = b""
    while at < len(body):
        assert body[at] == 0xF4
        (size,) = struct.unpack_from("<H", body, at + 1)
        text += body[at + 3 : at + 4 + size]
        at += 4 + size
    assert len(text) == length > 65536


def test_of_two_labels_of_one_name_the_targets_counts_unless_the_series_own_are_honored(alloy: ModuleType) -> None:
    """prometheus/prometheus v0.308.0, scrape/scrape.go, mutateSampleLabels."""
    caddys = {"__name__": "caddy_http_requests_total", "host": "tala.example.org"}
    target = {"job": "caddy", "host": "sese", "service": "caddy"}
    assert alloy.labelled(caddys, target, honor=False) == {
        **target,
        "__name__": caddys["__name__"],
        "exported_host": caddys["host"],
    }
    assert alloy.labelled(caddys, target, honor=True) == {**target, **caddys}


def test_a_probe_is_up_whatever_it_found(alloy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """grafana/alloy v1.13.0, internal/component/prometheus/exporter/blackbox/blackbox.go: Alloy itself is scraped for it."""
    blocks = {block.name: block for block in alloy.read(CONFIGURATIONS["sese"])}
    monkeypatch.setattr(alloy, "_COMPONENTS", blocks)
    monkeypatch.setattr(alloy, "_expiry", lambda *_: (_ for _ in ()).throw(OSError("refused")))
    scrape = alloy._Scrape(blocks["prometheus.scrape.certificates"])
    target, read = next(iter(scrape._targets()))
    found = {labels["__name__"]: (labels, value) for labels, value in scrape._scraped(target, read)}
    assert found["probe_success"][1] == 0.0
    labels, value = found["up"]
    assert value == 1.0
    assert labels["job"] == f"integrations/blackbox/{labels['site']}"
    assert "service" not in labels


def test_what_is_gone_is_marked_as_stale(alloy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """prometheus/prometheus v0.308.0, scrape/scrape.go and model/value/value.go."""
    scrape = alloy._Scrape(
        alloy.Block("prometheus.scrape", "x", {"targets": [{"__address__": "x:1"}], "forward_to": ["store.receiver"]})
    )
    sent: list[list[tuple[dict[str, str], float]]] = []
    monkeypatch.setattr(alloy, "_forward", lambda _, found: sent.append(list(found)))
    monkeypatch.setattr(scrape, "_asked", lambda _: iter([({"__name__": "a"}, 1.0)]))
    scrape.run()
    monkeypatch.setattr(scrape, "_asked", lambda _: (_ for _ in ()).throw(OSError("refused")))
    scrape.run()
    assert [(labels["__name__"], value) for labels, value in sent[0]] == [("a", 1.0), ("up", 1.0)]
    values = {labels["__name__"]: struct.pack("<d", value) for labels, value in sent[1]}
    assert values["a"] == struct.pack("<Q", 0x7FF0000000000002)
    assert values["up"] == struct.pack("<d", 0.0)
