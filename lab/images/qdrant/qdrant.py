"""Qdrant's REST interface over qdrant-client's local mode: real collections, real search, kept in /qdrant/storage."""

import hashlib
import io
import json
import os
import re
import tarfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient, models  # type: ignore[import-not-found]
from standin import Refused as NotStarted
from standin import Reply, Request

STORAGE, SNAPSHOTS = Path("/qdrant/storage/local"), Path("/qdrant/snapshots")
VERSION = "1.16.3"

_LOCK = threading.RLock()
_CLIENT = QdrantClient(path=str(STORAGE), force_disable_check_same_thread=True)
_VECTORS: TypeAdapter[Any] = TypeAdapter(models.VectorsConfig)
_FILTER: TypeAdapter[models.Filter | None] = TypeAdapter(models.Filter | None)
_SELECTOR: TypeAdapter[Any] = TypeAdapter(models.PointsSelector)
_QUERY: TypeAdapter[Any] = TypeAdapter(models.QueryInterface)


class Refused(Exception):
    """Answered as Qdrant answers what is wrong with a request."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def start(arguments: list[str]) -> None:
    """The key is in the environment, or in the file that --config-path names (here: JSON, which is YAML)."""
    if os.environ.get("QDRANT__SERVICE__API_KEY"):
        return
    if "--config-path" not in arguments:
        raise NotStarted(
            "neither QDRANT__SERVICE__API_KEY nor --config-path: whoever reaches it could read and delete everything"
        )
    path = Path(arguments[arguments.index("--config-path") + 1])
    try:
        os.environ["QDRANT__SERVICE__API_KEY"] = json.loads(path.read_text())["service"]["api_key"]
    except (OSError, ValueError, KeyError) as error:
        raise NotStarted(f"{path} gives no service.api_key: {error!r}") from error


def answer(request: Request) -> Reply | None:
    """Qdrant's envelope around each result, its error around each refusal."""
    start = time.monotonic()
    if request.path == "/":
        return Reply.of({"title": "qdrant - vector search engine (stand-in of the VPAI lab)", "version": VERSION})
    for (method, pattern), operation in OPERATIONS.items():
        found = re.fullmatch(pattern, request.path)
        if not found or request.method != method:
            continue
        try:
            with _LOCK:
                result = operation(request, *found.groups())
        except Refused as refused:
            return Reply.of({"status": {"error": str(refused)}, "time": time.monotonic() - start}, refused.status)
        if isinstance(result, Reply):
            return result
        return Reply.of({"result": _plain(result), "status": "ok", "time": time.monotonic() - start})
    return None


def samples() -> str:
    """As in the real one's metrics: how many collections, how many vectors in each."""
    with _LOCK:
        sizes = {name: _CLIENT.count(name).count for name in _names()}
    lines = [
        "# TYPE app_info gauge",
        f'app_info{{name="qdrant",version="{VERSION}"}} 1',
        "# TYPE collections_total gauge",
        f"collections_total {len(sizes)}",
        "# TYPE collection_points gauge",
        *(f'collection_points{{id="{name}"}} {size}' for name, size in sizes.items()),
    ]
    return "\n".join(lines) + "\n"


def _list(_: Request) -> Any:
    return {"collections": [{"name": name} for name in _names()]}


def _exists(_: Request, name: str) -> Any:
    return {"exists": name in _names()}


def _create(request: Request, name: str) -> Any:
    if name in _names():
        raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
    vectors = request.document.get("vectors")
    return _CLIENT.create_collection(name, vectors_config=_VECTORS.validate_python(vectors))


def _show(_: Request, name: str) -> Any:
    _required(name)
    return _CLIENT.get_collection(name)


def _update(_: Request, name: str) -> Any:
    _required(name)
    return True  # optimizers and the like: nothing that local mode has


def _drop(_: Request, name: str) -> Any:
    return _CLIENT.delete_collection(name) if name in _names() else False


def _index(_: Request, name: str) -> Any:
    _required(name)
    return {"operation_id": 0, "status": "completed"}  # local mode filters without indexes


def _upsert(request: Request, name: str) -> Any:
    body = request.document
    points: Any
    if "batch" in body:
        points = models.Batch(**body["batch"])
        given = points.vectors if isinstance(points.vectors, list) else []
    else:
        points = [models.PointStruct(**point) for point in body["points"]]
        given = [point.vector for point in points]
    for vector in given:
        _fits(name, vector)
    return _CLIENT.upsert(name, points)


def _search(request: Request, name: str) -> Any:
    return _found(name, request.document, request.document["vector"]).points


def _query(request: Request, name: str) -> Any:
    return _found(name, request.document, request.document.get("query"))


def _found(name: str, body: dict[str, Any], query: Any) -> models.QueryResponse:
    _fits(name, query)
    return _CLIENT.query_points(
        name,
        query=_QUERY.validate_python(query) if query is not None else None,
        query_filter=_FILTER.validate_python(body.get("filter")),
        limit=body.get("limit", 10),
        offset=body.get("offset"),
        with_payload=body.get("with_payload", False),
        with_vectors=body.get("with_vector", False),
        score_threshold=body.get("score_threshold"),
    )


def _retrieve(request: Request, name: str) -> Any:
    _required(name)
    body = request.document
    return _CLIENT.retrieve(
        name, body["ids"], with_payload=body.get("with_payload", True), with_vectors=body.get("with_vector", False)
    )


def _point(_: Request, name: str, id: str) -> Any:
    _required(name)
    found = _CLIENT.retrieve(name, [int(id) if id.isdigit() else id], with_vectors=True)
    if not found:
        raise Refused(404, f"Not found: Point with id {id} does not exists!")
    return found[0]


