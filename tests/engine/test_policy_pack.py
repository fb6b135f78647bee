"""The policy pack in the real engine: every rule refuses its planted violation, and the deployed program passes."""

import dataclasses
import json
import re
import textwrap
from pathlib import Path

import pytest

from policy.rules import RULES
from tests.engine.project import Project
from tests.policy.cases import CASES
from tests.policy.planted import SECRET, Planted
from tests.support.fleets import DUMMY_SECRETS, OPERATOR_CONFIG, host_paths

_PROGRAM = """
    import json
    from pathlib import Path
    import pulumi
    import pulumi_docker as docker
    from pulumi.dynamic import Resource, ResourceProvider

    SECRET = "4dabf18193072939515e22adb298388d"

    def revealed(value):
        if isinstance(value, dict):
            return pulumi.Output.secret(value["value"]) if SECRET in value else {k: revealed(v) for k, v in value.items()}
        return [revealed(item) for item in value] if isinstance(value, list) else value

    def register(each, opts):
        kind, name, inputs = each["type"], each["name"], revealed(each["inputs"])
        if kind.startswith("vpai:"):
            return pulumi.ComponentResource(kind, name, inputs, opts)
        if kind.startswith("pulumi-python:"):
            module, _, type_name = kind.removeprefix("pulumi-python:dynamic/").partition(":")
            dynamic = type(type_name, (Resource,), {}, module=module, name=type_name)
            return dynamic(ResourceProvider(), name, inputs, opts)
        if kind.startswith("pulumi:providers:"):
            return pulumi.ProviderResource(kind.rpartition(":")[2], name, inputs, opts)
        return pulumi.CustomResource(kind, name, inputs, opts)

    hosts, made = {}, {}
    for each in json.loads(Path("planted.json").read_text()):
        host = each["host"]
        if host and host not in hosts:
            options = ["-F", "ssh_config"]
            hosts[host] = docker.Provider(f"{host}-provider", host=f"ssh://{host}", ssh_opts=options)
        opts = pulumi.ResourceOptions(
            parent=made.get(each["parent"]),
            protect=each["protect"],
            ignore_changes=each["ignore_changes"],
            provider=hosts.get(host),
        )
        made[each["name"]] = register(each, opts)
"""


@pytest.fixture
def planted(tmp_path: Path, toolchain: Path) -> Project:
    project = Project(tmp_path, toolchain, "prod")
    (project.directory / "__main__.py").write_text(textwrap.dedent(_PROGRAM))
    project.pulumi("config", "set", "--secret", "vpai:some_api_key", SECRET)
    project.pulumi("config", "set", "--secret", "hcloud:token", "t" * 64)
    return project


OF_REMOTE_COMMANDS = "ssh-host-keys"
"""Our plugin refuses them itself, which ends the preview: they are tested apart from the other rules."""


def test_a_remote_command_is_refused_by_our_own_plugin_already(planted: Project) -> None:
    program = list(_apart(OF_REMOTE_COMMANDS, CASES[OF_REMOTE_COMMANDS].breaks[0]))
    (planted.directory / "planted.json").write_text(json.dumps(program))
    reported = planted.pulumi("preview", check=False)
    assert reported.returncode != 0
    assert "command:remote:Command: this build of the plugin does not have it" in reported.stdout


def test_every_rule_refuses_what_is_planted_for_it_in_a_preview(planted: Project) -> None:
    programs = {rule.name: CASES[rule.name].breaks[0] for rule in RULES if rule.name != OF_REMOTE_COMMANDS}
    missing: dict[str, str] = {}
    for stack, names in (("prod", set(programs) - {"hetzner-ephemeral-small"}), ("pr-7", {"hetzner-ephemeral-small"})):
        if stack != planted.stack:
            planted.pulumi("stack", "rename", stack)
            planted.stack = stack
            planted.pulumi("config", "set", "vpai:kind", "copy")
        (planted.directory / "planted.json").write_text(
            json.dumps([resource for name in sorted(names) for resource in _apart(name, programs[name])])
        )
        reported = planted.pulumi("preview", "--policy-pack", "policy", check=False)
        assert reported.returncode != 0
        found = set(re.findall(r"\[(?:mandatory|advisory)\] \[severity: \w+\]\s+(\S+)", reported.stdout))
        missing |= dict.fromkeys(names - found, reported.stdout)
    assert not missing, f"{sorted(missing)}\n{next(iter(missing.values()))}"


def test_an_up_makes_nothing_that_breaks_a_rule(planted: Project) -> None:
    [command] = CASES["hygiene-delete-commands"].breaks[0]
    (planted.directory / "planted.json").write_text(json.dumps([dataclasses.asdict(command)]))
    refused = planted.pulumi("up", "--yes", "--skip-preview", "--policy-pack", "policy", check=False)
    assert refused.returncode != 0
    assert "task says nothing of its deletion" in refused.stdout
    assert '"command:local:Command"' not in planted.pulumi("stack", "export").stdout


def test_what_stands_is_analyzed_from_the_state(planted: Project) -> None:
    sound, broken = CASES["hygiene-delete-commands"].obeys[0], CASES["hygiene-delete-commands"].breaks[0][0]
    for command, code in ((sound, 0), (broken, 1)):
        (planted.directory / "planted.json").write_text(json.dumps([dataclasses.asdict(command)]))
        planted.pulumi("up", "--yes", "--skip-preview")
        analyzed = planted.pulumi("policy", "analyze", "--policy-pack", "policy", check=False)
        assert bool(analyzed.returncode) == bool(code), analyzed.stdout
        assert ("hygiene-delete-commands" in analyzed.stdout) == bool(code)


@pytest.mark.parametrize("stack", ["prod", "preprod"])
def test_a_stack_that_is_deployed_passes(tmp_path: Path, toolchain: Path, stack: str) -> None:
    project = Project(tmp_path, toolchain, stack)
    hosts = host_paths(stack)
    project.configure({**OPERATOR_CONFIG, **hosts}, DUMMY_SECRETS)
    lock = project.directory / "images.lock.yaml"
    lock.write_text(lock.read_text().replace(": null", f": sha256:{'a' * 64}"))
    reported = project.pulumi("preview", "--policy-pack", "policy").stdout
    reports = re.findall(r"\[(?:mandatory|advisory)\] \[severity: \w+\]\s+(\S+)", reported)
    assert (
        {"waivers-in-force", "undecided-in-preview"}
        <= set(reports)
        <= {"waivers-in-force", "waivers-ending", "undecided-in-preview"}
    )
    assert re.search(r"until 20\d\d-\d\d-\d\d: containers-privileged-ports", reported)


def _apart(rule: str, program: tuple[Planted, ...]) -> list[dict[str, object]]:
    """The program with names of its own, so that the programs of all rules can be combined."""
    names = {resource.name: f"{rule}-{resource.name}" for resource in program}
    hosts = {resource.host: f"{rule}-{resource.host}" for resource in program if resource.host}
    return [
        {
            **dataclasses.asdict(resource),
            "name": names[resource.name],
            "parent": names.get(resource.parent, ""),
            "host": hosts.get(resource.host, ""),
            "inputs": _renamed(resource.inputs, names | hosts),
        }
        for resource in program
    ]


def _renamed(inputs: object, names: dict[str, str]) -> object:
    """`inputs` with new names of hosts in `alias` and `host`."""
    assert isinstance(inputs, dict)
    return {key: names.get(value, value) if key in ("alias", "host") else value for key, value in inputs.items()}
