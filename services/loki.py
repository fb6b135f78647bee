"""Loki 3.6: stores every log line for fourteen days."""

import json
from collections.abc import Iterator

from model.backup import Nothing
from model.endpoint import Endpoint
from model.route import Access, Route
from model.service import Configuration, File, Healthcheck, Limits, Logs, Metrics, Replacement, Service, Volume
from services.context import Context
from services.networks import MONITORING

DIRECTORY = "/etc/loki"
PORT = 3100
PUSH_PATH = "/loki/api/v1/push"
ENDPOINT = Endpoint(service="loki", port=PORT, network=MONITORING.name, site="logs")


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(of.scale)


def service(scale: float = 1.0) -> Service:
    """One Loki with all its parts; Alloy writes, Grafana reads; members of the mesh may write."""
    return Service(
        name="loki",
        image="docker.io/grafana/loki:3.6.5",
        networks=(MONITORING.name,),
        limits=Limits(memory_mib=352, cpus=0.5).scaled(scale),
        replacement=Replacement.STOP_FIRST,
        metrics=Metrics(port=PORT),
        logs=Logs.LOGFMT,
        command=(f"-config.file={DIRECTORY}/local-config.yaml", "-target=all"),
        configuration=Configuration(
            directory=DIRECTORY, owner="10001:10001", files=(File(path="local-config.yaml", content=_settings()),)
        ),
        volumes=(
            Volume(
                path="/loki",
                directory="loki",
                owner="10001:10001",
                mode=0o755,
                backup=Nothing(reason="fourteen days of logs are not restored"),
            ),
        ),
        routes=(
            # Alloy of the other hosts writes here. This path needs no password, so no other path is open.
            Route(subdomain=ENDPOINT.site, port=PORT, access=Access.VPN, paths=(PUSH_PATH,)),
        ),
        # The image has no shell; the flag exists from 3.6.5 on.
        healthcheck=Healthcheck(command=("/usr/bin/loki", "-health"), interval=30, timeout=5, retries=5, start_period=60),
        user="10001:10001",
        tmpfs=("/tmp",),
        stop_timeout=30,
    )


def _settings() -> str:
    """Settings in JSON, which is YAML too. The ring is in memory, in both places, without a member list: else it stays empty."""
    ring = {"kvstore": {"store": "inmemory"}}
    return json.dumps(
        {
            "auth_enabled": False,
            "server": {"http_listen_port": PORT, "grpc_listen_port": 9096, "log_level": "warn"},
            "common": {
                "instance_addr": "127.0.0.1",
                "path_prefix": "/loki",
                "replication_factor": 1,
                "ring": ring,
                "storage": {"filesystem": {"chunks_directory": "/loki/chunks", "rules_directory": "/loki/rules"}},
            },
            "memberlist": {"join_members": []},
            "ingester": {
                "lifecycler": {"ring": ring},
                "chunk_idle_period": "1h",
                "max_chunk_age": "2h",
                "wal": {"dir": "/loki/wal"},
            },
            "schema_config": {
                "configs": [
                    {
                        "from": "2024-01-01",
                        "store": "tsdb",
                        "object_store": "filesystem",
                        "schema": "v13",
                        "index": {"prefix": "index_", "period": "24h"},
                    }
                ]
            },
            "limits_config": {
                "retention_period": "336h",
                "max_query_length": "721h",
                "reject_old_samples": True,
                "reject_old_samples_max_age": "168h",
                "ingestion_rate_mb": 10,
                "ingestion_burst_size_mb": 20,
            },
            "compactor": {
                "working_directory": "/loki/compactor",
                "compaction_interval": "10m",
                "retention_enabled": True,
                "retention_delete_delay": "2h",
                "delete_request_store": "filesystem",
            },
            "analytics": {"reporting_enabled": False},
        },
        indent=2,
    )
