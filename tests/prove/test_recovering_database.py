"""A database that recovers from a crash for longer than a gate waits: the `up` fails, the next one finds it where it was."""

from tests.lab.deployment import Deployment


def test_a_recovering_database_is_waited_for_and_never_recreated(stack: Deployment) -> None:
    stack.sql("postgres", "DROP TABLE IF EXISTS kept; CREATE TABLE kept (line int); INSERT INTO kept VALUES (42);")
    stack.sql(
        "postgres", "ALTER SYSTEM SET checkpoint_timeout = '1d'; ALTER SYSTEM SET max_wal_size = '8GB'; SELECT pg_reload_conf();"
    )
    stack.sql(
        "postgres",
        "DROP TABLE IF EXISTS bulk; CREATE TABLE bulk AS SELECT g, repeat('x', 900) AS filler FROM generate_series(1, 250000) g;",
    )
    stack.on_host("docker", "kill", "-s", "KILL", stack.container("postgresql"))
    # A start that takes longer than the gate's patience of 35 seconds, on top of a real crash recovery.
    entrypoint = 'entrypoint=("sh", "-c", "sleep 40; exec docker-entrypoint.sh \\"$@\\"", "sh"),'
    slow = f"replacement=Replacement.STOP_FIRST,\n        {entrypoint}"
    stack.edit(
        "services/postgresql.py",
        ("replacement=Replacement.STOP_FIRST,", slow),
        ("retries=5", "retries=1"),
        ("start_period=120", "start_period=5"),
    )
    failed = stack.up("--refresh", check=False)
    assert failed.returncode != 0
    assert "is not healthy after 35 s" in failed.stdout, failed.stdout[-3000:]
    recovering = stack.container("postgresql")

    stack.up()
    assert stack.container("postgresql") == recovering
    assert "automatic recovery in progress" in stack.on_host("docker", "logs", recovering)
    assert stack.sql("postgres", "SELECT DISTINCT line FROM kept") == "42"
    assert stack.sql("postgres", "SELECT count(*) FROM bulk") == "250000"
    stack.sql("postgres", "DROP TABLE bulk; DROP TABLE kept;")
    stack.sql("postgres", "ALTER SYSTEM RESET ALL; ")