def _scroll(request: Request, name: str) -> Any:
    _required(name)
    body = request.document
    points, following = _CLIENT.scroll(
        name,
        scroll_filter=_FILTER.validate_python(body.get("filter")),
        limit=body.get("limit", 10),
        offset=body.get("offset"),
        with_payload=body.get("with_payload", True),
        with_vectors=body.get("with_vector", False),
    )
    return {"points": points, "next_page_offset": following}


def _count(request: Request, name: str) -> Any:
    _required(name)
    return _CLIENT.count(name, count_filter=_FILTER.validate_python(request.document.get("filter")))


def _delete(request: Request, name: str) -> Any:
    _required(name)
    return _CLIENT.delete(name, points_selector=_SELECTOR.validate_python(request.document))


def _set_payload(request: Request, name: str) -> Any:
    _required(name)
    body = request.document
    selector = body["points"] if "points" in body else _FILTER.validate_python(body["filter"])
    return _CLIENT.set_payload(name, payload=body["payload"], points=selector)


def _snapshots(_: Request, name: str) -> Any:
    _required(name)
    return [_description(path) for path in sorted((SNAPSHOTS / name).glob("*.snapshot"))]


def _take_snapshot(_: Request, name: str) -> Any:
    _required(name)
    directory = SNAPSHOTS / name
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}-{datetime.now(UTC):%Y-%m-%d-%H-%M-%S-%f}.snapshot"
    points, _ = _CLIENT.scroll(name, limit=1_000_000, with_vectors=True)
    vectors = _CLIENT.get_collection(name).config.params.vectors
    content = json.dumps({"vectors": _plain(vectors), "points": _plain(points)}).encode()
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("collection.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return _description(path)


def _snapshot(_: Request, name: str, file: str) -> Reply:
    return Reply(body=_existing(name, file).read_bytes(), content_type="application/octet-stream")


def _drop_snapshot(_: Request, name: str, file: str) -> Any:
    _existing(name, file).unlink()
    return True


def _recover(request: Request, name: str) -> Any:
    """From a multipart upload, as `curl -F snapshot=@FILE` sends it: the collection becomes what the snapshot holds."""
    boundary = re.search(r"boundary=\"?([^\";]+)", request.headers.get("content-type", ""))
    if not boundary:
        raise Refused(400, "Wrong input: a snapshot is uploaded as multipart/form-data")
    part = request.body.split(b"--" + boundary[1].encode())[1].partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
    try:
        with tarfile.open(fileobj=io.BytesIO(part)) as archive:
            member = archive.extractfile("collection.json")
            assert member
            saved = json.load(member)
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise Refused(400, f"Wrong input: no snapshot of this stand-in: {error}") from error
    _CLIENT.delete_collection(name)
    _CLIENT.create_collection(name, vectors_config=_VECTORS.validate_python(saved["vectors"]))
    points = [models.PointStruct(id=one["id"], vector=one["vector"], payload=one.get("payload")) for one in saved["points"]]
    if points:
        _CLIENT.upsert(name, points)
    return True


_COLLECTION = "/collections/([^/]+)"
OPERATIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("GET", "/collections"): _list,
    ("GET", f"{_COLLECTION}/exists"): _exists,
    ("PUT", _COLLECTION): _create,
    ("GET", _COLLECTION): _show,
    ("PATCH", _COLLECTION): _update,
    ("DELETE", _COLLECTION): _drop,
    ("PUT", f"{_COLLECTION}/index"): _index,
    ("PUT", f"{_COLLECTION}/points"): _upsert,
    ("POST", f"{_COLLECTION}/points"): _retrieve,
    ("POST", f"{_COLLECTION}/points/search"): _search,
    ("POST", f"{_COLLECTION}/points/query"): _query,
    ("POST", f"{_COLLECTION}/points/scroll"): _scroll,
    ("POST", f"{_COLLECTION}/points/count"): _count,
    ("POST", f"{_COLLECTION}/points/delete"): _delete,
    ("POST", f"{_COLLECTION}/points/payload"): _set_payload,
    ("GET", f"{_COLLECTION}/points/([^/]+)"): _point,
    ("GET", f"{_COLLECTION}/snapshots"): _snapshots,
    ("POST", f"{_COLLECTION}/snapshots"): _take_snapshot,
    ("GET", f"{_COLLECTION}/snapshots/([^/]+)"): _snapshot,
    ("DELETE", f"{_COLLECTION}/snapshots/([^/]+)"): _drop_snapshot,
    ("POST", f"{_COLLECTION}/snapshots/upload"): _recover,
}


def _names() -> list[str]:
    return sorted(collection.name for collection in _CLIENT.get_collections().collections)


def _required(name: str) -> None:
    if name not in _names():
        raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")


def _fits(name: str, vector: Any) -> None:
    """Local mode would say it in numpy's words."""
    _required(name)
    parameters = _CLIENT.get_collection(name).config.params.vectors
    if isinstance(vector, list) and isinstance(parameters, models.VectorParams) and len(vector) != parameters.size:
        raise Refused(400, f"Wrong input: Vector dimension error: expected dim: {parameters.size}, got {len(vector)}")


def _existing(name: str, file: str) -> Path:
    path = SNAPSHOTS / name / file
    if path.parent.parent != SNAPSHOTS or not path.is_file():
        raise Refused(404, f"Not found: Snapshot {file} not found")
    return path


def _description(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    created = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return {"name": path.name, "creation_time": created, "size": len(data), "checksum": hashlib.sha256(data).hexdigest()}


def _plain(result: Any) -> Any:
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json", exclude_none=True)
    if isinstance(result, dict):
        return {name: _plain(value) for name, value in result.items()}
    if isinstance(result, list | tuple):
        return [_plain(item) for item in result]
    return result
