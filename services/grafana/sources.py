"""What Grafana's sources of numbers and of log lines are called, by whom dashboards and rules know them."""

from services import loki, victoriametrics

METRICS = victoriametrics.ENDPOINT.service
LINES = loki.ENDPOINT.service
