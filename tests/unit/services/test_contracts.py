"""What the stand-ins of monitoring accept has a named source, and everything else is refused in the real program's words."""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from services import monitoring
from tests.support.fleets import NAMES, PROJECT
from tests.support.whole import placements

IMAGES = PROJECT / "lab/images"
CONTRACTS = {path.parent.name: json.loads(path.read_text()) for path in sorted(IMAGES.glob("*/contract.json"))}
OURS = ("alloy", "diun", "grafana", "loki", "rule-engine", "uptime-kuma")
SERVICES = {
    service.name: service for placement in monitoring.with_monitoring(placements(), NAMES, "") for service in placement.services
}


def file_of(service: str, path: str) -> Any:
    configuration = SERVICES[service].configuration
    assert configuration
    return json.loads(next(file.content for file in configuration.files if file.path == path))


@pytest.fixture(scope="module", autouse=True)
def stand_in() -> Iterator[None]:
    """Where the stand-ins find what they share."""
    sys.path.insert(0, str(IMAGES / "stand-in"))
    yield
    sys.path.remove(str(IMAGES / "stand-in"))


def behaviour(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(f"contract_{name}", IMAGES / name / f"{name}.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    sys.modules[module.__name__] = module
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def grafana() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GF_PATHS_PROVISIONING", "/nowhere")
        patch.setenv("GF_PATHS_DATA", "/nowhere")
        yield behaviour("grafana")


def contract(name: str) -> Any:
    from lab.contract import Contract

    return Contract.load(IMAGES / name / "contract.json")


@pytest.mark.parametrize("name", ["alloy", "diun", "grafana", "loki", "uptime-kuma"])
def test_the_catalogues_own_words_and_variables_are_accepted(name: str) -> None:
    service, of = SERVICES[name], contract(name)
    assert not list(of.at_start(list(service.command), service.environment))


@pytest.mark.parametrize(
    ("name", "arguments", "environment", "said"),
    [
        ("grafana", [], {"GF_USERS_ALLOW_SIGNUP": "false"}, "GF_USERS_ALLOW_SIGNUP"),
        ("loki", ["-config.files=/etc/loki/x.yaml"], {}, "flag provided but not defined: -config.files=/etc/loki/x.yaml"),
        ("alloy", ["run", "--storage=/data"], {}, "unknown flag: --storage=/data"),
        ("diun", ["start"], {}, "unexpected argument start"),
        ("diun", ["serve"], {"DIUN_WATCH_EVERY": "1h"}, "field not found, node: DIUN_WATCH_EVERY"),
    ],
)
def test_another_word_or_variable_is_refused(name: str, arguments: list[str], environment: dict[str, str], said: str) -> None:
    [refusal] = contract(name).at_start(arguments, environment)
    assert said in refusal


def test_grafana_takes_what_is_provisioned_and_no_other_key(grafana: ModuleType) -> None:
    datasources, rules = file_of("grafana", "datasources/datasources.yaml"), file_of("grafana", "alerting/rules.yaml")
    provided = [("datasources", datasources), ("alerting", rules), ("alerting", file_of("grafana", "alerting/contact.yaml"))]
    provided.append(("dashboards", file_of("grafana", "dashboards/dashboards.yaml")))
    for kind, document in provided:
        assert not list(grafana.wrong(kind, [document]))
    assert "datasources[].jsondata" in next(iter(grafana.wrong("datasources", [{"datasources": [{"jsondata": {}}]}])))
    rule = {**rules["groups"][0]["rules"][0], "keepFiring": "5m"}
    assert "keepFiring" in next(iter(grafana.wrong("alerting", [{"groups": [{"rules": [rule]}]}])))
    for change, said in (
        ({"uid": "x" * 41}, "uid"),
        ({"for": "five"}, "for: five"),
        ({"noDataState": "Fine"}, "noDataState: Fine"),
        ({"data": []}, "data: 0"),
    ):
        rule = {**rules["groups"][0]["rules"][0], **change}
        assert any(said in refusal for refusal in grafana.wrong("alerting", [{"groups": [{"rules": [rule]}]}]))


def test_grafanas_command_line_takes_the_catalogues_task_alone(grafana: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    [task] = SERVICES["grafana"].tasks
    assert contract("grafana").accepts("commands", " ".join(task.command[1:]))
    assert grafana.command(["cli", "admin", "reset-password"]) == 1
    assert "No help topic" in capsys.readouterr().err


def test_diun_takes_the_catalogues_images_and_none_without_a_tag() -> None:
    diun = behaviour("diun")
    settings, images = file_of("diun", "diun.yml"), file_of("diun", "images.yml")
    settings["notif"]["telegram"]["chatIDs"] = ["-100123"]
    assert not list(diun.wrong(settings))
    assert not list(diun.unwatched(images))
    for name in ("docker.io/library/redis", "docker.io/library/redis@sha256:" + "b" * 64):
        [refusal] = diun.unwatched([{"name": name}])
        assert name in refusal and "without a tag" in refusal
    assert "field watchRepo not found" in next(iter(diun.unwatched([{"name": "a.b/c:1", "watchRepo": True}]))).replace("[].", "")
    assert list(diun.unwatched([{"name": "a.b/c:1", "sort_tags": "newest"}])) == ['unknown sort tags type "newest"']
    assert list(diun.wrong({})) == ["at least one provider is required"]
    assert "node: watch.every" in next(iter(diun.wrong({"providers": {}, "watch": {"every": "6h"}})))
    assert 'parsing "me"' in next(iter(diun.wrong({"providers": {}, "notif": {"telegram": {"chatIDs": ["me"]}}})))


def test_loki_takes_the_catalogues_settings_and_no_other_key() -> None:
    loki = behaviour("loki")
    settings = file_of("loki", "local-config.yaml")
    assert not list(loki.wrong(settings))
    settings["limits_config"]["retention"] = "336h"
    [refusal] = loki.wrong(settings)
    assert refusal == "failed parsing config: yaml: unmarshal errors: field limits_config.retention not found"


@pytest.mark.parametrize(
    ("labels", "text", "age", "said"),
    [
        ({"service": "a"}, "a line", 60, ""),
        ({}, "a line", 60, "at least one label pair"),
        ({f"label{number}": "x" for number in range(16)}, "a line", 60, "16 label names; limit 15"),
        ({"service": "a"}, "x" * 262_145, 60, "max entry size '262144' bytes exceeded"),
        ({"service": "a"}, "a line", 169 * 3600, "timestamp too old"),
        ({"service": "a"}, "a line", -3600, "timestamp too new"),
    ],
)
def test_loki_keeps_its_limits(labels: dict[str, str], text: str, age: int, said: str) -> None:
    loki, now = behaviour("loki"), time.time()
    refusal = loki.refused([loki.Line(int((now - age) * 1e9), labels, text)], now)
    assert said in refusal and bool(refusal) == bool(said)


def kuma(monitor: dict[str, Any]) -> str:
    """What the stand-in for Uptime Kuma says of a monitor; empty where it takes it."""
    script = "try { require(process.argv[1]).validate(JSON.parse(process.argv[2])) } catch (e) { console.log(e.message) }"
    words = ["node", "-e", script, str(IMAGES / "uptime-kuma/contract.js"), json.dumps(monitor)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def test_uptime_kuma_takes_the_catalogues_monitors() -> None:
    [task] = SERVICES["uptime-kuma"].tasks
    for monitor in json.loads(task.stdin)["monitors"]:
        assert kuma(monitor) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        # On 42be7a5 the push monitor had none, and no change of it was ever taken.
        ({"retryInterval": None}, "Retry interval cannot be less than 1 seconds"),
        ({"interval": 0}, "Interval cannot be less than 1 seconds"),
        ({"interval": 2_073_601}, "Interval cannot be more than 2073600 seconds"),
        ({"colour": "red"}, "table monitor has no column named colour"),
        ({"conditions": None}, "NOT NULL constraint failed: monitor.conditions"),
        ({"accepted_statuscodes": [200]}, "Accepted status codes are not all strings"),
        ({"type": "carrier-pigeon"}, "Unknown Monitor Type"),
    ],
)
def test_uptime_kuma_refuses_another_monitor(change: dict[str, Any], said: str) -> None:
    [task] = SERVICES["uptime-kuma"].tasks
    push = next(monitor for monitor in json.loads(task.stdin)["monitors"] if monitor["type"] == "push")
    assert said in kuma({**push, **change})


@pytest.mark.parametrize("name", ["alloy", "grafana", "loki"])
def test_a_stand_in_answers_no_path_without_a_source(name: str) -> None:
    from standin import Request, Spec, StandIn

    spec = Spec.load(IMAGES / name / "spec.json")
    of = contract(name)
    served = StandIn(spec, contract=of)
    for port in spec.ports:
        asked = Request(port.number, "GET", "/api/v9/wish", {}, {}, b"")
        reply = served.serve(port, asked)
        assert (reply.status, reply.body.decode()) == (404, of.refusal("paths", asked.path))
        for path in (port.metrics, *port.replies):
            assert of.accepts("paths", f"GET {path}"), path
