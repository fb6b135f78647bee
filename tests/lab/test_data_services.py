"""The data services refuse their clients another's database, a dangerous command, a wrong dimension, a foreign origin."""

import json

import pytest

from model.secret import resolve
from model.service import Task
from services import couchdb, postgresql, qdrant
from tests.lab.deployment import Deployment
from tests.support.fleets import stack_services

ROLES = {service.keeps.user: service.keeps for service in stack_services() if service.keeps}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_owns_its_database_and_enters_no_other(deployed: Deployment, role: str) -> None:
    own = ROLES[role]
    assert _psql(deployed, role, own.name, "CREATE TABLE proof (); DROP TABLE proof; SELECT current_user") == role
    found = _psql(deployed, role, own.name, "SELECT extname FROM pg_extension").splitlines()
    assert set(own.extensions) <= set(found)
    for other in ROLES.values():
        if other != own:
            assert "permission denied for database" in _psql(deployed, role, other.name, "SELECT 1")
    assert "permission denied" in _psql(deployed, role, own.name, "ALTER SYSTEM SET work_mem = '1GB'")


def test_the_superuser_is_refused_over_the_network_with_the_right_password(deployed: Deployment) -> None:
    password = deployed.secrets[postgresql.SUPERUSER_PASSWORD.name]
    assert "pg_hba.conf rejects connection" in _psql(deployed, "postgres", "postgres", "SELECT 1", password)


@pytest.mark.parametrize("user", ["litellm", "sure"])
def test_a_redis_user_reads_and_writes_and_governs_nothing(deployed: Deployment, user: str) -> None:
    def ask(command: str) -> str:
        return _redis(deployed, user, command)

    assert ask("SET proof 1 EX 60") == "OK"
    assert ask("GET proof") == "1"
    for command in ("CONFIG GET maxmemory", "FLUSHALL", "KEYS proof", "ACL LIST", "SHUTDOWN NOSAVE"):
        assert "NOPERM" in ask(command), command
    assert ask("DEL proof") == "1"


def test_redis_answers_the_healthcheck_nothing_but_ping_and_no_command_is_renamed(deployed: Deployment) -> None:
    assert _redis(deployed, "health", "PING") == "PONG"
    assert "NOPERM" in _redis(deployed, "health", "GET proof")
    settings = deployed.on_host("docker", "exec", deployed.container("redis"), "cat", "/usr/local/etc/redis/redis.conf")
    assert "rename-command" not in settings


def test_a_collection_of_another_dimension_fails_the_deployment_step_and_is_left_alone(deployed: Deployment) -> None:
    collection = qdrant.SEMANTIC_CACHE.name
    [task] = [task for task in qdrant.service().tasks if task.name == "collection-semantic-cache"]
    try:
        _qdrant(deployed, "DELETE", collection)
        _qdrant(deployed, "PUT", collection, {"vectors": {"size": 8, "distance": "Cosine"}})
        reported = _run(deployed, task)
        assert '"size":1536' in reported
        assert "its vectors would not fit" in reported
        assert "export what is in it, delete it, and deploy again" in reported
        assert _qdrant(deployed, "GET", collection)["result"]["config"]["params"]["vectors"]["size"] == 8
    finally:
        _qdrant(deployed, "DELETE", collection)
        assert _run(deployed, task) == ""
    for declared_collection in qdrant.COLLECTIONS:
        vectors = _qdrant(deployed, "GET", declared_collection.name)["result"]["config"]["params"]["vectors"]
        assert (vectors["size"], vectors["distance"]) == (declared_collection.size, declared_collection.distance)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("app://obsidian.md", True),
        ("capacitor://localhost", True),
        ("http://localhost", True),
        ("https://elsewhere.example", False),
        ("null", False),
    ],
)
def test_cors_is_for_obsidian_alone_and_said_once(deployed: Deployment, origin: str, allowed: bool) -> None:
    for method in ("GET", "OPTIONS"):
        ask = [
            "curl",
            "-s",
            "-D",
            "-",
            "-o",
            "/dev/null",
            "--cacert",
            ".lab/ca/root.crt",
            "-X",
            method,
            "-H",
            f"Origin: {origin}",
        ]
        ask += ["-H", "Access-Control-Request-Method: PUT", f"https://biki.vpai.test/{couchdb.VAULT}"]
        headers = deployed.run(*ask).stdout.lower().splitlines()
        said = [line for line in headers if line.startswith("access-control-allow-origin:")]
        assert said == ([f"access-control-allow-origin: {origin}"] if allowed else []), method


def test_obsidians_user_enters_the_vault_and_nothing_else(deployed: Deployment) -> None:
    login = f"{couchdb.OBSIDIAN}:{deployed.secrets[couchdb.OBSIDIAN_PASSWORD.name]}"

    def status(path: str, *options: str) -> str:
        ask = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-K", "-", *options, f"http://127.0.0.1:5984{path}"]
        container = _on_seko(deployed, "docker", "ps", "-q", "--filter", "label=vpai.service=couchdb").strip()
        return _on_seko(deployed, "docker", "exec", "-i", container, *ask, input=f'user = "{login}"\n').strip()

    assert status(f"/{couchdb.VAULT}") == "200"
    assert status(f"/{couchdb.VAULT}/proof", "-X", "PUT", "-d", "{}") in ("201", "409")
    assert status("/another", "-X", "PUT") in ("401", "403")
    assert status(f"/{couchdb.VAULT}/_security", "-X", "PUT", "-d", "{}") in ("401", "403")


def _psql(stack: Deployment, role: str, database: str, statement: str, password: str = "") -> str:
    secret = password or stack.secrets[ROLES[role].password.name]
    client = f'PGPASSWORD="$(cat)" psql -w -XAtq -h postgresql -U {role} -d {database} -c "{statement}" 2>&1'
    return stack.on_host("docker", "exec", "-i", stack.container("postgresql"), "sh", "-c", client, check=False, input=secret)


def _redis(stack: Deployment, user: str, command: str) -> str:
    client = f'REDISCLI_AUTH="$(cat)" redis-cli -h 127.0.0.1 --user {user} {command} 2>&1'
    secret = stack.secrets[f"redis_{user}_password"]
    return stack.on_host("docker", "exec", "-i", stack.container("redis"), "sh", "-c", client, check=False, input=secret)


def _qdrant(stack: Deployment, method: str, collection: str, body: object = None) -> dict[str, dict[str, dict[str, dict]]]:  # type: ignore[type-arg]
    options = f'header = "api-key: {stack.secrets[qdrant.API_KEY.name]}"\nheader = "Content-Type: application/json"\n'
    ask = [
        "curl",
        "-s",
        "-K",
        "-",
        "--cacert",
        ".lab/ca/root.crt",
        "-X",
        method,
        f"https://qd.vpai.test/collections/{collection}",
    ]
    ask += ["-d", json.dumps(body)] if body else []
    done = stack.lab.operator.run(ask, directory=str(stack.directory), input=options)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def _run(stack: Deployment, task: Task) -> str:
    """The output of a deployment task."""
    script = resolve(task.stdin, stack.secrets)
    return stack.on_host("docker", "exec", "-i", stack.container(task.service), *task.command, check=False, input=script)


def _on_seko(stack: Deployment, *words: str, input: str = "") -> str:
    return stack.lab.seko.run(list(words), input=input).stdout
