"""Headscale 0.28: the mesh's control server, with an embedded relay. Members and DNS records are not part of this module.

The policy and the DNS records are merged on the hub from one part per stack (components/scripts/mesh_hub.sh): production and an
ephemeral copy of it share the hub without editing each other's part. They are in a directory that only root can write.
"""

import json
from collections.abc import Iterator
from datetime import date

from model.backup import Files, Nothing
from model.check import AtSite
from model.mesh import Mesh
from model.names import MESH
from model.route import Access, RateLimit, Route
from model.service import Configuration, File, Healthcheck, Limits, Logs, May, NotCollected, Port, Replacement, Service, Volume
from model.waiver import Waiver
from services.context import Context
from services.networks import EGRESS, HUB

DIRECTORY = "/etc/headscale"
MERGED = "/var/lib/headscale-mesh"
"""Directory of the merged files; mesh_hub.sh names it too."""
MERGED_DIRECTORY = "headscale-mesh"
_PORT = 8080
_USER = "20001:20001"
_STUN = 3478


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    assert of.mesh
    yield service(of.mesh)


def service(mesh: Mesh, scale: float = 1.0) -> Service:
    """The hub's Headscale; Caddy has its certificate."""
    return Service(
        name="headscale",
        image="docker.io/headscale/headscale:0.28.0",
        networks=(HUB.name, EGRESS.name),
        # 20 MiB in the lab with five members and the relay in use (docker stats, 2026-11-23).
        limits=Limits(memory_mib=80, cpus=0.5).scaled(scale),
        replacement=Replacement.STOP_FIRST,
        metrics=NotCollected(reason="its metrics listener serves /debug/ too, to whoever reaches it: it stays on 127.0.0.1"),
        logs=Logs.PLAIN,
        command=("serve",),
        configuration=Configuration(directory=DIRECTORY, owner=_USER, files=(File(path="config.yaml", content=_settings(mesh)),)),
        volumes=(
            Volume(
                path="/var/lib/headscale",
                directory="headscale",
                owner=_USER,
                mode=0o700,
                backup=Files(sqlite=("db.sqlite",)),
            ),
            Volume(
                path=MERGED,
                directory=MERGED_DIRECTORY,
                owner="0:0",
                mode=0o755,
                backup=Nothing(reason="each stack's next `up` publishes its part again"),
                read_only=True,
            ),
        ),
        routes=(
            Route(
                subdomain=MESH,
                port=_PORT,
                access=Access.PUBLIC,
                reason="a machine must reach the login server before it is a member",
                # The API takes keys that nobody needs: members are added on the hub itself.
                refused_paths=("/api/*", "/swagger*", "/apple*", "/windows*"),
                # A member sends a few requests a minute and keeps two connections; a whole household may share one address.
                rate_limit=RateLimit(requests=300, seconds=60),
                body_mib=1,
                upgrades=True,
            ),
        ),
        ports=(Port(number=_STUN, protocol="udp", access=Access.PUBLIC, reason="STUN: members learn their own address"),),
        checks=(AtSite(path="/health"), AtSite(path="/api/v1/node", expected="404", accepted=(404,))),
        may=May(publish=(3478,)),
        healthcheck=Healthcheck(command=("headscale", "health"), interval=10, timeout=5, retries=5, start_period=30),
        user=_USER,
        tmpfs=("/var/run/headscale",),
        waivers=(
            Waiver(
                rule="containers-bound-ports",
                subject="3478/udp",
                reason="whoever is to become a member asks from anywhere",
                until=date(2027, 5, 24),
            ),
        ),
    )


def _settings(mesh: Mesh) -> str:
    """config.yaml in JSON, which is YAML too, with every key that 0.28 requires."""
    return json.dumps(
        {
            "server_url": mesh.login_server,
            "listen_addr": f"0.0.0.0:{_PORT}",
            "metrics_listen_addr": "127.0.0.1:9090",
            "grpc_listen_addr": "127.0.0.1:50443",
            "grpc_allow_insecure": False,
            "noise": {"private_key_path": "/var/lib/headscale/noise_private.key"},
            "prefixes": {"v4": "100.64.0.0/10", "v6": "fd7a:115c:a1e0::/48", "allocation": "sequential"},
            "derp": {
                "server": {
                    "enabled": True,
                    "region_id": 999,
                    "region_code": mesh.hub,
                    "region_name": mesh.hub,
                    "verify_clients": True,
                    "stun_listen_addr": f"0.0.0.0:{_STUN}",
                    "private_key_path": "/var/lib/headscale/derp_private.key",
                    "automatically_add_embedded_derp_region": True,
                },
                "urls": [],
                "paths": [],
                "auto_update_enabled": False,
            },
            "disable_check_updates": True,
            "ephemeral_node_inactivity_timeout": "30m",
            "database": {
                "type": "sqlite",
                "sqlite": {"path": "/var/lib/headscale/db.sqlite", "write_ahead_log": True},
            },
            "policy": {"mode": "file", "path": f"{MERGED}/policy.json"},
            "dns": {
                "magic_dns": True,
                "base_domain": mesh.domain,
                # Otherwise Windows and iOS keep stale resolvers of their own.
                "override_local_dns": True,
                "nameservers": {"global": list(mesh.nameservers), "split": {}},
                "search_domains": [],
                "extra_records_path": f"{MERGED}/records.json",
            },
            "unix_socket": "/var/run/headscale/headscale.sock",
            "unix_socket_permission": "0770",
            "logtail": {"enabled": False},
            "randomize_client_port": False,
        },
        indent=2,
    )
