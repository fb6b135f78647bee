"""DIUN 4.31: tells when an image that runs here has a newer tag."""

import json

from model.backup import Nothing
from model.service import Configuration, File, Healthcheck, Limits, Logs, Replacement, Service, Silent, Volume
from services import docker_proxy, telegram
from services.networks import EGRESS, MONITORING

DIRECTORY = "/etc/diun"


def service(scale: float = 1.0) -> Service:
    """DIUN; it asks docker-proxy what runs, and the registries over egress."""
    return Service(
        name="diun",
        image="docker.io/crazymax/diun:4.31.0",
        networks=(EGRESS.name, MONITORING.name),
        limits=Limits(memory_mib=64, cpus=0.25).scaled(scale),
        replacement=Replacement.STOP_FIRST,
        metrics=Silent(reason="shows none; what it finds goes to Telegram"),
        logs=Logs.PLAIN,
        environment={"TZ": "Europe/Paris", "CONFIG": f"{DIRECTORY}/diun.yml"},
        configuration=Configuration(directory=DIRECTORY, files=(File(path="diun.yml", content=_settings()),)),
        secrets=(telegram.MONITORING_TOKEN, telegram.MONITORING_CHAT),
        volumes=(
            Volume(
                path="/data",
                directory="diun",
                owner="0:0",
                mode=0o755,
                backup=Nothing(reason="which tags it has already told of"),
            ),
        ),
        needs=("docker-proxy",),
        # It has no port; a scan that fails is in its log.
        healthcheck=Healthcheck(command=("sh", "-c", "kill -0 1"), interval=30, timeout=5, retries=3, start_period=30),
        capabilities=("DAC_OVERRIDE", "FOWNER"),
        scratch=("/tmp",),
    )


def _settings() -> str:
    """JSON is YAML."""
    return json.dumps(
        {
            "watch": {"schedule": "0 */6 * * *", "firstCheckNotif": False, "runOnStartup": True},
            "defaults": {"watchRepo": False, "includeTags": [r"^\d+\.\d+\.\d+$", r"^v\d+\.\d+\.\d+$"]},
            "providers": {
                "docker": {
                    "endpoint": f"tcp://docker-proxy:{docker_proxy.READ_PORT}",
                    "watchByDefault": True,
                    "watchStopped": False,
                }
            },
            "notif": {"telegram": {"token": str(telegram.MONITORING_TOKEN), "chatIDs": [str(telegram.MONITORING_CHAT)]}},
        },
        indent=2,
    )
