"""Redis 8.0: caches and counters, one ACL user for each client, the default user off."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from model.backup import RedisDump
from model.check import Inside
from model.credential import Credential, RedisLogin
from model.secret import Generated, Secret
from model.service import CacheUser, Configuration, File, Healthcheck, Limits, Logs, NotCollected, Replacement, Service, Volume
from services.context import Context
from services.networks import BACKEND

HEALTH_PASSWORD = Secret(name="redis_health_password", source=Generated())
BACKUP_PASSWORD = Secret(name="redis_backup_password", source=Generated())
DIRECTORY = "/usr/local/etc/redis"
_USER = "20002:20002"
_USERS = "users.acl"


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service(of.scale)


def service(scale: float = 1.0) -> Service:
    """Redis. Half of its memory limit is for data: a snapshot's copied pages need the rest. Its clients' users are added last."""
    limits = Limits(memory_mib=512, cpus=0.5).scaled(scale)
    return Service(
        name="redis",
        # As specified. The tag has not moved since 2026-05-07; 8.2.9 is the newest of bookworm, 8.10.1 of trixie (August 2026).
        image="docker.io/library/redis:8.0-bookworm",
        networks=(BACKEND.name,),
        limits=limits,
        replacement=Replacement.STOP_FIRST,
        metrics=NotCollected(reason="shows none itself; cAdvisor sees the container"),
        logs=Logs.PLAIN,
        command=("redis-server", f"{DIRECTORY}/redis.conf"),
        configuration=Configuration(
            directory=DIRECTORY,
            owner=_USER,
            files=(
                File(path="redis.conf", content=_settings(limits.memory_mib // 2)),
                File(path=_USERS, content=_OWN_USERS),
                File(path="health-password", content=f"{HEALTH_PASSWORD}"),
            ),
        ),
        secrets=(HEALTH_PASSWORD, BACKUP_PASSWORD),
        credentials=(
            Credential(secret=HEALTH_PASSWORD, holder="Redis's healthcheck", proof=RedisLogin(user="health")),
            Credential(secret=BACKUP_PASSWORD, holder="the host's backup", proof=RedisLogin(user="backup")),
        ),
        volumes=(
            Volume(
                path="/data",
                directory="redis",
                owner=_USER,
                mode=0o755,
                backup=RedisDump(user="backup", password=BACKUP_PASSWORD),
            ),
        ),
        completed=_with_users,
        healthcheck=Healthcheck(
            # The password stays out of the process list and of `docker inspect`.
            command=(
                "sh",
                "-c",
                f'REDISCLI_AUTH="$(cat {DIRECTORY}/health-password)" redis-cli -h 127.0.0.1 --user health ping | grep -q PONG',
            ),
            interval=10,
            timeout=5,
            retries=5,
            start_period=30,
        ),
        user=_USER,
        tmpfs=("/tmp",),
        stop_timeout=30,
    )


def _with_users(service: Service, others: Sequence[Service]) -> Service:
    """`service` with an ACL user for each service that caches in Redis."""
    assert service.configuration
    clients = tuple(other.caches for other in others if other.caches)
    files = (
        replace(file, content=file.content + "".join(map(_user, clients))) if file.path == _USERS else file
        for file in service.configuration.files
    )
    logins = (Credential(secret=client.password, holder=client.holder, proof=RedisLogin(user=client.user)) for client in clients)
    return replace(
        service,
        configuration=replace(service.configuration, files=tuple(files)),
        secrets=(*service.secrets, *(client.password for client in clients)),
        credentials=(*service.credentials, *logins),
        checks=tuple(_checks(clients)),
    )


def _checks(clients: Sequence[CacheUser]) -> Iterator[Inside]:
    """Checks that each client can log in and has no further rights, and that the default user is refused."""

    def said(subject: str, user: str, password: Secret, command: str, answer: str) -> Inside:
        client = f'REDISCLI_AUTH="$(cat)" redis-cli -h 127.0.0.1 --user {user} {command} 2>&1'
        return Inside(
            subject=f"Redis as {subject}",
            expected=answer,
            command=("sh", "-c", f"set -f; {client}"),
            stdin=f"{password}",
            answer=answer,
        )

    for client in clients:
        yield said(client.user, client.user, client.password, "PING", "PONG")
        yield said(f"{client.user}: CONFIG", client.user, client.password, "CONFIG GET *", "NOPERM")
    for client in clients[:1]:
        yield said("default", "default", client.password, "PING", "WRONGPASS")


def _settings(maximum_mib: int) -> str:
    # A backup connects as a replica: by default Redis waits five seconds for more replicas.
    return f"""bind 0.0.0.0
port 6379
aclfile {DIRECTORY}/users.acl
maxmemory {maximum_mib}mb
maxmemory-policy volatile-lru
save 900 1
save 300 10
save 60 10000
dir /data
dbfilename dump.rdb
repl-diskless-sync-delay 0
"""


_OWN_USERS = f"""user default off
user health on #{HEALTH_PASSWORD.sha256} resetkeys resetchannels -@all +ping
user backup on #{BACKUP_PASSWORD.sha256} resetkeys resetchannels -@all +ping +psync +sync +replconf
"""


def _user(client: CacheUser) -> str:
    rights = "~* &* +@all -@admin -@dangerous +info +client|setinfo +client|setname"
    return f"user {client.user} on #{client.password.sha256} {rights}\n"
