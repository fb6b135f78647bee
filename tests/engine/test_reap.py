"""`make reap` by the real engine against the lab's cloud: one stack has expired, one lives, one key belongs to nobody."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from hcloud import Client

from tests.engine.project import Project
from tests.fleets import PROJECT
from tests.hetzner import OTHER_KEY, TOKEN, running

PROGRAM = """
    import json
    from pathlib import Path
    import pulumi
    import pulumi_hcloud as hcloud
    from components.hetzner import provider

    wanted = json.loads(Path("wanted.json").read_text())
    cloud = provider("hetzner", token=wanted["token"], endpoint=wanted["endpoint"])
    stack = pulumi.get_stack()
    hcloud.Network(stack, name=stack, ip_range="10.77.0.0/24", labels={"vpai.stack": stack, "ttl": wanted["ttl"]},
                   opts=pulumi.ResourceOptions(provider=cloud))
"""


def test_what_has_expired_goes_what_lives_stays_and_an_orphan_is_told(tmp_path: Path, toolchain: Path) -> None:
    with running(action_seconds=0.01) as there:
        project = Project(tmp_path, toolchain, "pr-1")
        (project.directory / "__main__.py").write_text(textwrap.dedent(PROGRAM))
        project.pulumi("stack", "init", "pr-2")
        for stack, ttl in (("pr-1", "2020-01-01T00.00Z"), ("pr-2", "2999-01-01T00.00Z")):
            project.stack = stack
            wanted = {"token": TOKEN, "endpoint": there.endpoint, "ttl": ttl}
            (project.directory / "wanted.json").write_text(json.dumps(wanted))
            project.pulumi("up", "--yes", "--skip-preview")
        api: Any = Client(token=TOKEN, api_endpoint=there.endpoint)
        orphan = api.ssh_keys.create("lost", OTHER_KEY, labels={"vpai.stack": "pr-9"})
        api.networks.create("somebody-elses", "10.78.0.0/24")

        def reap(*arguments: str) -> tuple[int, str]:
            done = subprocess.run(
                [sys.executable, "-m", "operations", "reap", *arguments],
                cwd=PROJECT,
                env={**project.environment, "HCLOUD_TOKEN": TOKEN, "HCLOUD_ENDPOINT": there.endpoint},
                capture_output=True,
                text=True,
                timeout=120,
            )
            return done.returncode, done.stdout + done.stderr

        def networks() -> set[str]:
            return {network.name for network in api.networks.get_all()}

        code, told = reap("--dry-run")
        assert (code, networks()) == (1, {"pr-1", "pr-2", "somebody-elses"}), told
        assert "would be destroyed" in told
        code, told = reap()
        assert (code, networks()) == (1, {"pr-2", "somebody-elses"}), told
        assert f"hcloud ssh-key delete {orphan.id}" in told
        assert api.ssh_keys.get_by_name("lost"), "told, not removed"
        assert not list((tmp_path / "state").glob(".pulumi/stacks/*/pr-1.json")), "the stack is removed too"
        assert list((tmp_path / "state").glob(".pulumi/stacks/*/pr-2.json"))
        api.ssh_keys.delete(orphan)
        assert reap() == (0, "No stack has expired.\n")
