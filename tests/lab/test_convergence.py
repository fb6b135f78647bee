"""`up` is idempotent, changes exactly what depends on a changed input, and restores what was removed by hand."""

import time

import pytest

from tests.lab.deployment import Deployment


def replaced(service: str) -> dict[str, str]:
    """The `changes` of a service that is replaced on Sese-AI."""
    return {f"sese-{service}": "replace", f"sese-{service}-healthy": "replace"}


def test_a_second_up_and_a_refresh_find_nothing_to_do(stack: Deployment) -> None:
    stack.up("--expect-no-changes")
    stack.pulumi("preview", "--expect-no-changes")
    stack.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    stack.up("--expect-no-changes")


def test_the_guard_above_sees_a_change(stack: Deployment) -> None:
    stack.configure("rotations.redis_health_password", "7")
    assert stack.pulumi("preview", "--expect-no-changes", check=False).returncode != 0


def test_a_changed_litellm_configuration_replaces_exactly_that_service_without_a_refused_request(stack: Deployment) -> None:
    stack.edit("services/litellm/configuration.py", ('"cooldown_time": 60', '"cooldown_time": 61'))
    assert stack.changes() == {"sese-litellm-configuration": "update", **replaced("litellm")}
    before = stack.container("litellm")
    with stack.requests() as statuses:
        stack.up()
    assert set(statuses) == {"200"}, statuses
    assert len(statuses) > 20
    assert stack.container("litellm") != before
    assert "cooldown_time: 61" in stack.on_host(
        "docker", "exec", stack.container("litellm"), "cat", "/app/configuration/config.yaml"
    )


def test_changed_access_ranges_reload_caddy_and_replace_nothing(stack: Deployment) -> None:
    before = stack.container("caddy")
    stack.configure("vpnCidrs[0]", "100.64.0.0/11")
    # The hub's Caddy serves sites of the VPN too. Any change of it checks the path to the hub first.
    reloaded = {"sese-caddy-configuration": "update", "seko-caddy-configuration": "update"}
    assert stack.changes() == {**reloaded, "seko-direct-path": "replace"}
    shown = stack.pulumi("preview", "--diff").stdout
    assert "not remote_ip 100.64.0.0/11" in shown
    with stack.requests() as statuses:
        stack.up()
    assert set(statuses) == {"200"}, statuses
    assert stack.container("caddy") == before
    live = stack.on_host("docker", "exec", before, "wget", "-q", "-O", "-", "http://127.0.0.1:2019/config/")
    assert "100.64.0.0/11" in live


@pytest.mark.parametrize(
    ("asked_first", "reported"),
    [(True, "caddy would refuse its new Caddyfile"), (False, "The new configuration was refused; the old one stays in force")],
    ids=["asked before anything is touched", "found at the reload"],
)
def test_a_configuration_that_caddy_refuses_leaves_the_old_one_in_force(
    stack: Deployment, asked_first: bool, reported: str
) -> None:
    before = stack.resources()
    stack.edit("services/caddy/caddyfile.py", ("lb_try_duration 10s", "lb_try_duration ten"))
    if not asked_first:
        stack.edit("stacks/preflight.py", ("image, *command)", "image, 'true')"))
    failed = stack.up(check=False)
    assert failed.returncode != 0
    assert reported in failed.stdout
    assert not asked_first or stack.resources() == before
    with stack.requests() as statuses:
        time.sleep(1)
    assert set(statuses) == {"200"}
    current = stack.on_host("cat", "/opt/javisi/config/caddy/current/Caddyfile")
    assert "lb_try_duration 10s" in current


def test_a_container_removed_by_hand_is_restored(stack: Deployment) -> None:
    stack.on_host("docker", "rm", "-f", stack.container("redis"))
    stack.up("--refresh")
    health = stack.on_host("docker", "inspect", "-f", "{{.State.Health.Status}}", stack.container("redis"))
    assert health == "healthy"


def test_a_file_edited_on_the_host_is_seen_by_refresh_and_put_right(stack: Deployment) -> None:
    path = "/opt/javisi/config/caddy/current/Caddyfile"
    before = stack.on_host("sha256sum", path)
    stack.on_host("sh", "-c", f"echo '# edited' >> {path}")
    stack.up("--refresh")
    assert stack.on_host("sha256sum", path).split()[0] == before.split()[0]


def test_a_rotated_redis_password_reaches_exactly_its_users_and_works(stack: Deployment) -> None:
    old = stack.secrets["redis_sure_password"]
    assert "replaces whoever uses it" in stack.operate("rotate", "redis_sure_password").stdout
    assert stack.changes() == {
        "redis_sure_password": "replace",
        "sese-redis-configuration": "update",
        **replaced("redis"),
        "sese-sure-web-configuration": "update",
        "sese-sure-worker-configuration": "update",
        **replaced("sure-web"),
        **replaced("sure-worker"),
    }
    stack.up()
    assert stack.secrets["redis_sure_password"] != old
    stack.smoke()
    client = 'REDISCLI_AUTH="$(cat)" redis-cli -h 127.0.0.1 --user sure ping 2>&1'
    answer = stack.on_host("docker", "exec", "-i", stack.container("redis"), "sh", "-c", client, input=old)
    assert "WRONGPASS" in answer


def test_a_rotated_database_password_changes_the_user_and_whoever_logs_in_with_it(stack: Deployment) -> None:
    stack.operate("rotate", "postgresql_nocodb_password")
    assert stack.changes() == {
        "postgresql_nocodb_password": "replace",
        "sese-database-nocodb": "update",
        "sese-nocodb-configuration": "update",
        "sese-backup-plan": "update",  # a restore sets the role's password again
        **replaced("nocodb"),
    }
    stack.up()
    stack.smoke()
