"""A copy of the project with a stack of its own, run by the real CLI with a file backend."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.copies import copy, unset
from tests.support.fleets import PROJECT

_COPIED = (
    "__main__.py",
    "model",
    "services",
    "components",
    "policy",
    "stacks",
    "images.lock.yaml",
    "prices.yaml",
    "tests/authorized_keys",
)


class Project:
    """A Pulumi project in a directory of its own."""

    def __init__(self, directory: Path, toolchain: Path, stack: str) -> None:
        self.directory, self.stack = directory / "project", stack
        self.directory.mkdir()
        for name in (*_COPIED, *(path.name for path in PROJECT.glob("Pulumi*.yaml"))):
            (self.directory / name).parent.mkdir(exist_ok=True)
            copy(PROJECT / name, self.directory / name)
        unset(self.directory)
        home, state = directory / "home", directory / "state"
        home.mkdir()
        state.mkdir()
        (home / "plugins").symlink_to(toolchain / "home" / "plugins")
        (home / "logs").touch()  # as in toolchain/env.sh
        self.environment = {
            **os.environ,
            "PATH": f"{toolchain / 'bin'}:{os.environ['PATH']}",
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_PYTHON_CMD": sys.executable,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        self.pulumi("stack", "init", stack)

    def configure(self, values: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        """Set plain values and secrets in one call."""
        pairs = [word for key, value in values.items() for word in ("--plaintext", f"vpai:{key}={value}")]
        pairs += [word for key, value in secrets.items() for word in ("--secret", f"vpai:{key}={value}")]
        self.pulumi("config", "set-all", "--path", *pairs)

    def pulumi(
        self, *arguments: str, check: bool = True, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the CLI; its stderr is part of stdout, as an operator sees it."""
        selected = [] if arguments[:2] == ("stack", "init") else ["--stack", self.stack]
        done = subprocess.run(
            ["pulumi", *arguments, *selected, "--non-interactive"],
            cwd=self.directory,
            env={**self.environment, **environment},
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert not check or done.returncode == 0, done.stdout
        return done

    def preview(self) -> list[Mapping[str, Any]]:
        """The steps of `pulumi preview`."""
        steps: list[Mapping[str, Any]] = json.loads(self.pulumi("preview", "--json").stdout)["steps"]
        return steps
