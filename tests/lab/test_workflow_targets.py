"""The commands of deploy-prod.yml, in order, on the lab's stack: an approved plan, smoke, a message, the snapshot."""

import json
import re
import shutil

from tests.lab.deployment import Deployment
from tests.lab.test_monitoring import TELEGRAM, curl
from tests.support.workflows import DIRECTORY, read, steps

_ELSEWHERE = {"runner"}
"""Target that is left out: the lab's operator is a member of the mesh already."""


def test_the_targets_of_a_deployment_work_in_the_order_in_which_they_are_called(deployed: Deployment) -> None:
    lab = deployed.lab
    checkout = lab.layout.checkout
    remote = lab.layout.directory / "remote.git"

    def operate(*words: str) -> str:
        command = ["sh", "-c", '"$@" 2>&1', "sh", "vpai-python", "-m", "operations", *words, "--stack", "lab"]
        done = lab.operator.run(command, directory=str(checkout), check=False, timeout=600)
        assert done.returncode == 0, f"{words[0]}: {done.stdout[-4000:]}"
        return done.stdout

    lab.operator.run(["git", "init", "-q", "--bare", str(remote)], directory=str(checkout))
    commit = lab.operator.run(["git", "rev-parse", "HEAD"], directory=str(checkout)).stdout.strip()
    given = {
        "publish-plan": ("--remote", str(remote)),
        "take-plan": ("--remote", str(remote), "--commit", commit, "--digest", "from plan-digest"),
        "publish-snapshot": ("--remote", str(remote)),
        "notify": (f"lab {commit} - success",),
    }
    workflow = read(DIRECTORY / "deploy-prod.yml")
    called = [name for step in steps(workflow) for name in re.findall(r"\bmake (?:--silent )?([a-z-]+)", step.get("run", ""))]
    said: dict[str, str] = {}
    for name in called:
        if name not in _ELSEWHERE:
            words = (said["plan-digest"].strip() if word == "from plan-digest" else word for word in given.get(name, ()))
            said[name] = operate(name, *words)

    assert "### lab: no changes" in said["plan"]
    assert "checks passed" in said["smoke"]
    assert f"lab {commit} - success" in {message["text"] for message in json.loads(curl(lab, TELEGRAM))}
    last = json.loads(deployed.on_host("tail", "-n", "1", "/opt/javisi/deployments.jsonl"))
    assert (last["commit"], last["result"]) == (commit, "succeeded")
    assert "none told" in said["snapshot"]
    published = operate("fetch-snapshot", "--remote", str(remote))
    path = ".vpai/snapshot/lab/snapshot.json"
    assert path in published
    assert "### lab: no changes" in operate("preview-pull-request", "--snapshot", path)
    shutil.rmtree(remote)
