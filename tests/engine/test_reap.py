"""`make reap` with the real engine: of two stacks with servers one has expired; one SSH key belongs to no stack."""

import subprocess
import sys
from pathlib import Path

from tests.engine.rented import Rented
from tests.support.fleets import PROJECT
from tests.support.hetzner import OTHER_KEY, PUBLIC_KEY, TOKEN, running

_THIRD_KEY = f"{OTHER_KEY[:-2]}b3"


def test_what_has_expired_goes_what_lives_stays_and_an_orphan_is_told(tmp_path: Path, toolchain: Path) -> None:
    with running(action_seconds=0.01) as running_cloud:
        stacks = Rented(tmp_path, toolchain, running_cloud, "pr-1")
        stacks.pulumi("stack", "init", "pr-2")
        for stack, key, ttl in (("pr-1", PUBLIC_KEY, "2020-01-01T00.00Z"), ("pr-2", OTHER_KEY, "2999-01-01T00.00Z")):
            stacks.stack = stack
            stacks.want(key=key, name=f"javisi-{stack}", server={"name": stack}, labels={"vpai.stack": stack, "ttl": ttl})
            stacks.up()
        orphan = stacks.api.ssh_keys.create("lost", _THIRD_KEY, labels={"vpai.stack": "pr-9"})
        stacks.api.networks.create("somebody-elses", "10.78.0.0/24")
        living = stacks.api.servers.get_by_name("pr-2")

        def reap(*arguments: str) -> tuple[int, str]:
            done = subprocess.run(
                [sys.executable, "-m", "operations", "reap", *arguments],
                cwd=PROJECT,
                env={**stacks.environment, "HCLOUD_TOKEN": TOKEN, "HCLOUD_ENDPOINT": running_cloud.endpoint},
                capture_output=True,
                text=True,
                timeout=120,
            )
            return done.returncode, done.stdout + done.stderr

        def named(kind: str) -> list[str]:
            return running_cloud.cloud.inventory(TOKEN)[kind]

        code, reported = reap("--dry-run")
        assert (code, named("servers")) == (1, ["pr-1", "pr-2"]), reported
        assert "would be destroyed" in reported
        code, reported = reap()
        assert (code, named("servers"), named("firewalls")) == (1, ["pr-2"], ["pr-2-firewall"]), reported
        assert named("ssh_keys") == ["javisi-pr-2-deploy", "lost"], "an orphan is told, not removed"
        assert f"hcloud ssh-key delete {orphan.id}" in reported
        assert not list((tmp_path / "state").glob(".pulumi/stacks/*/pr-1.json")), "the stack is removed too"
        stacks.api.ssh_keys.delete(orphan)
        assert reap() == (0, "No stack has expired.\n")

        # The other stack is unchanged and can be destroyed without a trace.
        assert stacks.server().id == living.id
        stacks.up("--refresh", "--expect-no-changes")
        stacks.pulumi("destroy", "--yes", "--skip-preview")
        assert running_cloud.cloud.inventory(TOKEN) == {"networks": ["somebody-elses"]}
