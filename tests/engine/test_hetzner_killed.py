"""The program's own `pulumi up` with a rented server, killed after the server's creation and before its entry in the state."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.engine.rented import Rented
from tests.support.copies import copy
from tests.support.fleets import DUMMY_SECRETS, OPERATOR_CONFIG, PROJECT, inputs
from tests.support.hetzner import TOKEN, running
from tests.support.sshd import ADDRESSES
from tests.support.waiting import until


@pytest.fixture
def killed(tmp_path: Path, toolchain: Path) -> Iterator[Rented]:
    """The cloud has created the server; the state does not know it; the process is dead."""
    with running(addresses=ADDRESSES) as running_cloud:
        stack = Rented(tmp_path, toolchain, running_cloud, "pr-1")
        shutil.copy(PROJECT / "__main__.py", stack.directory)
        copy(PROJECT / "operations", stack.directory / "operations")
        stack.environment |= {"HCLOUD_ENDPOINT": running_cloud.endpoint, "HCLOUD_TOKEN": TOKEN}
        images = inputs("prod").fleet.images()
        (stack.directory / "images.lock.yaml").write_text(yaml.safe_dump(dict.fromkeys(images, f"sha256:{'0' * 64}")))
        settings = {**OPERATOR_CONFIG, "kind": "copy", "knownHosts": "known_hosts", "protectData": "false", "bucketPrefix": ""}
        settings["expires"] = "2020-01-01T00:00Z"
        stack.configure(
            {**settings, "hosts.pr-1.server.location": "fsn1", "hosts.pr-1.roles[0]": "stack"},
            {**DUMMY_SECRETS, "hcloud_token": TOKEN},
        )
        running_cloud.cloud.steering.action_seconds = 2
        words = ["pulumi", "up", "--yes", "--skip-preview", "--stack", "pr-1", "--non-interactive"]
        up = subprocess.Popen(words, cwd=stack.directory, env=stack.environment, start_new_session=True)
        until(lambda: stack.server() is not None, 60)
        os.killpg(up.pid, signal.SIGKILL)
        up.wait()
        yield stack


def operate(stack: Rented, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "operations", *arguments],
        cwd=stack.directory,
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_recover_removes_the_server_that_no_state_knows(killed: Rented) -> None:
    server = killed.server()
    reported = operate(killed, "reap")
    assert reported.returncode == 1
    assert "make recover STACK=pr-1" in reported.stdout, "the killed run's lock is nobody's to break on the way"
    done = operate(killed, "recover", "--stack", "pr-1")
    assert done.returncode == 0, done.stderr
    assert f"Hetzner: removed server pr-1 ({server.id})" in done.stdout
    assert killed.cloud.inventory(TOKEN) == {"ssh_keys": ["javisi-pr-1-deploy"], "firewalls": ["pr-1-firewall"]}
    assert operate(killed, "reap").returncode == 0
    assert killed.cloud.inventory(TOKEN) == {}


def test_the_reaper_tells_what_the_state_of_an_expired_stack_never_knew(killed: Rented) -> None:
    killed.pulumi("cancel", "--yes")
    done = operate(killed, "reap")
    assert done.returncode == 1
    assert f"hcloud server delete {killed.server().id}" in done.stdout
