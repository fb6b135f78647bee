"""A host's data is destroyed and restored: the host's own unit backs it up into the lab's bucket, with the host's own key.

PostgreSQL, Redis, n8n, Headscale, Caddy and restic are real. CouchDB's server is PouchDB's, whose files are copied while it is
stopped, like CouchDB's; Qdrant is a stand-in. The data of these two is compared; that the real programs would accept it is not
shown.
"""

import json
from collections.abc import Mapping

import pytest

from lab.machine import Machine
from services import couchdb, qdrant
from tests.lab.deployment import Deployment, healthy
from tests.support.waiting import until

SECRET = "what-only-the-key-opens"
ATTACHMENT = "aGVsbG8="
_CREDENTIALS = "SELECT id, name, type, md5(data) FROM credentials_entity WHERE name <> 'vpai-gate' ORDER BY id"
"""Without the gate's credential: n8n's task creates it anew, and a restore runs that task again."""


def test_what_two_hosts_held_is_back_datum_by_datum_after_their_data_was_destroyed(deployed: Deployment) -> None:
    fill(deployed)
    known = data(deployed)
    said = deployed.operate("backup").stdout
    assert "sese: complete in" in said, said
    assert "seko: complete in" in said, said
    assert "NOT" not in deployed.operate("backups").stdout
    status = json.loads(_curl(deployed, "https://misu.vpai.test/__lab/status"))["status"]
    assert {name: monitor["status"] for name, monitor in status.items() if name.startswith("backup-")} == dict.fromkeys(
        ("backup-sese", "backup-seko"), "UP"
    )
    for machine in (deployed.lab.sese, deployed.lab.seko):
        assert machine.run(["docker", "ps", "-aq", "--filter", "name=vpai-backup"]).stdout == "", "nothing is left behind"

    _destroy(deployed.lab.sese, "postgresql", "redis", "qdrant/storage", "n8n", "grafana")
    _destroy(deployed.lab.seko, "couchdb")  # Headscale's data is replaced too, and SSH uses its mesh meanwhile
    for host in ("sese", "seko"):
        shown = deployed.operate("restore", "--host", host, check=False)
        assert shown.returncode == 3, shown.stdout
        assert "say so with REPLACE=yes" in shown.stdout
        print(deployed.operate("restore", "--host", host, "--replace", "yes").stdout)
    for machine in deployed.lab.hosts:
        until(lambda machine=machine: healthy(machine), 120)  # type: ignore[misc]
    assert data(deployed) == known
    exported = deployed.on_host("docker", "exec", deployed.container("n8n"), "n8n", "export:credentials", "--all", "--decrypted")
    assert SECRET in exported
    deployed.smoke()


@pytest.mark.parametrize("service", ["redis", "backup"])
def test_no_other_user_takes_redis_as_a_whole(deployed: Deployment, service: str) -> None:
    user = "litellm" if service == "redis" else "backup"
    command = "SYNC" if user == "litellm" else "GET proof"
    client = f'REDISCLI_AUTH="$(cat)" redis-cli -h 127.0.0.1 --user {user} {command} 2>&1'
    secret = deployed.secrets[f"redis_{user}_password"]
    said = deployed.on_host("docker", "exec", "-i", deployed.container("redis"), "sh", "-c", client, check=False, input=secret)
    assert "NOPERM" in said


def fill(stack: Deployment) -> None:
    for database in ("litellm", "nocodb", "sure_production"):
        stack.sql(
            database, "DROP TABLE IF EXISTS known; CREATE TABLE known AS SELECT n, md5(n::text) FROM generate_series(1, 500) n"
        )
    credential = [{"id": "known", "name": "known", "type": "httpHeaderAuth", "data": {"name": "x", "value": SECRET}}]
    load = "cat > /home/node/.n8n/known.json && n8n import:credentials --input=/home/node/.n8n/known.json"
    stack.on_host("docker", "exec", "-i", stack.container("n8n"), "sh", "-c", load, input=json.dumps(credential))
    binary = (
        "mkdir -p /home/node/.n8n/binaryData && echo kept > /home/node/.n8n/binaryData/known && rm /home/node/.n8n/known.json"
    )
    stack.on_host("docker", "exec", stack.container("n8n"), "sh", "-c", binary)
    _redis(stack, "SET known value")
    points = [{"id": n, "vector": [1.0, *([0.5] * (qdrant.CONTENT_INDEX.size - 1))], "payload": {"page": n}} for n in range(1, 4)]
    _qdrant(stack, "PUT", "points?wait=true", {"points": points})
    attached = {"_attachments": {"note.txt": {"content_type": "text/plain", "data": ATTACHMENT}}}
    _couch(stack, "PUT", "known", attached)
    _couch(stack, "PUT", "_local/obsidian_livesync_sync_parameters", {"key": "half of it"})


