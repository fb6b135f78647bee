"""Qdrant 1.16: vectors for the semantic cache and for search in our content."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from model.backup import Nothing, QdrantExport
from model.credential import Credential, Header, Request
from model.endpoint import Endpoint
from model.proof import Found, Restored
from model.route import Access, Route
from model.secret import Generated, Secret, json_text
from model.service import Configuration, File, Healthcheck, Limits, Logs, Metrics, Replacement, Service, Task, Volume
from services.context import Context
from services.networks import BACKEND

API_KEY = Secret(name="qdrant_api_key", source=Generated(length=64, hexadecimal=True))
DIRECTORY = "/etc/qdrant"
PORT = 6333
ENDPOINT = Endpoint(service="qdrant", port=PORT, network=BACKEND.name, site="qdrant")


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A named set of vectors; size and distance can never change."""

    name: str
    size: int
    distance: str
    indexing_threshold: int | None = None


# text-embedding-3-small gives 1536 numbers; the names and the threshold are the specification's.
SEMANTIC_CACHE = Collection(name="semantic_cache", size=1536, distance="Cosine")
CONTENT_INDEX = Collection(name="content_index", size=1536, distance="Cosine", indexing_threshold=10000)
COLLECTIONS = (SEMANTIC_CACHE, CONTENT_INDEX)


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(of.scale)


def service(scale: float = 1.0) -> Service:
    """Qdrant with its collections; a client without a key gets nothing."""
    return Service(
        name="qdrant",
        image="docker.io/qdrant/qdrant:v1.16.3",
        networks=(BACKEND.name,),
        # 1536 floats and their graph take about 8 KiB: there is room for 60 000 vectors in memory.
        limits=Limits(memory_mib=768, cpus=0.75).scaled(scale),
        replacement=Replacement.STOP_FIRST,
        metrics=Metrics(port=PORT, bearer=API_KEY),
        logs=Logs.PLAIN,
        # The program itself, with our file (other places were ignored). The image's entrypoint.sh ends at SIGTERM without waiting
        # for Qdrant and, as the first process, ends it before it has flushed (qdrant v1.16.3, tools/entrypoint.sh).
        command=("./qdrant", "--config-path", f"{DIRECTORY}/config.yaml"),
        # Without it Qdrant writes the marker beside the program, on the read-only root, and warns at its start.
        environment={"QDRANT_INIT_FILE_PATH": "/qdrant/storage/.qdrant-initialized"},
        configuration=Configuration(
            directory=DIRECTORY, owner="20003:20003", files=(File(path="config.yaml", content=_settings()),)
        ),
        secrets=(API_KEY,),
        volumes=(
            Volume(
                path="/qdrant/storage",
                directory="qdrant/storage",
                owner="20003:20003",
                mode=0o755,
                backup=QdrantExport(port=PORT, key=API_KEY, collections=(CONTENT_INDEX.name,), caches=(SEMANTIC_CACHE.name,)),
            ),
            Volume(
                path="/qdrant/snapshots",
                directory="qdrant/snapshots",
                owner="20003:20003",
                mode=0o755,
                backup=Nothing(reason="snapshots that somebody asked for by hand"),
            ),
        ),
        credentials=(
            # qdrant/qdrant, src/common/auth/mod.rs: a missing and a wrong key are both "unauthorized".
            Credential(
                secret=API_KEY,
                holder="LiteLLM, Alloy",
                proof=Request(port=PORT, path="/collections", place=Header(name="api-key", scheme="")),
            ),
        ),
        tasks=tuple(_provisioning(collection) for collection in COLLECTIONS),
        proof=_point_is_found,
        routes=(Route(subdomain=ENDPOINT.site, port=PORT, access=Access.VPN),),
        # The image has neither curl nor wget.
        healthcheck=Healthcheck(
            command=("bash", "-c", f"</dev/tcp/127.0.0.1/{PORT}"), interval=10, timeout=5, retries=5, start_period=30
        ),
        user="20003:20003",
        tmpfs=("/tmp",),
        stop_timeout=30,
    )


def _point_is_found(restored: Restored) -> Found:
    """Proof: the point nearest to a point of the index is that point itself, or a duplicate."""
    headers = {"api-key": restored.secret(API_KEY), "Content-Type": "application/json"}
    points_at = f"/collections/{CONTENT_INDEX.name}/points"
    points = restored.ask(PORT, f"{points_at}/scroll", headers, {"limit": 1, "with_vector": True})["result"]["points"]
    if not points:
        return Found(words="no point is kept")
    nearest = restored.ask(PORT, f"{points_at}/search", headers, {"vector": points[0]["vector"], "limit": 1})["result"]
    words = f"the point nearest to {points[0]['id']} is {nearest[0]['id']}"
    return Found(words=words, right=nearest[0]["score"] > 0.999)


def _settings() -> str:
    """Settings in JSON, which is YAML too."""
    return json_text(
        {
            "log_level": "INFO",
            "service": {"host": "0.0.0.0", "http_port": PORT, "grpc_port": 6334, "enable_tls": False, "api_key": str(API_KEY)},
            "storage": {
                "storage_path": "/qdrant/storage",
                "snapshots_path": "/qdrant/snapshots",
                "optimizers": {"default_segment_number": 2},
                "hnsw_index": {"m": 16, "ef_construct": 100, "full_scan_threshold_kb": 10000},
            },
            "telemetry_disabled": True,
        },
        indent=2,
    )


def _provisioning(collection: Collection) -> Task:
    """Create `collection`, or refuse one whose vectors have another size: changing it would lose every vector."""
    body = {
        "vectors": {"size": collection.size, "distance": collection.distance},
        **({"optimizers_config": {"indexing_threshold": collection.indexing_threshold}} if collection.indexing_threshold else {}),
    }
    return Task(
        name=f"collection-{collection.name.replace('_', '-')}",
        service="qdrant",
        command=("bash", "-s", "--", collection.name, str(collection.size), collection.distance, json.dumps(body)),
        stdin=_COLLECTION,
    )


_COLLECTION = f"""set -euo pipefail
name=$1 size=$2 distance=$3 wanted=$4
ask() {{
	exec 3<>/dev/tcp/127.0.0.1/{PORT}
	printf '%s /collections/%s HTTP/1.1\\r\\nHost: qdrant\\r\\nConnection: close\\r\\n' "$1" "$name" >&3
	printf 'api-key: {API_KEY}\\r\\nContent-Type: application/json\\r\\nContent-Length: %s\\r\\n\\r\\n%s' "${{#2}}" "$2" >&3
	cat <&3
}}
found=$(ask GET "")
if [[ $found == "HTTP/1."?" 404"* ]]; then
	made=$(ask PUT "$wanted")
	if [[ $made != "HTTP/1."?" 200"* ]]; then echo "collection $name: $made" >&2; exit 1; fi
	found=$(ask GET "")
fi
flat=${{found//[[:space:]]/}}
for part in "\\"size\\":$size" "\\"distance\\":\\"$distance\\""; do
	if [[ $flat != *"$part"[,}}]* ]]; then
		echo "The collection $name exists, but is not $part: its vectors would not fit. Qdrant says: $found" >&2
		echo "Keep it: export what is in it, delete it, and deploy again." >&2
		exit 1
	fi
done
"""
