"""The selectors that are asked of the store are those of the expressions, all of them."""

import pytest

from model.dashboard import Form
from services import monitoring
from services.grafana import dashboards
from tests.support.selectors import Selector, selectors
from tests.support.whole import placements


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("sum by (host) (vpai_service_running)", ["vpai_service_running{}"]),
        ('max(up{host="a"}) or vector(0)', ['up{host="a"}']),
        ('1 - avg(rate(node_cpu_seconds_total{mode="idle"}[5m]))', ['node_cpu_seconds_total{mode="idle"}']),
        ('(a{x=~"$host"} - time()) / 86400', ['a{x=~".*"}']),
        ('count(b{x="1"} == 1) / 2', ['b{x="1"}']),
        ('a{x="1"} / on (host) group_left (y) (b{x!="2"} > 0)', ['a{x="1"}', 'b{x!="2"}']),
    ],
)
def test_an_expression_has_these_selectors(expression: str, found: list[str]) -> None:
    assert [str(selector) for selector in selectors(expression)] == found


def test_every_alert_and_every_panel_of_numbers_has_a_selector() -> None:
    for alert in monitoring.alerts(placements()):
        assert list(selectors(alert.measure)), alert.uid
    services = (service for placement in placements() for service in placement.services)
    for dashboard in dashboards.of(services, backed_up=True):
        for panel in dashboard.panels:
            for query in panel.queries.values():
                assert panel.form is Form.LOG or list(selectors(query)), panel.title


def test_a_selector_means_a_series_whose_labels_match() -> None:
    [selector] = selectors('a{host="sese",code=~"5..",service!=""}')
    assert selector == Selector("a", (("host", "=", "sese"), ("code", "=~", "5.."), ("service", "!=", "")))
    series = {"__name__": "a", "host": "sese", "code": "502", "service": "caddy"}
    assert selector.means(series)
    for change in ({"__name__": "b"}, {"host": "seko"}, {"code": "2502"}, {"service": ""}):
        assert not selector.means({**series, **change})
