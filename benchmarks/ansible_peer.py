"""The same slice by Ansible, on the same host over the same connection, beside the deployed stack."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

from benchmarks.meter import Failed
from lab import fetch
from lab.lab import Lab

_HERE = Path(__file__).parent
_SSH = ("ssh", "-F", ".vpai/lab/ssh_config", "sese", "--", "sudo")
_LIBRARY = "/opt/vpaibench/python"
"""Where the playbook's modules look for `requests` on the host."""


@contextmanager
def deployed(lab: Lab) -> Iterator[Sequence[str]]:
    """Deploy the slice; the command that deploys it once more and changes nothing. Everything is removed at the end."""
    before = _on_host(lab, "traces.sh")
    variables = lab.layout.directory / "ansible-variables.json"
    try:
        command = _prepare(lab, variables)
        _changes(lab, command)
        if again := _changes(lab, command):
            raise Failed(f"Ansible changes {again} things each time it runs, so its run without changes cannot be measured")
        yield command
    finally:
        _on_host(lab, "clean.sh")
        variables.unlink(missing_ok=True)
    if _on_host(lab, "traces.sh") != before:
        raise Failed("Ansible's slice left something on sese, which may disturb the stack: `make lab-down` and `make lab`")


def _prepare(lab: Lab, variables: Path) -> Sequence[str]:
    ansible = fetch.site_packages(_HERE / "requirements.txt", lab.layout.shared)
    requests = fetch.site_packages(_HERE / "requirements-target.txt", lab.layout.shared)
    _in_operator(lab, [*_SSH, "mkdir", "-p", _LIBRARY])
    _in_operator(lab, ["bash", "-o", "pipefail", "-c", f"tar -cC {requests} . | {' '.join(_SSH)} tar -xC {_LIBRARY}"])
    variables.touch(mode=0o600)
    variables.write_text(_in_operator(lab, ["vpai-python", "-m", "benchmarks.ansible_variables"]).stdout)
    settings = (f"PYTHONPATH={ansible}", "ANSIBLE_CONFIG=benchmarks/ansible/ansible.cfg")
    arguments = ("--inventory", "sese,", "--extra-vars", f"@{variables}", "benchmarks/ansible/playbook.yml")
    return ("env", *settings, "python3", "-m", "ansible", "playbook", *arguments)


def _changes(lab: Lab, command: Sequence[str]) -> int:
    """Run the playbook; how many of its items changed something."""
    recap = re.search(r"changed=(\d+)", _in_operator(lab, command).stdout)
    assert recap, "a playbook that succeeds ends with a recap"
    return int(recap[1])


def _on_host(lab: Lab, script: str) -> str:
    return _in_operator(lab, [*_SSH, "bash", "-s"], (_HERE / "ansible" / script).read_text()).stdout


def _in_operator(lab: Lab, command: Sequence[str], input: str = "") -> CompletedProcess[str]:
    done = lab.operator.run(command, input=input, directory=str(lab.layout.checkout), check=False)
    if done.returncode:
        raise Failed(f"`{' '.join(command)}` failed, so there is no peer to compare with:\n{(done.stdout + done.stderr)[-3000:]}")
    return done
