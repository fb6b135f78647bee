"""Names of Grafana's sources of metrics and logs, by which dashboards and rules refer to them."""

from services import loki, victoriametrics

METRICS = victoriametrics.ENDPOINT.service
LINES = loki.ENDPOINT.service
