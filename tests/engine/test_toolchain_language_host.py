"""The language host in the real engine: programs, policy packs and dynamic resources with a file backend."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import until
from toolchain import parts
from toolchain.provision import provide_bundle

Pulumi = Callable[..., subprocess.CompletedProcess[str]]
TIMES = 3
"""Number of attempts to lose a race, with a busy loop on every core."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    toolchain, _ = provide_bundle(parts.deploy(), official=False)  # our own build: this test is not about an official host
    home = tmp_path / "home"
    home.mkdir()
    (home / "plugins").symlink_to(toolchain / "home/plugins")
    (tmp_path / "state").mkdir()
    return os.environ | {
        "PATH": f"{toolchain / 'bin'}:{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_HOME": str(home),
        "PULUMI_PYTHON_CMD": sys.executable,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
    return directory


@pytest.fixture
def pulumi(project: Path, environment: dict[str, str]) -> Pulumi:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", "--non-interactive", "--color=never", *arguments],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
        )

    assert run("stack", "init", "test").returncode == 0
    return run


@pytest.fixture
def busy() -> Iterator[None]:
    """Run two busy loops, which leave little CPU to others, for five minutes at most."""
    loop = "import time\nend = time.monotonic() + 300\nwhile time.monotonic() < end: pass"
    loops = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(2)]
    yield
    for process in loops:
        process.kill()
        process.wait()


def test_a_program_previews_and_deploys(project: Path, pulumi: Pulumi) -> None:
    (project / "words.py").write_text("GREETING = 'hello'\n")
    write_program(project, "import words\nid = random.RandomId(words.GREETING, byte_length=2)\npulumi.export('id', id.hex)")
    assert "2 to create" in pulumi("preview").stdout
    deployed = pulumi("up", "--yes", "--skip-preview")
    assert "2 created" in deployed.stdout, deployed.stdout + deployed.stderr
    assert len(json.loads(pulumi("stack", "output", "--json").stdout)["id"]) == 4
    assert pulumi("up", "--yes", "--expect-no-changes").returncode == 0


def test_configuration_and_stack_reach_the_program(project: Path, pulumi: Pulumi) -> None:
    assert pulumi("config", "set", "--secret", "key", "swordfish").returncode == 0
    write_program(
        project,
        "config = pulumi.Config()\n"
        "pulumi.export('key', config.require_secret('key'))\n"
        "pulumi.export('stack', f'{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}')",
    )
    deployed = pulumi("up", "--yes", "--skip-preview")
    assert "organization/tiny/test" in deployed.stdout
    assert "swordfish" not in deployed.stdout + deployed.stderr


def test_an_uncaught_exception_is_shown_once_with_the_programs_frames_only(project: Path, pulumi: Pulumi) -> None:
    write_program(project, "raise ValueError('no such host')")
    failed = pulumi("preview")
    assert failed.returncode != 0
    diagnostics = failed.stdout.split("Diagnostics:")[1]
    assert diagnostics.count("ValueError: no such host") == 1
    assert "__main__.py" in diagnostics
    assert "language_host" not in diagnostics


def test_a_run_error_shows_only_its_message(project: Path, pulumi: Pulumi) -> None:
    write_program(project, "raise pulumi.RunError('set vpai:domain, for example: vpai.test')")
    failed = pulumi("preview")
    assert failed.returncode != 0
    assert "error: set vpai:domain, for example: vpai.test" in failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr


def test_a_nonzero_exit_fails_the_run(project: Path, pulumi: Pulumi) -> None:
    write_program(project, "raise SystemExit('three settings are missing')")
    failed = pulumi("preview")
    assert failed.returncode != 0
    assert "three settings are missing" in failed.stdout


def test_a_python_without_the_sdk_is_named(project: Path, pulumi: Pulumi, environment: dict[str, str], tmp_path: Path) -> None:
    environment["PULUMI_PYTHON_CMD"] = executable(tmp_path / "bare-python", f'exec {sys.executable} -S "$@"')
    write_program(project, "")
    failed = pulumi("preview")
    assert failed.returncode != 0
    assert "cannot import the Pulumi SDK" in failed.stdout


def test_the_virtualenv_option_names_the_python(project: Path, pulumi: Pulumi, environment: dict[str, str]) -> None:
    del environment["PULUMI_PYTHON_CMD"]
    (project / "venv/bin").mkdir(parents=True)
    (project / "venv/bin/python").write_text(f'#!/bin/sh\nCHOSEN=venv exec {sys.executable} "$@"\n')
    (project / "venv/bin/python").chmod(0o755)
    (project / "Pulumi.yaml").write_text("name: tiny\nruntime:\n  name: python\n  options:\n    virtualenv: venv  # ours\n")
    write_program(project, "import os\npulumi.export('chosen', os.environ['CHOSEN'])")
    assert "venv" in pulumi("preview").stdout


def test_dynamic_resources_find_the_projects_modules(project: Path, pulumi: Pulumi) -> None:
    (project / "words.py").write_text(
        "from pulumi.dynamic import CreateResult, Resource, ResourceProvider\n"
        "class Provider(ResourceProvider):\n"
        "    def create(self, props):\n"
        "        return CreateResult('the-id', props)\n"
        "class Word(Resource, module='words', name='Word'):\n"
        "    def __init__(self, name):\n"
        "        super().__init__(Provider(), name, {})\n"
    )
    write_program(project, "import words\npulumi.export('id', words.Word('w').id)")
    assert "the-id" in pulumi("up", "--yes", "--skip-preview").stdout
    assert pulumi("destroy", "--yes", "--skip-preview").returncode == 0