def data(stack: Deployment) -> Mapping[str, object]:
    """All compared data, as each service reports it."""
    rows = "SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)) FROM known t"
    nodes = json.loads(_on(stack.lab.seko, "headscale", "headscale", "nodes", "list", "-o", "json"))
    document = _couch(stack, "GET", "known?attachments=true")
    files = (
        "cd /opt/javisi/data/n8n && find . -type f ! -name '*.log' ! -name '*.journal' -exec stat -c '%n %u:%g %a' {} + | sort"
    )
    return {
        **{database: stack.sql(database, rows) for database in ("litellm", "nocodb", "sure_production")},
        "credentials": stack.sql("n8n", _CREDENTIALS),
        "workflows": stack.sql("n8n", "SELECT id, name, md5(nodes::text) FROM workflow_entity ORDER BY id"),
        "n8n's files": stack.on_host("sh", "-c", files),
        "binary": stack.on_host("cat", "/opt/javisi/data/n8n/binaryData/known"),
        "redis": _redis(stack, "GET known"),
        "points": sorted(point["payload"]["page"] for point in _qdrant(stack, "POST", "points/scroll", {"limit": 100})["points"]),
        "attachment": document["_attachments"]["note.txt"]["data"],
        "local": _couch(stack, "GET", "_local/obsidian_livesync_sync_parameters")["key"],
        "members": sorted((node["given_name"], node["machine_key"], node["ip_addresses"][0]) for node in nodes),
        "owners": stack.on_host("sh", "-c", "stat -c '%n %u:%g %a' /opt/javisi/data/* /opt/javisi/data/qdrant/storage"),
    }


def _destroy(machine: Machine, *directories: str) -> None:
    """Delete the data; the services start anew with empty directories."""
    for directory in directories:
        label = f"label=vpai.service={directory.partition('/')[0]}"
        for container in machine.run(["docker", "ps", "-q", "--filter", label]).stdout.split():
            machine.run(["docker", "stop", "-t", "5", container])
            machine.run(["find", f"/opt/javisi/data/{directory}", "-mindepth", "1", "-delete"])
            machine.run(["docker", "start", container])


def _redis(stack: Deployment, command: str) -> str:
    client = f'REDISCLI_AUTH="$(cat)" redis-cli -e -h 127.0.0.1 --user sure {command}'
    secret = stack.secrets["redis_sure_password"]
    return stack.on_host("docker", "exec", "-i", stack.container("redis"), "sh", "-c", client, input=secret)


def _qdrant(stack: Deployment, method: str, path: str, body: object) -> dict[str, list[dict[str, dict[str, int]]]]:
    options = f'header = "api-key: {stack.secrets[qdrant.API_KEY.name]}"\nheader = "Content-Type: application/json"\n'
    url = f"https://qd.vpai.test/collections/{qdrant.CONTENT_INDEX.name}/{path}"
    ask = ["curl", "-sS", "-K", "-", "--cacert", ".lab/ca/root.crt", "-X", method, url, "-d", json.dumps(body)]
    return json.loads(stack.lab.operator.run(ask, directory=str(stack.directory), input=options).stdout)["result"]  # type: ignore[no-any-return]


def _couch(stack: Deployment, method: str, path: str, body: object = None) -> dict[str, dict[str, dict[str, str]]]:
    """A request to the hub's CouchDB as its administrator."""
    login = f'user = "{couchdb.ADMIN}:{stack.secrets[couchdb.ADMIN_PASSWORD.name]}"\nheader = "Content-Type: application/json"\n'
    url = f"http://127.0.0.1:{couchdb.PORT}/{couchdb.VAULT}/{path}"
    words = ["curl", "-sS", "-K", "-", "-X", method, url, *(("-d", json.dumps(body)) if body else ())]
    return json.loads(_on(stack.lab.seko, "couchdb", *words, input=login))  # type: ignore[no-any-return]


def _on(machine: Machine, service: str, *words: str, input: str = "") -> str:
    container = machine.run(["docker", "ps", "-q", "--filter", f"label=vpai.service={service}"]).stdout.strip()
    return machine.run(["docker", "exec", "-i", container, *words], input=input).stdout


def _curl(stack: Deployment, url: str) -> str:
    return stack.lab.operator.run(["curl", "-sS", "--cacert", ".lab/ca/root.crt", url], directory=str(stack.directory)).stdout
