"""VictoriaMetrics 1.135: stores every metric for thirty days."""

from collections.abc import Iterator

from model.backup import Nothing
from model.endpoint import Endpoint
from model.route import Access, Route
from model.service import Healthcheck, Limits, Logs, Metrics, Replacement, Service, Volume
from services.context import Context
from services.networks import MONITORING

PORT = 8428
QUERY_BYTES = 128 * 1024
"""The longest query: the front page asks for every alert at once, which is more than the default of 16 KiB."""
WRITE_PATH = "/api/v1/write"
ENDPOINT = Endpoint(service="victoriametrics", port=PORT, network=MONITORING.name, site="metrics")


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(of.scale)


def service(scale: float = 1.0) -> Service:
    """The store of metrics; Alloy writes, Grafana reads; members of the mesh may write."""
    return Service(
        name="victoriametrics",
        image="docker.io/victoriametrics/victoria-metrics:v1.135.0",
        networks=(MONITORING.name,),
        # 34 to 38 MiB in the lab, with every series that production has but for its thirty days (docs/adr/0021).
        limits=Limits(memory_mib=256, cpus=0.5).scaled(scale),
        replacement=Replacement.STOP_FIRST,
        metrics=Metrics(port=PORT),
        logs=Logs.PLAIN,
        command=(
            "-storageDataPath=/storage",
            "-retentionPeriod=30d",
            f"-httpListenAddr=:{PORT}",
            f"-search.maxQueryLen={QUERY_BYTES}",
        ),
        volumes=(
            Volume(
                path="/storage",
                directory="victoriametrics",
                owner="20004:20004",
                mode=0o755,
                backup=Nothing(
                    reason="thirty days of history are not worth their size; rules and dashboards are in this repository"
                ),
            ),
        ),
        routes=(
            # Alloy of the other hosts writes here. This path needs no password, so no other path is open.
            Route(subdomain=ENDPOINT.site, port=PORT, access=Access.VPN, paths=(WRITE_PATH,)),
        ),
        healthcheck=Healthcheck(
            command=("wget", "-q", "--spider", f"http://127.0.0.1:{PORT}/-/healthy"),
            interval=10,
            timeout=5,
            retries=5,
            start_period=30,
        ),
        user="20004:20004",
        stop_timeout=30,
    )