def test_a_policy_pack_runs(project: Path, pulumi: Pulumi, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 0.0.1\n")
    (pack / "__main__.py").write_text(
        "from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy\n"
        "def check(args, report):\n"
        "    if args.resource_type.startswith('random:'):\n"
        "        report('leave nothing to chance')\n"
        "policy = ResourceValidationPolicy(name='chance', description='No dice.', validate=check)\n"
        "PolicyPack(name='tiny', enforcement_level=EnforcementLevel.MANDATORY, policies=[policy])\n"
    )
    write_program(project, "random.RandomId('id', byte_length=2)")
    refused = pulumi("preview", "--policy-pack", str(pack))
    assert refused.returncode != 0
    assert "leave nothing to chance" in refused.stdout
    until(lambda: str(pack) not in _running(), 5, describe=lambda: f"the pack still runs: {_running()}")


def _running() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_a_pack_on_pipes_that_ends_fails_the_run_with_what_it_said(
    project: Path, pulumi: Pulumi, tmp_path: Path, busy: None
) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: {name: python, options: {pipe: true}}\nversion: 0.0.1\n")
    (pack / "__main__.py").write_text(
        "import os, sys\nos.read(3, 1)\nsys.stderr.write('boiling\\n' * 20000)\nos.write(2, b'out of tea\\n')\nos._exit(3)\n"
    )
    write_program(project, "random.RandomId('id', byte_length=2)")
    for _ in range(TIMES):
        failed = pulumi("preview", "--policy-pack", str(pack))
        assert failed.returncode != 0
        # In the error itself: the pack's own output reaches the engine by another connection, perhaps too late.
        error = (failed.stdout + failed.stderr).partition("the policy pack has ended")[2]
        assert error.startswith(": EOF (exit status 3). It said last:\n")
        assert "out of tea" in error.splitlines()[1:600]


def test_a_python_that_ends_fails_the_run_with_what_it_said(project: Path, pulumi: Pulumi, busy: None) -> None:
    write_program(project, "import os, sys\nprint('boiling\\n' * 20000)\nos.write(2, b'out of tea\\n')\nos._exit(3)")
    for _ in range(TIMES):
        failed = pulumi("preview")
        assert failed.returncode != 0
        error = (failed.stdout + failed.stderr).partition("has ended")[2]
        assert error.startswith(" (exit status 3). It said last:\n")
        assert "out of tea" in error


def test_a_python_that_does_not_start_fails_the_run_with_what_it_said(
    project: Path, pulumi: Pulumi, environment: dict[str, str], tmp_path: Path, busy: None
) -> None:
    environment["PULUMI_PYTHON_CMD"] = executable(
        tmp_path / "python", "yes boiling | head -20000 >&2; echo out of tea >&2; exit 3"
    )
    write_program(project, "")
    for _ in range(TIMES):
        failed = pulumi("preview")
        assert failed.returncode != 0
        error = (failed.stdout + failed.stderr).partition("ended before it was ready")[2]
        assert error.startswith(" (exit status 3). It said last:\n")
        assert "out of tea" in error


def test_all_that_a_program_prints_is_shown(project: Path, pulumi: Pulumi, busy: None) -> None:
    write_program(project, "import sys\nprint('leaf\\n' * 50000)\nprint('out of tea')\nprint('out of milk', file=sys.stderr)")
    for _ in range(TIMES):
        shown = pulumi("preview").stdout.partition("Diagnostics:")[2]
        assert shown.count("leaf") == 50000
        assert "out of tea" in shown
        assert "out of milk" in shown


def test_a_pack_on_pipes_ends_with_its_host(project: Path, environment: dict[str, str], pulumi: Pulumi, tmp_path: Path) -> None:
    pack, pids = tmp_path / "pack", tmp_path / "pids"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: {name: python, options: {pipe: true}}\nversion: 0.0.1\n")
    (pack / "__main__.py").write_text(
        "import os, pathlib, time\n"
        f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{os.getppid()}}\\n')\n"
        "while os.read(3, 4096): pass\n"
    )
    write_program(project, "")
    with subprocess.Popen(
        ["pulumi", "preview", "--policy-pack", str(pack)], cwd=project, env=environment, stdout=subprocess.DEVNULL
    ) as run:
        child, host = _written(run, pids).split()
        os.kill(int(host), signal.SIGKILL)
        until(lambda: not Path(f"/proc/{child}").exists(), 5)
        run.kill()


def test_an_interrupted_run_ends_without_a_traceback(project: Path, pulumi: Pulumi, environment: dict[str, str]) -> None:
    started = project / "started"
    write_program(project, f"import pathlib, time\npathlib.Path({str(started)!r}).write_text('yes\\n')\ntime.sleep(60)")
    with subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        _written(run, started)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=20)
    assert run.returncode != 0
    assert "Traceback" not in output


def test_nothing_outlives_a_killed_engine(project: Path, environment: dict[str, str], pulumi: Pulumi) -> None:
    pid = project / "pid"
    write_program(
        project, f"import os, pathlib, time\npathlib.Path({str(pid)!r}).write_text(f'{{os.getpid()}}\\n')\ntime.sleep(60)"
    )
    with subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview"], cwd=project, env=environment, stdout=subprocess.DEVNULL
    ) as run:
        program = _written(run, pid).strip()
        run.kill()
    until(lambda: not Path(f"/proc/{program}").exists(), 10)


def _written(run: subprocess.Popen[Any], file: Path) -> str:
    """The line that `run` has written into `file`; `run` must still be alive."""
    until(lambda: run.poll() is not None or (file.exists() and file.read_text().endswith("\n")), 60, every=0.05)
    assert run.poll() is None
    return file.read_text()


def executable(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def write_program(project: Path, text: str) -> None:
    (project / "__main__.py").write_text(f"import pulumi\nimport pulumi_random as random\n\n{text}\n")
