"""PostgreSQL 18.1, the only relational database server: each service has its own database and user."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from model.backup import PostgresDump
from model.check import Inside
from model.credential import Credential, PostgresLogin, Unverifiable
from model.dashboard import Dashboard, Form, Panel, of_service
from model.host import TIMEZONE, Role
from model.secret import Generated, Secret
from model.service import (
    Configuration,
    Database,
    File,
    Healthcheck,
    Limits,
    Logs,
    NotCollected,
    Replacement,
    Service,
    Task,
    Volume,
)
from services import apps
from services.context import Context
from services.networks import BACKEND

NAME = "postgresql"
SUPERUSER_PASSWORD = Secret(name="postgresql_superuser_password", source=Generated())
DIRECTORY = "/etc/postgresql"


def services(of: Context) -> Iterator[Service]:
    """PostgreSQL. On a host of applications alone it is small, and exists only if an application has a database."""
    small = Role.APPLICATIONS in of.roles and Role.STACK not in of.roles
    if not small or any(app.database for app in apps.of_fleet(of)):
        yield service(0.25 if small else of.scale, timezone=of.timezone)


def service(scale: float = 1.0, *, timezone: str = TIMEZONE) -> Service:
    """PostgreSQL with limits, and the memory settings that follow from them, scaled by `scale`. Its databases are added last."""
    limits = Limits(memory_mib=1536, cpus=1.5, shared_memory_mib=256).scaled(scale)
    return Service(
        name=NAME,
        # As specified. The tag has not moved since 18.2 replaced it on 2026-02-12; 18.6 is the newest (August 2026).
        image="docker.io/library/postgres:18.1-bookworm",
        networks=(BACKEND.name,),
        limits=limits,
        replacement=Replacement.STOP_FIRST,
        metrics=NotCollected(reason="shows none itself; Grafana asks the databases, cAdvisor sees the container"),
        logs=Logs.PLAIN,
        command=("postgres", "-c", f"config_file={DIRECTORY}/postgresql.conf", "-c", f"hba_file={DIRECTORY}/pg_hba.conf"),
        environment={
            "POSTGRES_USER": "postgres",
            "POSTGRES_PASSWORD_FILE": f"{DIRECTORY}/superuser-password",
            # The image has no fr_FR locale: ICU gives French collation over libc's C.
            "POSTGRES_INITDB_ARGS": (
                "--encoding=UTF8 --locale-provider=icu --icu-locale=fr-FR --locale=C --auth-host=scram-sha-256"
            ),
        },
        configuration=Configuration(
            directory=DIRECTORY,
            owner="999:999",
            files=(
                File(path="postgresql.conf", content=_settings(limits, timezone)),
                File(path="pg_hba.conf", content=_HBA),
                File(path="superuser-password", content=f"{SUPERUSER_PASSWORD}"),
            ),
        ),
        secrets=(SUPERUSER_PASSWORD,),
        credentials=(
            Unverifiable(
                secret=SUPERUSER_PASSWORD, reason="the image asks for one; pg_hba.conf refuses the superuser over the network"
            ),
        ),
        volumes=(
            Volume(
                # The 18 image wants a mount of the parent directory, with the cluster in 18/docker below it.
                path="/var/lib/postgresql",
                directory="postgresql",
                owner="999:999",
                mode=0o700,
                backup=PostgresDump(),
            ),
        ),
        completed=_with_databases,
        dashboard=_DASHBOARD,
        lends_bash=True,
        # Over TCP: while PostgreSQL is being created, it already answers on its socket. Not as the superuser, whose refusal over
        # TCP would be a FATAL in the log each time: any other user is asked for a password, which is enough.
        healthcheck=Healthcheck(
            command=("pg_isready", "-U", "healthcheck", "-h", "127.0.0.1", "-q"),
            interval=10,
            timeout=5,
            retries=5,
            start_period=120,
        ),
        user="999:999",
        tmpfs=("/tmp", "/var/run/postgresql"),
        stop_signal="SIGINT",
        stop_timeout=60,
    )


_HERE = of_service(NAME)
_DASHBOARD = Dashboard(
    "postgresql",
    "PostgreSQL",
    (
        Panel("Memory", {"": f"max(container_memory_working_set_bytes{{{_HERE}}})"}, "bytes"),
        Panel("Processors", {"": f"sum(rate(container_cpu_usage_seconds_total{{{_HERE}}}[5m]))"}),
        Panel("Errors a minute", {"": f'sum(count_over_time({{{_HERE}}} |= "ERROR" [1m]))'}),
        Panel("Log", {"": f"{{{_HERE}}}"}, form=Form.LOG),
    ),
)


def _with_databases(service: Service, others: Sequence[Service]) -> Service:
    """`service` with a database and a user for each service that keeps data in PostgreSQL."""
    databases = tuple(other.keeps for other in others if other.keeps)
    own = tuple(
        Credential(
            secret=database.password,
            holder=f"the role {database.user}",
            proof=PostgresLogin(user=database.user, database=database.name),
        )
        for database in databases
    )
    return replace(
        service,
        databases=databases,
        credentials=(*own, *service.credentials),
        tasks=tuple(_provisioning(database) for database in databases),
        checks=tuple(_checks(databases)),
    )


def _checks(databases: Sequence[Database]) -> Iterator[Inside]:
    """Checks over the network, as each user: with the user's own password, and with another user's."""

    def sql(database: Database, password: Secret, whose: str, expected: str, answer: str) -> Inside:
        query = f'psql -X -At -h {NAME} -U {database.user} -d {database.name} -c "select current_user"'
        return Inside(
            subject=f"SQL as {database.user}, {whose} password",
            expected=expected,
            command=("sh", "-c", f'PGPASSWORD="$(cat)" {query} 2>&1 || true'),
            stdin=f"{password}",
            answer=answer,
        )

    for database in databases:
        user = database.user
        yield sql(database, database.password, "own", user, rf"\A{user}\Z")
        if other := next((database for database in databases if database.user != user), None):
            yield sql(database, other.password, f"{other.user}'s", "refused", "password authentication failed")


def _settings(limits: Limits, timezone: str) -> str:
    """postgresql.conf: shared buffers are a sixth of the limit, the rest has the predecessor's proportions."""
    shared = limits.memory_mib // 6
    return f"""listen_addresses = '*'
max_connections = 100
shared_buffers = {shared}MB
effective_cache_size = {2 * shared}MB
maintenance_work_mem = {shared // 2}MB
work_mem = {shared // 16}MB
wal_buffers = 16MB
checkpoint_completion_target = 0.9
password_encryption = scram-sha-256
timezone = '{timezone}'
log_timezone = '{timezone}'
logging_collector = off
"""


# Local sockets: by the operating system's user. PostgreSQL's only network (`samenet`): by password, never as superuser.
# No address is written here, so that a drill or a check of images may use any network.
_HBA = """local all postgres peer
local all all scram-sha-256
host all postgres all reject
host all all 127.0.0.1/32 scram-sha-256
host all all samenet scram-sha-256
"""


def _provisioning(database: Database) -> Task:
    """Create `database` and its user, or bring their password, owner and extensions up to date."""
    name, user = database.name, database.user
    extensions = "".join(f'CREATE EXTENSION IF NOT EXISTS "{extension}";\n' for extension in database.extensions)
    return Task(
        name=f"database-{name}",
        service=NAME,
        command=("psql", "-U", "postgres", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres"),
        stdin=f"""SELECT 'CREATE ROLE "{user}" LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{user}') \\gexec
ALTER ROLE "{user}" LOGIN PASSWORD '{database.password}';
SELECT 'CREATE DATABASE "{name}" OWNER "{user}"' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \\gexec
ALTER DATABASE "{name}" OWNER TO "{user}";
REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC;
\\connect {name}
ALTER SCHEMA public OWNER TO "{user}";
{extensions}""",
    )
